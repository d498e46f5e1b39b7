//! The counts of all threads, added up by site.

use std::mem::offset_of;

use crate::layout::{CellRecord, DROPPED_CELL, Header, PeakRecord, SiteRecord};
use crate::reader::place::Place;
use crate::reader::{Counters, Layout, statistic, u32_at, u64_at};
use crate::snapshot::Counts;
use crate::statistic::Statistic;
use crate::{LedgerError, Sampling};

/// The cells of all threads added up; a thread that frees what others allocated goes below zero,
/// their sum does not.
pub struct Totals {
    epoch: u64,
    /// By site number; 0 is none.
    pub signed: Vec<Signed>,
    /// Allocations whose site was dropped.
    pub dropped: Signed,
}

/// Sums of cells, as they were read.
#[derive(Clone, Copy, Default)]
pub struct Signed {
    alloc_blocks: u64,
    alloc_bytes: u64,
    free_blocks: u64,
    free_bytes: u64,
    peak_blocks: i64,
    peak_bytes: i64,
}

impl Totals {
    pub fn new(counters: &Counters) -> Totals {
        let sites = counters.sites.len() / size_of::<SiteRecord>();
        let at = offset_of!(Header, peak) + offset_of!(PeakRecord, epoch);
        let header = &counters.header;
        Totals {
            epoch: u64_at(header, at),
            signed: vec![Signed::default(); sites + 1],
            dropped: Signed {
                free_blocks: statistic(header, Statistic::SpilledDroppedBlocks),
                free_bytes: statistic(header, Statistic::SpilledDroppedBytes),
                ..Signed::default()
            },
        }
    }

    pub fn add_cells(
        &mut self,
        place: &Place,
        layout: &Layout,
        counters: &Counters,
    ) -> Result<(), LedgerError> {
        let size = size_of::<CellRecord>();
        for (at, cell) in counters.cells.chunks_exact(size).enumerate() {
            let number = u32_at(cell, offset_of!(CellRecord, site));
            let sum = match number {
                0 => continue, // handed out, not yet claimed
                DROPPED_CELL => &mut self.dropped,
                number => match self.signed.get_mut(number as usize) {
                    Some(sum) => sum,
                    // Live: the site came after the sites were read.
                    None if number <= layout.capacities.sites => continue,
                    None => {
                        let offset = layout.regions.cells + (at * size) as u64;
                        let range = format!("at most {}", layout.capacities.sites);
                        return Err(place.invalid(offset, "site of a cell", range, number));
                    }
                },
            };
            sum.add_cell(cell, self.epoch);
        }
        Ok(())
    }
}

impl Signed {
    fn add_cell(&mut self, cell: &[u8], epoch: u64) {
        let alloc_blocks = u64_at(cell, offset_of!(CellRecord, alloc_blocks));
        let alloc_bytes = u64_at(cell, offset_of!(CellRecord, alloc_bytes));
        let free_blocks = u64_at(cell, offset_of!(CellRecord, free_blocks));
        let free_bytes = u64_at(cell, offset_of!(CellRecord, free_bytes));
        let saved = u64_at(cell, offset_of!(CellRecord, epoch)) == epoch;
        let (peak_blocks, peak_bytes) = if saved {
            (
                u64_at(cell, offset_of!(CellRecord, peak_blocks)) as i64,
                u64_at(cell, offset_of!(CellRecord, peak_bytes)) as i64,
            )
        } else {
            (
                alloc_blocks.wrapping_sub(free_blocks) as i64,
                alloc_bytes.wrapping_sub(free_bytes) as i64,
            )
        };
        self.alloc_blocks = self.alloc_blocks.wrapping_add(alloc_blocks);
        self.alloc_bytes = self.alloc_bytes.wrapping_add(alloc_bytes);
        self.free_blocks = self.free_blocks.wrapping_add(free_blocks);
        self.free_bytes = self.free_bytes.wrapping_add(free_bytes);
        self.peak_blocks = self.peak_blocks.wrapping_add(peak_blocks);
        self.peak_bytes = self.peak_bytes.wrapping_add(peak_bytes);
    }

    pub fn spill(&mut self, record: &[u8]) {
        let blocks = u64_at(record, offset_of!(SiteRecord, spilled_free_blocks));
        let bytes = u64_at(record, offset_of!(SiteRecord, spilled_free_bytes));
        self.free_blocks = self.free_blocks.wrapping_add(blocks);
        self.free_bytes = self.free_bytes.wrapping_add(bytes);
    }

    /// What the counted blocks stand for, each of `bytes` bytes. The bytes in the cells are
    /// weights, which have been rounded block by block, and are not looked at here.
    pub fn estimated(self, sampling: Sampling, bytes: u64, site: usize) -> Counts {
        let counted = self.unsigned();
        // The same at every reading, so that a site at which nothing happens does not change. Parts
        // of the golden ratio lie evenly between 0 and 1.
        let chance = (site as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 11;
        let chance = chance as f64 / (1_u64 << 53) as f64;
        let whole = |blocks| sampling.estimate(bytes, blocks).whole(chance);
        let (inuse_blocks, inuse_bytes) = whole(counted.inuse_blocks);
        let (alloc_blocks, alloc_bytes) = whole(counted.alloc_blocks);
        let (peak_blocks, peak_bytes) = whole(counted.peak_blocks);
        Counts { inuse_blocks, inuse_bytes, alloc_blocks, alloc_bytes, peak_blocks, peak_bytes }
    }

    /// A live reading may see a free before the allocation it belongs to; that is nothing in use,
    /// not a huge number.
    pub fn unsigned(self) -> Counts {
        Counts {
            inuse_blocks: self.alloc_blocks.saturating_sub(self.free_blocks),
            inuse_bytes: self.alloc_bytes.saturating_sub(self.free_bytes),
            alloc_blocks: self.alloc_blocks,
            alloc_bytes: self.alloc_bytes,
            peak_blocks: self.peak_blocks.max(0) as u64,
            peak_bytes: self.peak_bytes.max(0) as u64,
        }
    }
}
