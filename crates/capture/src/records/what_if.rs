//! `what-if.json`: what each fix saved and what it cost. Documented in docs/json.md.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::CaptureError;
use crate::machine::Machine;
use crate::records::comparison::Figures;
use crate::records::read_json;
use crate::records::run::Versions;

/// The version of this shape.
const SCHEMA: u32 = 1;

/// Everything that was measured.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct WhatIf {
    /// The version of this shape.
    pub schema: u32,
    /// The configuration, or the program's command line.
    pub subject: String,
    /// Without any fix.
    pub as_it_is: Cost,
    /// Fixes that were applied, most bytes saved first, then the others.
    pub fixes: Vec<Tried>,
    /// What it was measured on.
    pub machine: Machine,
    /// Programs and their versions; `null` for a program that nobody rebuilt.
    pub versions: Option<Versions>,
    /// The command line.
    pub command: Vec<String>,
}

/// What a connection costs. What was not measured is `null`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Cost {
    /// Connections that were open.
    pub connections: Option<u64>,
    /// OpenSSL's bytes for each of them.
    pub bytes_per_connection: Option<f64>,
    /// OpenSSL's blocks for each of them.
    pub blocks_per_connection: Option<f64>,
    /// Allocations for each of them.
    pub allocs_per_handshake: Option<f64>,
    /// Bytes that the whole program has of its own, resident and in no file, without the
    /// recorder's; `null` of the reference server.
    #[serde(default)]
    pub resident_bytes: Option<u64>,
    /// Full handshakes in a second, without the recorder: median.
    pub handshakes_per_second: Option<f64>,
    /// Their least and their most.
    pub handshakes_per_second_spread: Option<(f64, f64)>,
}

/// One fix.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Tried {
    /// The fix's word on the command line.
    pub name: String,
    /// Why it was not applied; `null` when it was.
    pub not_applied: Option<String>,
    /// What `diagnose` says of the run without it; `null` where it has nothing to say.
    pub predicted_bytes_per_connection: Option<f64>,
    /// What a connection costs less with it.
    pub saved_bytes_per_connection: Option<f64>,
    /// What `diagnose` says of it that the whole program would save of resident memory.
    #[serde(default)]
    pub predicted_resident_bytes: Option<f64>,
    /// What the whole program has less with it.
    #[serde(default)]
    pub saved_resident_bytes: Option<f64>,
    /// What a connection costs with it.
    pub cost: Option<Cost>,
    /// The differential flamegraph, in the folder.
    pub flamegraph: Option<String>,
    /// The OpenSSLs of a program whose connections got it; empty for the reference server.
    pub reached: Vec<ReachedOpenssl>,
    /// What else there is to say of it, in sentences.
    pub remarks: Vec<String>,
}

/// An OpenSSL that a fix was applied to from outside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReachedOpenssl {
    /// The file that has it in itself.
    pub object: String,
    /// By what connections are reached.
    pub way: String,
    /// In how many processes.
    pub processes: u64,
}

impl WhatIf {
    /// Reads what was measured before.
    pub fn read(path: &Path) -> Result<WhatIf, CaptureError> {
        WhatIf::parse(&read_json(path)?, path)
    }

    /// What the text of a `what-if.json` says. `path` is what errors call the file.
    pub fn parse(text: &str, path: &Path) -> Result<WhatIf, CaptureError> {
        let what_if: WhatIf = serde_json::from_str(text).map_err(|source| CaptureError::Json {
            path: path.to_owned(),
            what: "not what fixes saved",
            source,
        })?;
        if what_if.schema == SCHEMA {
            return Ok(what_if);
        }
        Err(CaptureError::Schema {
            path: path.to_owned(),
            what: "what fixes saved",
            expected: SCHEMA,
            found: what_if.schema.to_string(),
        })
    }

    /// Everything put together, as measured now on this machine with this command line.
    pub fn new(
        subject: String,
        as_it_is: Cost,
        mut fixes: Vec<Tried>,
        versions: Option<Versions>,
        command: Vec<String>,
    ) -> WhatIf {
        // The sort is stable: what was not applied stays in the order of the table, at the end.
        let saved = |tried: &Tried| tried.saved_bytes_per_connection.unwrap_or(f64::NEG_INFINITY);
        fixes.sort_by(|a, b| {
            let applied = |tried: &Tried| tried.not_applied.is_none();
            applied(b).cmp(&applied(a)).then_with(|| saved(b).total_cmp(&saved(a)))
        });
        let machine = Machine::this();
        WhatIf { schema: SCHEMA, subject, as_it_is, fixes, machine, versions, command }
    }
}

impl Tried {
    /// A fix that could not be applied.
    pub fn not_applied(name: &str, reason: &str) -> Tried {
        Tried {
            name: name.to_owned(),
            not_applied: Some(reason.to_owned()),
            predicted_bytes_per_connection: None,
            saved_bytes_per_connection: None,
            predicted_resident_bytes: None,
            saved_resident_bytes: None,
            cost: None,
            flamegraph: None,
            reached: Vec::new(),
            remarks: Vec::new(),
        }
    }
}

impl From<&Figures> for Cost {
    fn from(figures: &Figures) -> Cost {
        Cost {
            connections: figures.connections,
            bytes_per_connection: figures.openssl_bytes_per_connection,
            blocks_per_connection: figures.blocks_per_connection,
            allocs_per_handshake: figures.allocs_per_handshake,
            resident_bytes: None,
            handshakes_per_second: figures.handshakes_per_second,
            handshakes_per_second_spread: figures.handshakes_per_second_spread,
        }
    }
}
