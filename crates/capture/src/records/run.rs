//! `run.json`: what was run, on what, and what came of it. Documented in docs/json.md.

use std::collections::BTreeMap;
use std::num::NonZeroU64;
use std::path::Path;

use profile::Symbolisation;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::CaptureError;
use crate::json::interval::{self, BytesAndBlocksInterval, Ends};
use crate::machine::Machine;
use crate::records::counts::{CountsRecord, Moment};
use crate::records::recorder::{RecorderMemory, RecorderRecord};
use crate::records::resident::RssRecord;
use crate::records::{parse_json, read_json};

/// The version of this file's shape.
pub const SCHEMA: u32 = 1;

/// One run.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RunRecord {
    /// [`SCHEMA`].
    pub schema: u32,
    /// How the run ended: `clean`, or a sentence that says what went wrong.
    pub ended: String,
    /// The server's configuration.
    pub configuration: String,
    /// Connections that were open at rest; `null` when the run ended before that.
    pub connections: Option<NonZeroU64>,
    /// Programs and their versions.
    pub versions: Versions,
    /// What it ran on.
    pub machine: Machine,
    /// When, and how long the phases took.
    pub times: Times,
    /// The command line.
    pub command: Vec<String>,
    /// What connections agreed on.
    pub negotiated: Vec<NegotiatedRecord>,
    /// OpenSSL's share of one connection: (at rest − baseline) / connections.
    pub per_connection: Option<PerConnection>,
    /// OpenSSL's memory as soon as the server listened, before any connection.
    pub at_start: CountsRecord,
    /// OpenSSL's memory after the warm-up, before the first connection that counts.
    pub baseline: Moment,
    /// OpenSSL's memory with every connection open and echoed; without a rest, the last reading.
    pub at_rest: Moment,
    /// OpenSSL's memory after the last connection was closed.
    pub closed: Option<Moment>,
    /// What resident memory is made of; `null` at moments for which that is not known, and absent
    /// in runs of older versions.
    #[serde(default)]
    pub rss: RssRecord,
    /// What the load found.
    pub load: Option<Value>,
    /// What the recorder says of itself.
    pub recorder: RecorderRecord,
    /// The recorder's own memory at rest; `null` when that is not known, and absent in runs of
    /// older versions.
    #[serde(default)]
    pub recorder_memory: Option<RecorderMemory>,
    /// How well addresses could be named.
    pub symbols: SymbolsRecord,
}

/// Programs and their versions.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Versions {
    /// This program.
    pub tlsheap: String,
    /// The commit it was built from, where it is known.
    pub commit: Option<String>,
    /// The profiled OpenSSL.
    pub openssl: String,
}

/// What connections agreed on, in OpenSSL's words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NegotiatedRecord {
    /// The version of TLS, as `TLSv1.2`.
    pub protocol: String,
    /// The cipher, as `ECDHE-ECDSA-AES256-GCM-SHA384`.
    pub cipher: String,
    /// The key exchange group, as `x25519`; `none` without one.
    pub group: String,
    /// The compression, as `zlib compression`; `none` without it.
    pub compression: String,
    /// How many connections agreed on it; absent when the run ended before that was counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connections: Option<u64>,
}

/// When, and how long.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Times {
    /// When the server was started.
    pub started: String,
    /// From the load's start to the last connection's first echo.
    pub until_rest_seconds: Option<f64>,
    /// From then to the capture.
    pub hold_seconds: Option<f64>,
}

/// OpenSSL's share of one connection.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PerConnection {
    /// Requested bytes.
    pub bytes: f64,
    /// Blocks.
    pub blocks: f64,
    /// Allocations from the load's start to the capture: handshake, welcome and echoes.
    pub allocations: f64,
    /// How far off bytes and blocks may be, where they are estimates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval95: Option<BytesAndBlocksInterval>,
    /// How far off the allocations may be, where they are estimates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allocations_interval95: Option<Ends>,
}

impl PerConnection {
    /// Half the width of the 95 % interval of the allocations; `None` where they are exact.
    pub fn allocations_margin(&self) -> Option<f64> {
        interval::margin(self.allocations, self.allocations_interval95)
    }
}

/// How well addresses could be named.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SymbolsRecord {
    /// Addresses that have a name.
    pub resolved: u64,
    /// Addresses in known objects that have none.
    pub unresolved: u64,
    /// Addresses in no known object.
    pub outside: u64,
    /// Objects whose names could not be read, and why.
    pub unusable_modules: BTreeMap<String, String>,
}

impl RunRecord {
    /// Reads a run's `run.json`.
    pub fn read(path: &Path) -> Result<RunRecord, CaptureError> {
        RunRecord::parse(&read_json(path)?, path)
    }

    /// What the text of a `run.json` says. `path` is what errors call the file.
    pub fn parse(text: &str, path: &Path) -> Result<RunRecord, CaptureError> {
        parse_json(text, path, "a run", SCHEMA)
    }
}

impl From<&Symbolisation> for SymbolsRecord {
    fn from(symbols: &Symbolisation) -> SymbolsRecord {
        SymbolsRecord {
            resolved: symbols.resolved,
            unresolved: symbols.unresolved,
            outside: symbols.outside,
            unusable_modules: symbols.unusable_modules.clone(),
        }
    }
}
