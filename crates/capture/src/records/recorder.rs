//! What the recorder says of itself, and what it takes, in JSON.

use ledger::Statistics;
use profile::Sampling;
use serde::{Deserialize, Serialize};

use crate::json::interval::{self, Ends, of_any_bytes};

/// What the recorder says of itself.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RecorderRecord {
    /// Allocation sites that were seen.
    pub sites: u64,
    /// Sites that there is room for.
    pub site_capacity: u64,
    /// Allocations at sites for which there was no room: they are in the totals alone.
    pub dropped_blocks: u64,
    /// Bytes of those.
    pub dropped_bytes: u64,
    /// Allocations that are in no figure, since there was no room for the block or its thread.
    pub untracked_blocks: u64,
    /// Bytes of those.
    pub untracked_bytes: u64,
    /// How far off that may be, where a part of the blocks was counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub untracked_bytes_interval95: Option<Ends>,
    /// Frees of blocks that were never seen allocated.
    pub foreign_frees: u64,
    /// Blocks that were freed behind OpenSSL's back.
    pub stale_blocks: u64,
    /// Calls from within the recorder, which are not counted.
    pub nested_calls: u64,
    /// Stacks that are deeper than the recorder keeps.
    pub truncated_stacks: u64,
    /// Whether somebody else's functions took the recorder's place.
    pub hook_replaced: bool,
    /// Whether the process has put up a system-call filter.
    #[serde(default)]
    pub sandboxed: bool,
    /// Processes that it forked, that used OpenSSL and could not be recorded.
    #[serde(default)]
    pub unrecorded_children: u64,
    /// Allocations and frees that the highest total does not know of; all other figures do.
    #[serde(default)]
    pub unsettled_events: u64,
    /// How far samples lie apart, where a part of the blocks was counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sampled_every_bytes: Option<u64>,
    /// Size of the ledger.
    pub ledger_bytes: u64,
    /// Memory of the recorder's own tables: an upper bound.
    pub private_bytes: u64,
}

/// What the recorder itself takes of the server's resident memory.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct RecorderMemory {
    /// The ledger and the recorder's tables, with every connection at rest.
    pub resident_bytes: u64,
    /// Resident bytes for each block that OpenSSL held then.
    pub bytes_per_live_block: f64,
    /// How far off that may be, where the blocks are estimates and surely some.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes_per_live_block_interval95: Option<Ends>,
    /// What was added since the baseline, for each block that was added.
    pub bytes_per_added_block: f64,
    /// How far off the bytes for each added block may be, where the blocks are estimates and surely
    /// some.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes_per_added_block_interval95: Option<Ends>,
}

impl RecorderRecord {
    /// What a recorder said that sampled so, if it did.
    pub fn new(statistics: &Statistics, sampling: Option<Sampling>) -> RecorderRecord {
        RecorderRecord {
            sites: statistics.sites,
            site_capacity: statistics.site_capacity,
            dropped_blocks: statistics.dropped.alloc_blocks,
            dropped_bytes: statistics.dropped.alloc_bytes,
            untracked_blocks: statistics.untracked_blocks,
            untracked_bytes: statistics.untracked_bytes,
            untracked_bytes_interval95: of_any_bytes(statistics.untracked_bytes, sampling),
            foreign_frees: statistics.foreign_frees,
            stale_blocks: statistics.stale_blocks,
            nested_calls: statistics.nested_calls,
            truncated_stacks: statistics.truncated_stacks,
            hook_replaced: statistics.hook_replaced,
            sandboxed: statistics.sandboxed,
            unrecorded_children: statistics.unrecorded_children,
            unsettled_events: statistics.unsettled_events,
            sampled_every_bytes: sampling.map(Sampling::interval),
            ledger_bytes: statistics.ledger_bytes,
            private_bytes: statistics.private_bytes,
        }
    }
}

impl From<&analysis::recorder_memory::RecorderMemory> for RecorderMemory {
    fn from(memory: &analysis::recorder_memory::RecorderMemory) -> RecorderMemory {
        RecorderMemory {
            resident_bytes: memory.resident_bytes,
            bytes_per_live_block: memory.per_live_block.figure,
            bytes_per_live_block_interval95: interval::of_estimate(memory.per_live_block),
            bytes_per_added_block: memory.per_added_block.figure,
            bytes_per_added_block_interval95: interval::of_estimate(memory.per_added_block),
        }
    }
}

impl RecorderMemory {
    /// Half the widths of the 95 % intervals of both figures per block.
    pub fn margins(&self) -> [Option<f64>; 2] {
        [
            (self.bytes_per_live_block, self.bytes_per_live_block_interval95),
            (self.bytes_per_added_block, self.bytes_per_added_block_interval95),
        ]
        .map(|(figure, ends)| interval::margin(figure, ends))
    }
}
