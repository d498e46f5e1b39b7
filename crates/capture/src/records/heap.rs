//! What everybody else than OpenSSL asked the malloc family and the kernel for, in JSON.

use serde::{Deserialize, Serialize};

use crate::records::counts::CountsRecord;
use crate::records::recording::StepsRecord;

/// The memory of the malloc family, less OpenSSL's, and that of mappings, of all recorded processes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct HeapRecord {
    /// The malloc family's, all processes added up, at the capture.
    pub counts: CountsRecord,
    /// Whether peaks are what was live when OpenSSL's total was highest in each process, and not the
    /// total of all that was counted. Records of before there was a choice have that of all.
    #[serde(default)]
    pub peak_is_openssls: bool,
    /// What was mapped from the kernel without a file behind it and may be touched, but for what
    /// the allocator maps, in the same way: requested bytes in whole pages, and mappings. Records
    /// of before it was counted have none.
    #[serde(default)]
    pub mappings: CountsRecord,
    /// Python's objects, in the same way, where they are counted one by one; what they lie in is then
    /// in no other figure. `null` where that was not asked for.
    #[serde(default)]
    pub python: Option<CountsRecord>,
    /// What one connection costs of the malloc family's, by the steps between looks; `null` where
    /// that cannot be said.
    pub steps: Option<StepsRecord>,
    /// What one connection costs of mappings, in the same way. A mapping that serves many
    /// connections leaves that open: the interval says how far.
    #[serde(default)]
    pub mapped_steps: Option<StepsRecord>,
    /// What one connection costs of Python's objects, in the same way.
    #[serde(default)]
    pub python_steps: Option<StepsRecord>,
    /// By how many bytes it grew for each connection since the moment before the first, where the
    /// steps do not say; `null` where they do, or there was no such moment.
    pub grown_bytes_each: Option<f64>,
    /// The functions that ask for it on a connection's behalf, the most first. Where the steps do
    /// not say, those by which it grew since the moment before the first, for each connection.
    pub holders: Vec<HolderRecord>,
    /// The functions that had asked for most at the capture, in all, or where the program had ended
    /// by then at the highest total of each process: the largest few, mappings that are made to be
    /// shared among them. Of a sample there are none.
    #[serde(default)]
    pub largest: Vec<HolderRecord>,
    /// Processes in which it was counted from the moment on at which they had an OpenSSL, and not
    /// from their start. Records of before there were such have none.
    #[serde(default)]
    pub late_processes: u64,
    /// Blocks that were freed or moved and are from before the recorder came: they are in no other
    /// figure.
    pub earlier_blocks: u64,
}

impl HeapRecord {
    /// Whether its figures are estimates, of a part of the blocks. Mappings are not counted then.
    pub fn is_sampled(&self) -> bool {
        self.counts.interval95.is_some()
    }
}

/// A function that holds memory, of all or for each connection.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HolderRecord {
    /// The function that asked for it.
    pub function: String,
    /// Functions that lead there and tell its story, outermost first.
    pub through: Vec<String>,
    /// Requested bytes, in all or for each open connection.
    pub bytes: f64,
    /// Blocks, in all or for each open connection.
    pub blocks: f64,
}
