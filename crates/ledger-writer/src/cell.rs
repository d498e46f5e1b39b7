//! A cell: what one thread counts at one site.

use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};

use ledger::layout::{CELL_BESIDE_PEAK, CellRecord, DROPPED_CELL};

use crate::account::{Account, Lease, Stored};
use crate::peak::Change;
use crate::site_key::SiteId;

/// One thread's counts at one site. Only the thread that claimed it may change it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cell(NonNull<CellRecord>);

impl Cell {
    /// The cell with this record, which is populated, aligned, and never unmapped.
    pub(crate) fn at(record: NonNull<CellRecord>) -> Cell {
        Cell(record)
    }

    /// What the cell's owner calls itself.
    #[inline]
    pub fn owner(self) -> u32 {
        self.record().owner.load(Ordering::Relaxed) & !CELL_BESIDE_PEAK
    }

    /// How many of so many bytes are a part of what the highest total is of: all of them, or none,
    /// in two instructions and without a branch, from a cache line that the event changes anyway.
    #[inline(always)]
    fn bytes_of_peak(self, bytes: u64) -> u64 {
        const { assert!(CELL_BESIDE_PEAK == 1 << 31) };
        let beside = self.record().owner.load(Ordering::Relaxed) as i32 >> 31;
        bytes & !(i64::from(beside) as u64)
    }

    /// As much of a change as is a part of what the highest total is of.
    pub(crate) fn of_peak(self, change: Change) -> Change {
        match change {
            Change::Rise(bytes) => Change::Rise(self.bytes_of_peak(bytes)),
            Change::Fall(bytes) => Change::Fall(self.bytes_of_peak(bytes)),
        }
    }

    /// The site whose counts it has.
    pub fn site(self) -> SiteId {
        match self.record().site.load(Ordering::Relaxed) {
            DROPPED_CELL => SiteId::DROPPED,
            number => SiteId::from_number(number),
        }
    }

    /// Counts an allocation of `bytes`, in a cell of the calling thread, if its account suffices,
    /// as it mostly does. Else [`Ledger::settle`](crate::Ledger::settle) has to do it.
    #[inline(always)]
    pub fn count_allocation(
        self,
        bytes: u64,
        account: &Account,
        lease: &Lease,
    ) -> Result<(), Stored> {
        account.rise(self.bytes_of_peak(bytes), lease, |epoch| save_peak(self.record(), epoch))?;
        self.add_allocation(bytes);
        Ok(())
    }

    /// Counts a free of a block of `bytes`, as [`Cell::count_allocation`] counts an allocation.
    #[inline(always)]
    pub fn count_free(self, bytes: u64, account: &Account, lease: &Lease) -> Result<(), Stored> {
        account.fall(self.bytes_of_peak(bytes), lease, |epoch| save_peak(self.record(), epoch))?;
        self.add_free(bytes);
        Ok(())
    }

    /// After a free of a part of a block, in a cell of the calling thread: the block is still there.
    pub fn take_back_freed_block(self) {
        bump(&self.record().free_blocks, u64::MAX);
    }

    /// Adds a change to the counts.
    pub(crate) fn add(self, change: Change) {
        match change {
            Change::Rise(bytes) => self.add_allocation(bytes),
            Change::Fall(bytes) => self.add_free(bytes),
        }
    }

    #[inline(always)]
    fn add_allocation(self, bytes: u64) {
        bump(&self.record().alloc_blocks, 1);
        bump(&self.record().alloc_bytes, bytes);
    }

    #[inline(always)]
    fn add_free(self, bytes: u64) {
        bump(&self.record().free_blocks, 1);
        bump(&self.record().free_bytes, bytes);
    }

    #[inline]
    pub(crate) fn record(&self) -> &CellRecord {
        // SAFETY: `Ledger::claim_cell` made it from a populated, aligned entry of a mapping that is
        // never taken down; all fields are atomics.
        unsafe { self.0.as_ref() }
    }
}

/// Where the cells of a ledger lie: tells a cell by its number.
#[derive(Clone, Copy, Debug)]
pub struct Cells {
    /// Where number 0 would be, which is none.
    before: *mut CellRecord,
}

impl Cells {
    /// The cells of the ledger whose first cell is `first`.
    pub(crate) fn from_first(first: *mut CellRecord) -> Cells {
        Cells { before: first.wrapping_sub(1) }
    }

    /// The number of a cell of this ledger, above 0 and at most
    /// [`Capacities::MOST_CELLS`](ledger::Capacities::MOST_CELLS).
    #[inline]
    pub fn number(self, cell: Cell) -> u32 {
        ((cell.0.as_ptr() as usize - self.before as usize) / size_of::<CellRecord>()) as u32
    }

    /// The cell that has a number which [`Cells::number`] of this ledger gave.
    #[inline]
    pub fn cell(self, number: u32) -> Cell {
        // SAFETY: a number of a cell: its record lies in the mapping, which is not at 0.
        Cell(unsafe { NonNull::new_unchecked(self.before.wrapping_add(number as usize)) })
    }

    /// Where the cell of a number lies, if there is one: one cache line.
    #[inline]
    pub fn place(self, number: u32) -> *const u8 {
        self.before.wrapping_add(number as usize).cast_const().cast()
    }
}

/// Before the first change in a new epoch: what is held now is what was held at the peak.
#[inline]
pub(crate) fn save_peak(record: &CellRecord, epoch: u64) {
    if record.epoch.load(Ordering::Relaxed) != epoch {
        save_peak_of(record, epoch);
    }
}

#[cold]
fn save_peak_of(record: &CellRecord, epoch: u64) {
    let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed) as i64;
    let blocks = load(&record.alloc_blocks) - load(&record.free_blocks);
    let bytes = load(&record.alloc_bytes) - load(&record.free_bytes);
    record.peak_blocks.store(blocks, Ordering::Relaxed);
    record.peak_bytes.store(bytes, Ordering::Relaxed);
    record.epoch.store(epoch, Ordering::Relaxed);
}

/// Adds to a counter that has one writer: a load and a store, no locked instruction.
#[inline]
pub(crate) fn bump(counter: &AtomicU64, amount: u64) {
    counter.store(counter.load(Ordering::Relaxed).wrapping_add(amount), Ordering::Relaxed);
}
