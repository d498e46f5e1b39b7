//! `run.json` of `tlsheap record`: what was recorded, how much of it was seen, and what came of
//! it. Documented in docs/json.md.

use std::collections::BTreeMap;
use std::path::Path;

use ledger::{Found, Outcome, Way};
use serde::Serialize;

use crate::interval_json::Ends;
use crate::machine::Machine;
use crate::run_record::{CountsRecord, RecorderRecord, SymbolsRecord};

/// What [`Recording::kind`] holds; runs of the reference server have no such field.
const KIND: &str = "record";

/// The version of this file's shape.
pub const SCHEMA: u32 = 1;

/// One recording.
#[derive(Debug, Serialize)]
pub struct Recording {
    /// [`SCHEMA`].
    pub schema: u32,
    /// `record`.
    pub kind: &'static str,
    /// The program and its arguments.
    pub command: Vec<String>,
    /// How the program ended, in words.
    pub ended: String,
    /// Its exit code; `null` when a signal ended it.
    pub exit_code: Option<i32>,
    /// When the figures were read, in words.
    pub captured: String,
    /// The same in seconds after the program's start; `null` when that was at its end.
    pub captured_after_seconds: Option<f64>,
    /// SSL objects that were live at the capture; `null` without one while the program ran. Each
    /// end of a connection has one.
    pub connections: Option<u64>,
    /// What one SSL object costs; `null` without any.
    pub per_connection: Option<PerSslObject>,
    /// The last still moment before the capture without SSL objects; `null` when there was none.
    pub baseline: Option<BaselineRecord>,
    /// Live OpenSSL objects by kind at the capture.
    pub objects: BTreeMap<String, i64>,
    /// How many captures are in `series`.
    pub series: usize,
    /// This program's version.
    pub tlsheap: String,
    /// The commit it was built from, where it is known.
    pub commit: Option<String>,
    /// What it ran on.
    pub machine: Machine,
    /// When the program was started.
    pub started: String,
    /// From its start to its end.
    pub seconds: f64,
    /// All processes added up. Their peaks need not have come at one time.
    pub openssl: CountsRecord,
    /// Every process that allocated in an OpenSSL, in order of their first allocations.
    pub processes: Vec<ProcessRecord>,
    /// What was not seen, in sentences.
    pub problems: Vec<String>,
    /// How well addresses could be named.
    pub symbols: SymbolsRecord,
}

/// OpenSSL's memory for each SSL object.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct PerSslObject {
    /// Whether what was there before the first connection is taken off. If not, the figures are
    /// at most right: everything that OpenSSL holds is in them.
    pub less_baseline: bool,
    /// Requested bytes.
    pub bytes: f64,
    /// Blocks.
    pub blocks: f64,
    /// SSL objects that were made since the baseline.
    pub made: u64,
    /// Allocations since the baseline for each of them; `null` when none was made.
    pub allocations: Option<f64>,
}

/// OpenSSL's memory before the first connection.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct BaselineRecord {
    /// After the program's start.
    pub after_seconds: f64,
    /// All processes added up.
    pub openssl: CountsRecord,
}

/// One process.
#[derive(Debug, Serialize)]
pub struct ProcessRecord {
    /// Its id.
    pub pid: u32,
    /// Path of its program.
    pub program: String,
    /// The recorded process that forked it; `null` when it began with a program of its own.
    pub forked_from: Option<u32>,
    /// Its profile, in the folder.
    pub profile: String,
    /// Its own allocations at the capture.
    pub openssl: CountsRecord,
    /// The same when the program had ended.
    pub openssl_at_end: CountsRecord,
    /// What it had from the process that forked it.
    pub inherited: InheritedRecord,
    /// The OpenSSLs in it.
    pub openssls: Vec<OpensslRecord>,
    /// What the recorder says of itself.
    pub recorder: RecorderRecord,
    /// Sites whose stacks end before their root, for lack of unwind tables.
    pub broken_stacks: u64,
}

/// Blocks that a process had from the one that forked it: in none of its other figures.
#[derive(Debug, Serialize)]
pub struct InheritedRecord {
    pub blocks: u64,
    pub bytes: u64,
    pub freed_blocks: u64,
    pub freed_bytes: u64,
    /// How far off the bytes may be, where a part of the blocks was counted. Of the blocks that is
    /// not known: their sizes are in no ledger.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes_interval95: Option<Ends>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub freed_bytes_interval95: Option<Ends>,
}

/// One OpenSSL in a process.
#[derive(Debug, Serialize)]
pub struct OpensslRecord {
    /// The file it lies in, without its folder.
    pub object: String,
    /// What it says of itself.
    pub version: String,
    /// How it was found, in a word of [`ledger::Way`].
    pub way: &'static str,
    /// What came of it, in a word of [`ledger::Outcome`].
    pub outcome: &'static str,
}

impl Recording {
    /// The value of `kind`.
    pub const KIND: &'static str = KIND;

    /// Whether the `run.json` at `path` is one of these. One that cannot be read is not.
    pub fn is_at(path: &Path) -> bool {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        serde_json::from_str::<serde_json::Value>(&text).is_ok_and(|value| value["kind"] == KIND)
    }
}

impl Recording {
    /// The version of the OpenSSL that was recorded, if all processes had the same.
    pub fn openssl_at(path: &Path) -> Option<String> {
        let text = std::fs::read_to_string(path).ok()?;
        let value: serde_json::Value = serde_json::from_str(&text).ok()?;
        let processes = value["processes"].as_array()?;
        let mut versions = processes
            .iter()
            .filter_map(|process| process["openssls"].as_array())
            .flatten()
            .filter(|openssl| openssl["outcome"] == "recorded")
            .filter_map(|openssl| openssl["version"].as_str())
            .filter(|version| !version.is_empty());
        let first = versions.next()?;
        versions.all(|version| version == first).then(|| first.to_owned())
    }
}

impl From<&Found> for OpensslRecord {
    fn from(found: &Found) -> OpensslRecord {
        OpensslRecord {
            object: found.object.rsplit('/').next().unwrap_or_default().to_owned(),
            version: found.version.clone(),
            way: found.way.word(),
            outcome: found.outcome.word(),
        }
    }
}

/// The way into an OpenSSL, in words.
pub fn way_in_words(way: Way) -> &'static str {
    match way {
        Way::Exported => "its setter is exported",
        Way::SymbolTable => "its setter is in the symbol table",
        Way::Instructions => "its setter was recognised by its code",
        Way::VariableSymbols => "its variables are in the symbol table",
        Way::VariableInstructions => "its variables were read out of its code",
        _ => "no way into it is known",
    }
}

/// How an OpenSSL was found and what came of it, in words.
pub fn describe(found: &Found) -> String {
    let way = way_in_words(found.way);
    match found.outcome {
        Outcome::Recorded => format!("recorded from its first allocation on ({way})"),
        Outcome::Chained => format!(
            "recorded from its first allocation on, above the program's own memory functions \
             ({way})"
        ),
        Outcome::Late => {
            format!("recorded since it was found; what it had allocated before is unknown ({way})")
        }
        Outcome::Refused => {
            format!("not recorded: it had allocated memory before it was found ({way})")
        }
        Outcome::Replaced => {
            "not recorded: the program has put memory functions of its own into it".to_owned()
        }
        _ => format!("not recorded: {way}"),
    }
}
