//! jemalloc's heap dumps, `heap_v2/<period>`.
//!
//! ```text
//! heap_v2/131072                 one byte in so many is sampled, on average
//!   t*: 3: 48 [0: 0]             all stacks: blocks: bytes [blocks ever: bytes ever]
//!   t1: 3: 48 [0: 0]             one thread of them
//! @ 0x55d01 0x55d02              a stack, innermost return address first
//!   t*: 3: 48 [0: 0]
//!   t1: 3: 48 [0: 0]
//!
//! MAPPED_LIBRARIES:
//! 00400000-00452000 r-xp 00000000 08:02 173521 /usr/bin/program
//! ```
//!
//! A block is in the sample with a probability that grows with its size, so counts have to be
//! scaled by the inverse of that probability, stack by stack, before anything is added up. The
//! dump has no sizes of single blocks, only each stack's average. That is enough: since 5.3
//! jemalloc itself keeps the right totals by size class, and prints for each stack the numbers
//! that become those totals when a reader scales by the average.

mod dump;
mod maps;
mod parser;

use std::io::BufRead;

use crate::allocator_frames::without_allocator;
use crate::symbols::{AddressKind, Symbols};
use crate::{Metric, Profile, ReadError, Sample, ValueType};
use contract::{Domain, labels};

pub use self::dump::{DumpedStack, HeapDump, Sampled};
pub use self::parser::parse;

/// The value of the label `domain` on every sample made here.
const DOMAIN: Domain = Domain::Rust;

impl HeapDump {
    /// The profile of the dump: `inuse_` columns, and `alloc_` columns when the program
    /// accumulated them. Stacks are named as far as the mapped files are there, and begin at the
    /// function that asked for the memory: the allocator's own frames are left out.
    pub fn profile(&self, symbols: &mut Symbols) -> Profile {
        let accumulated = self.stacks.iter().any(|stack| stack.alloc != Sampled::default());
        let columns = if accumulated { 4 } else { 2 };
        let types = Metric::ALL[..columns]
            .iter()
            .map(|m| ValueType { kind: m.kind().to_owned(), unit: m.unit().to_owned() })
            .collect();
        let mut profile = Profile::new(types, Some(1));
        let mut space = symbols.address_space(None, &self.modules);
        space.program_first(&mut profile);
        for dumped in &self.stacks {
            let stack: Vec<_> = dumped
                .addresses
                .iter()
                .map(|address| space.location(&mut profile, *address, AddressKind::Return))
                .collect();
            let stack = without_allocator(&mut profile, &stack);
            let (inuse_blocks, inuse_bytes) = dumped.inuse.unbiased(self.period);
            let (alloc_blocks, alloc_bytes) = dumped.alloc.unbiased(self.period);
            let mut values = vec![inuse_blocks, inuse_bytes, alloc_blocks, alloc_bytes];
            values.truncate(columns);
            let mut sample = Sample { stack, values, labels: Vec::new() };
            sample.set_label(labels::DOMAIN, DOMAIN.word());
            profile.push(sample);
        }
        profile
    }
}

/// Reads a dump and names its stacks. `name` is what errors call the file.
pub fn read(text: impl BufRead, name: &str) -> Result<Profile, ReadError> {
    Ok(parse(text, name)?.profile(&mut Symbols::new()))
}

#[cfg(test)]
mod tests;
