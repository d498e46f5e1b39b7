//! `compare.json`: the figures of each configuration. Documented in docs/json.md.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::CaptureError;
use crate::machine::Machine;
use crate::records::read_json;
use crate::records::run::Versions;
use crate::records::scale::Scale;

/// The version of this shape.
const SCHEMA: u32 = 1;

/// All configurations, in the order in which they were named.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Comparison {
    /// The version of this shape.
    pub schema: u32,
    /// What was found of each.
    pub configurations: Vec<Figures>,
    /// What they were measured on.
    pub machine: Machine,
    /// Programs and their versions; `null` where nothing was measured.
    pub versions: Option<Versions>,
    /// The command line.
    pub command: Vec<String>,
}

/// One configuration. What was not measured is `null`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Figures {
    /// The configuration's name.
    pub name: String,
    /// What it is, in a sentence.
    pub summary: String,
    /// Connections that were open at rest.
    pub connections: Option<u64>,
    /// OpenSSL's bytes for each of them.
    pub openssl_bytes_per_connection: Option<f64>,
    /// OpenSSL's blocks for each of them.
    pub blocks_per_connection: Option<f64>,
    /// Allocations from connecting to the capture: handshake, welcome, echoes.
    pub allocs_per_handshake: Option<f64>,
    /// Growth of resident memory, measured on a server without the recorder: median.
    pub rss_per_connection: Option<f64>,
    /// The growth's least and its most.
    pub rss_per_connection_spread: Option<(f64, f64)>,
    /// Full handshakes in a second, on a server without the recorder: median.
    pub handshakes_per_second: Option<f64>,
    /// Their least and their most.
    pub handshakes_per_second_spread: Option<(f64, f64)>,
    /// The server's processor time for each of them, in microseconds: median.
    pub server_cpu_us_per_handshake: Option<f64>,
    /// What of OpenSSL's bytes is zlib's state.
    pub zlib_bytes_per_connection: Option<f64>,
    /// Live objects with all connections open.
    pub objects: BTreeMap<String, i64>,
    /// Those of them that were not there before the connections came; empty in older comparisons.
    #[serde(default)]
    pub added_objects: BTreeMap<String, i64>,
    /// The line through several numbers of connections, where that was asked for.
    pub scale: Option<Scale>,
    /// Programs and their versions.
    #[serde(skip)]
    pub versions: Option<Versions>,
}

impl Comparison {
    /// Reads the figures of a comparison made before.
    pub fn read(path: &Path) -> Result<Comparison, CaptureError> {
        Comparison::parse(&read_json(path)?, path)
    }

    /// What the text of a `compare.json` says. `path` is what errors call the file.
    pub fn parse(text: &str, path: &Path) -> Result<Comparison, CaptureError> {
        let comparison: Comparison =
            serde_json::from_str(text).map_err(|source| CaptureError::Json {
                path: path.to_owned(),
                what: "not the figures of a comparison",
                source,
            })?;
        if comparison.schema == SCHEMA {
            return Ok(comparison);
        }
        Err(CaptureError::Schema {
            path: path.to_owned(),
            what: "a comparison",
            expected: SCHEMA,
            found: comparison.schema.to_string(),
        })
    }

    /// The comparison, made now on this machine with this command line.
    pub fn new(configurations: Vec<Figures>, command: Vec<String>) -> Comparison {
        Comparison {
            schema: SCHEMA,
            versions: configurations.first().and_then(|figures| figures.versions.clone()),
            configurations,
            machine: Machine::this(),
            command,
        }
    }
}
