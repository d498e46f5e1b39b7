//! The live blocks and mappings of a process. Its recorder knows each, and the ledger only their
//! sums; so they are read from the process's own memory, at the places that the ledger names.
//!
//! A running process changes them meanwhile: a block that comes or goes may be seen or not.

use std::io;
use std::mem::offset_of;
use std::ops::Range;

use crate::layout::{
    LevelRecord, MappingsRecord, PieceRecord, SIZE_BITS, SLOTS_PER_BUCKET, SlotRecord,
};

/// Where a process has its tables, in its own memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LiveTables {
    /// The levels of the table of live blocks.
    pub levels: Vec<u64>,
    /// The table of mappings; `None` where none are counted.
    pub mappings: Option<u64>,
}

/// The memory of a process.
pub trait Memory {
    /// Fills `into` with what lies from `address` on. Memory that was never touched holds zeros,
    /// and is better not touched by this.
    fn read(&self, address: u64, into: &mut [u8]) -> io::Result<()>;
}

/// A block that is live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LiveBlock {
    /// Where it begins.
    pub address: u64,
    /// Requested bytes.
    pub bytes: u64,
    /// The number of the cell that it is counted in: see
    /// [`Snapshot::sites_of_cells`](crate::Snapshot::sites_of_cells).
    pub cell: u32,
}

/// A piece of a mapping that may be touched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveMapping {
    /// Whole pages.
    pub addresses: Range<u64>,
    /// The number of the cell that it is counted in.
    pub cell: u32,
}

/// Buckets that a level may have: a recorder's largest has fewer.
const MOST_BUCKETS: u64 = 1 << 26;
/// Blocks and pieces that are read.
const MOST_BLOCKS: usize = 1 << 24;
const MOST_PIECES: u64 = 1 << 17;
/// Bytes that are read at once.
const AT_ONCE: usize = 1 << 20;

impl LiveTables {
    /// The live blocks, in the order of their addresses.
    pub fn blocks(&self, memory: &impl Memory) -> io::Result<Vec<LiveBlock>> {
        let mut blocks = Vec::new();
        for level in &self.levels {
            let mut head = [0; size_of::<LevelRecord>()];
            memory.read(*level, &mut head)?;
            let mask = u64_at(&head, offset_of!(LevelRecord, mask));
            let buckets = mask.wrapping_add(1);
            if !buckets.is_power_of_two() || buckets > MOST_BUCKETS {
                return Err(damaged("a level of live blocks"));
            }
            let bytes = buckets as usize * SLOTS_PER_BUCKET * size_of::<SlotRecord>();
            let first = level.saturating_add(size_of::<LevelRecord>() as u64);
            in_parts(memory, first, bytes, |part| {
                blocks.extend(part.chunks_exact(size_of::<SlotRecord>()).filter_map(block));
                if blocks.len() > MOST_BLOCKS {
                    return Err(damaged("a table of live blocks"));
                }
                Ok(())
            })?;
        }
        blocks.sort_unstable_by_key(|block| block.address);
        Ok(blocks)
    }

    /// The pieces of mappings that may be touched, in the order of their addresses.
    pub fn mappings(&self, memory: &impl Memory) -> io::Result<Vec<LiveMapping>> {
        let mut mappings = Vec::new();
        let Some(table) = self.mappings else { return Ok(mappings) };
        let mut head = [0; size_of::<MappingsRecord>()];
        memory.read(table, &mut head)?;
        let pieces = u64_at(&head, offset_of!(MappingsRecord, pieces));
        if pieces > MOST_PIECES {
            return Err(damaged("a table of mappings"));
        }
        let first = table.saturating_add(size_of::<MappingsRecord>() as u64);
        in_parts(memory, first, pieces as usize * size_of::<PieceRecord>(), |part| {
            mappings.extend(part.chunks_exact(size_of::<PieceRecord>()).filter_map(mapping));
            Ok(())
        })?;
        mappings.sort_unstable_by_key(|mapping| mapping.addresses.start);
        Ok(mappings)
    }
}

