//! What memory recorded processes have beside OpenSSL's.

use analysis::footprint::Footprint;
use analysis::memory_growth::MemoryGrowth;
use serde::{Deserialize, Serialize};

/// Resident memory of all recorded processes, where a page that several have is divided among them.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct MemoryRecord {
    /// In no file, at the capture; where the program had ended by then, when it was last seen.
    pub anonymous_bytes: u64,
    /// Shared memory that is in no file.
    pub shared_bytes: u64,
    /// Code and data of files.
    pub files_bytes: u64,
    /// The recorder's own, in no other figure.
    pub recorder_bytes: u64,
    /// What OpenSSL had asked for and held at that moment.
    pub openssl_bytes: u64,
    /// The most anonymous and shared bytes that were seen.
    pub most_own_bytes: u64,
    /// By how much that grew while connections came; `null` where few came, or none.
    pub growth: Option<MemoryGrowthRecord>,
}

/// The growth of anonymous and shared bytes.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct MemoryGrowthRecord {
    /// Live SSL objects, of which there had not been more before.
    pub from_connections: u64,
    /// The most live SSL objects.
    pub to_connections: u64,
    /// Bytes for each that came.
    pub bytes_each: f64,
    /// Bytes that OpenSSL asked for and held, for each that came.
    pub openssl_bytes_each: f64,
}

impl MemoryRecord {
    /// Of the capture, and when the processes had most.
    pub fn new(
        at_capture: Footprint,
        openssl_bytes: u64,
        most: Footprint,
        growth: Option<MemoryGrowth>,
    ) -> MemoryRecord {
        MemoryRecord {
            anonymous_bytes: at_capture.anonymous,
            shared_bytes: at_capture.shared,
            files_bytes: at_capture.files,
            recorder_bytes: at_capture.recorder,
            openssl_bytes,
            most_own_bytes: most.own().max(at_capture.own()),
            growth: growth.as_ref().map(MemoryGrowthRecord::from),
        }
    }

    /// What the processes have to themselves: neither files nor the recorder's.
    pub fn own_bytes(&self) -> u64 {
        self.anonymous_bytes.saturating_add(self.shared_bytes)
    }
}

impl From<&MemoryGrowth> for MemoryGrowthRecord {
    fn from(growth: &MemoryGrowth) -> MemoryGrowthRecord {
        MemoryGrowthRecord {
            from_connections: growth.from,
            to_connections: growth.to,
            bytes_each: growth.bytes_each(),
            openssl_bytes_each: growth.openssl_bytes_each(),
        }
    }
}
