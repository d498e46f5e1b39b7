//! A dump as it is written: what the sampler saw, and what that stands for.

use std::collections::HashSet;

use ledger::Module;

/// A dump as it is written, nothing scaled.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeapDump {
    /// The mean number of bytes from one sampled block to the next; 0 and 1 mean that every block
    /// is in the dump.
    pub period: u64,
    /// What each stack holds.
    pub stacks: Vec<DumpedStack>,
    /// The files mapped into the process.
    pub modules: Vec<Module>,
}

/// One stack of a dump.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DumpedStack {
    /// Return addresses, innermost first.
    pub addresses: Vec<u64>,
    /// Sampled blocks and bytes in use.
    pub inuse: Sampled,
    /// Sampled blocks and bytes ever allocated; 0 unless the program accumulates them.
    pub alloc: Sampled,
}

/// Blocks and bytes that the sampler saw.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sampled {
    /// Number of blocks.
    pub blocks: u64,
    /// Bytes in them.
    pub bytes: u64,
}

impl Sampled {
    /// The blocks and bytes that these stand for, when one byte in `period` is sampled.
    pub fn unbiased(self, period: u64) -> (i64, i64) {
        if self.blocks == 0 || self.bytes == 0 || period <= 1 {
            return (in_range(self.blocks), in_range(self.bytes));
        }
        let average = self.bytes as f64 / self.blocks as f64;
        // 1 - exp(-x) without losing the digits of a small x.
        let probability = -(-average / period as f64).exp_m1();
        let scaled = |value: u64| (value as f64 / probability).round() as i64; // saturates
        (scaled(self.blocks), scaled(self.bytes))
    }
}

fn in_range(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

impl HeapDump {
    /// Leaves out the stacks that have one of these return addresses on them.
    pub fn leave_out(&mut self, callers: &HashSet<u64>) {
        self.stacks.retain(|stack| stack.addresses.iter().all(|at| !callers.contains(at)));
    }

    /// Bytes of sampled blocks in use, as they are and not what they stand for, over the stacks
    /// whose blocks have at most `largest` bytes on average.
    pub fn sampled_bytes(&self, largest: u64) -> u64 {
        let bytes = self
            .stacks
            .iter()
            .map(|stack| stack.inuse)
            .filter(|inuse| inuse.bytes <= inuse.blocks.saturating_mul(largest))
            .map(|inuse| inuse.bytes);
        bytes.fold(0, u64::saturating_add)
    }
}
