//! `watch --json`: stable field names, documented in docs/json.md.

use std::collections::BTreeMap;

use analysis::group::{By, Counts, Key};
use serde::Serialize;

use crate::json::top::{CountsJson, KeyJson, name};
use crate::records::recorder::RecorderRecord;

/// `watch --json`: what was seen at one look.
#[derive(Debug, Serialize)]
pub struct WatchJson<'a> {
    /// [`WatchJson::SCHEMA`].
    pub schema: u32,
    /// What is watched.
    pub target: &'a str,
    /// When, as in ISO 8601.
    pub at: String,
    /// Looks up to this one, and seconds since the first.
    pub look: u64,
    /// Seconds since the first look.
    pub seconds: f64,
    /// The processes that run.
    pub processes: Vec<WatchedProcessJson<'a>>,
    /// How many have ended since the first look.
    pub ended_processes: usize,
    /// SSL objects that are live; `null` in a sample.
    pub connections: Option<u64>,
    /// SSL objects ever made; `null` in a sample.
    pub connections_made: Option<u64>,
    /// What one connection holds of OpenSSL's memory.
    pub per_connection: WatchedCostJson,
    /// What happens in a second since the look before; `null` at the first look.
    pub per_second: Option<WatchedRatesJson>,
    /// Live objects by the names of their types; `null` in a sample.
    pub objects: Option<BTreeMap<&'static str, i64>>,
    /// What each domain holds.
    pub domains: Vec<WatchedDomainJson<'a>>,
    /// By what rows are added up: [`WatchJson::word`].
    pub by: &'static str,
    /// The rows, in the order that was asked for.
    pub rows: Vec<WatchedRowJson<'a>>,
    /// What the recorders say of themselves, together.
    pub recorder: RecorderRecord,
    /// What was refused or could not be read.
    pub problems: &'a [String],
}

impl WatchJson<'_> {
    /// The version of this shape.
    pub const SCHEMA: u32 = 1;

    /// The word for it.
    pub fn word(by: By) -> &'static str {
        name(by)
    }
}

/// One process that runs.
#[derive(Debug, Serialize)]
pub struct WatchedProcessJson<'a> {
    /// Its id.
    pub pid: u32,
    /// Its program.
    pub program: &'a str,
    /// What it holds, all domains together.
    pub inuse_bytes: u64,
    /// Blocks of that.
    pub inuse_blocks: u64,
    /// Its live SSL objects.
    pub connections: Option<u64>,
    /// Resident bytes.
    pub resident_bytes: Option<u64>,
}

/// What one connection holds.
#[derive(Debug, Serialize)]
pub struct WatchedCostJson {
    /// `steps`, `at_most` or `unknown`.
    pub how: &'static str,
    /// Bytes.
    pub bytes: Option<f64>,
    /// Blocks.
    pub blocks: Option<f64>,
    /// Whether the bytes are known to the byte.
    pub certain: bool,
}

/// What happens in a second.
#[derive(Debug, Serialize)]
pub struct WatchedRatesJson {
    /// Over so many seconds.
    pub over_seconds: f64,
    /// Blocks allocated.
    pub allocations: f64,
    /// Blocks freed.
    pub frees: f64,
    /// Bytes allocated.
    pub allocated_bytes: f64,
    /// SSL objects made.
    pub connections_made: Option<f64>,
}

/// What a domain holds, and what was ever asked for, by processes that have ended too.
#[derive(Debug, Serialize)]
pub struct WatchedDomainJson<'a> {
    /// Which.
    pub domain: &'a str,
    /// Bytes live.
    pub inuse_bytes: u64,
    /// Blocks live.
    pub inuse_blocks: u64,
    /// Bytes ever allocated.
    pub alloc_bytes: u64,
    /// Blocks ever allocated.
    pub alloc_blocks: u64,
}

/// One row.
#[derive(Debug, Serialize)]
pub struct WatchedRowJson<'a> {
    #[serde(flatten)]
    key: KeyJson<'a>,
    #[serde(flatten)]
    counts: CountsJson,
    /// Bytes of each connection, where that is told by steps.
    bytes_per_connection: Option<f64>,
    /// By how many bytes in use it has grown since the first look.
    change_bytes: i64,
    /// By how many blocks in use.
    change_blocks: i64,
    /// Blocks allocated in a second since the look before.
    allocations_per_second: Option<f64>,
}

impl<'a> WatchedRowJson<'a> {
    /// A row by what it stands for, with what it holds.
    pub fn new(key: &'a Key, by: By, counts: Counts) -> WatchedRowJson<'a> {
        WatchedRowJson {
            key: KeyJson::new(key, by),
            counts: counts.into(),
            bytes_per_connection: None,
            change_bytes: 0,
            change_blocks: 0,
            allocations_per_second: None,
        }
    }

    /// With what it has grown by: bytes and blocks.
    #[must_use]
    pub fn grown_by(self, change_bytes: i64, change_blocks: i64) -> WatchedRowJson<'a> {
        WatchedRowJson { change_bytes, change_blocks, ..self }
    }

    /// With bytes of each connection, and allocations in a second, where they are known.
    #[must_use]
    pub fn with(
        self,
        bytes_per_connection: Option<f64>,
        allocations_per_second: Option<f64>,
    ) -> WatchedRowJson<'a> {
        WatchedRowJson { bytes_per_connection, allocations_per_second, ..self }
    }
}