fn in_parts(
    memory: &impl Memory,
    first: u64,
    bytes: usize,
    mut each: impl FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<()> {
    let mut buffer = vec![0; AT_ONCE.min(bytes)];
    for start in (0..bytes).step_by(AT_ONCE) {
        let part = &mut buffer[..AT_ONCE.min(bytes - start)];
        memory.read(first.saturating_add(start as u64), part)?;
        each(part)?;
    }
    Ok(())
}

fn block(slot: &[u8]) -> Option<LiveBlock> {
    let address = u64_at(slot, offset_of!(SlotRecord, pointer));
    let block = u64_at(slot, offset_of!(SlotRecord, block));
    let (cell, bytes) = ((block >> SIZE_BITS) as u32, block & ((1 << SIZE_BITS) - 1));
    (address != 0 && cell != 0).then_some(LiveBlock { address, bytes, cell })
}

fn mapping(piece: &[u8]) -> Option<LiveMapping> {
    let at = |offset| u64_at(piece, offset);
    let addresses = at(offset_of!(PieceRecord, start))..at(offset_of!(PieceRecord, end));
    let cell = at(offset_of!(PieceRecord, cell)) as u32;
    (cell != 0 && !addresses.is_empty()).then_some(LiveMapping { addresses, cell })
}

fn u64_at(bytes: &[u8], offset: usize) -> u64 {
    u64::from_le_bytes(std::array::from_fn(|at| bytes[offset + at]))
}

fn damaged(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("{what} cannot be one"))
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Plain(Vec<u8>);

    impl Memory for Plain {
        fn read(&self, address: u64, into: &mut [u8]) -> io::Result<()> {
            let start = address as usize;
            let from = self.0.get(start..start.saturating_add(into.len()));
            into.copy_from_slice(from.ok_or(io::ErrorKind::UnexpectedEof)?);
            Ok(())
        }
    }

    fn memory(words: &[(usize, u64)]) -> Plain {
        let mut bytes = vec![0; 4_096];
        for (at, word) in words {
            bytes[*at..at + 8].copy_from_slice(&word.to_le_bytes());
        }
        Plain(bytes)
    }

    fn tables(level: u64, mappings: u64) -> LiveTables {
        LiveTables { levels: vec![level], mappings: Some(mappings) }
    }

    #[test]
    fn blocks_and_mappings_are_what_lies_in_the_tables() {
        let memory = memory(&[
            (64, 1), // a level of two buckets at 64, its first slot at 128
            (128, 0x9000),
            (136, 7 << SIZE_BITS | 0x12c),
            (144, 0x8000), // it was just claimed
            (208, 0x1000),
            (216, 8 << SIZE_BITS),
            (1_024, 2), // two pieces, from 1,056 on
            (1_056, 0x5000),
            (1_064, 0x7000),
            (1_072, 3),
            (1_088, 0x7000),
            (1_096, 0x9000), // reserved
        ]);
        let tables = tables(64, 1_024);
        let block = |address, bytes, cell| LiveBlock { address, bytes, cell };
        assert_eq!(
            tables.blocks(&memory).expect("sound"),
            [block(0x1000, 0, 8), block(0x9000, 300, 7)]
        );
        let mappings = tables.mappings(&memory).expect("sound");
        assert_eq!(mappings, [LiveMapping { addresses: 0x5000..0x7000, cell: 3 }]);
        assert_eq!(LiveTables::default().blocks(&memory).expect("none"), []);
        assert_eq!(LiveTables::default().mappings(&memory).expect("none"), []);
    }

    #[test]
    fn what_cannot_be_a_table_is_refused_before_it_is_followed() {
        for mask in [2, u64::MAX, u64::MAX >> 1] {
            let memory = memory(&[(64, mask), (1_024, mask << 16)]);
            assert!(tables(64, 1_024).blocks(&memory).is_err());
            assert!(tables(64, 1_024).mappings(&memory).is_err());
        }
        let far = memory(&[(64, 0xff)]);
        assert!(tables(64, 0).blocks(&far).is_err(), "it reaches beyond the memory");
        assert!(tables(u64::MAX, u64::MAX).blocks(&far).is_err());
    }
}
