//! Live blocks: which cell each pointer is counted in, and how large it is.
//!
//! A row of hash tables ("levels"), each twice as large as the one before it. New blocks go into
//! the newest level; a level that has no room for one calls for the next. Looking up starts at
//! the newest. Nothing moves and nothing is locked: a slot is claimed by one compare-and-swap of
//! its pointer, and a live pointer has exactly one owner, who alone looks it up.
//!
//! A block is at home in a bucket of one cache line, with its neighbours in the heap. Neighbours
//! are allocated and freed together, so that homes are in the cache. Who finds no room at home goes
//! elsewhere, to one of some places of chance, and as long as nobody from a home is elsewhere,
//! nobody is looked for there. A level fills to about 65 % before it overflows, so a live block
//! costs 25 to 50 bytes.

mod level;

use std::num::NonZeroU64;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

use ledger::Threads;

use crate::blocks::level::{Bucket, FIRST_BUCKETS, Level, SLOTS, level_bytes};
use crate::memory::{self, Table, prefetch};

/// What is known of a live block: the number of the cell it is counted in, in the upper 24 bits,
/// and its size in the lower 40.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Block(NonZeroU64);

impl Block {
    /// `None` when the size does not fit.
    #[inline]
    pub(crate) fn new(cell: u32, bytes: u64) -> Option<Block> {
        let word = u64::from(cell) << SIZE_BITS | bytes;
        NonZeroU64::new(word).filter(|_| bytes < 1 << SIZE_BITS).map(Block)
    }

    #[inline]
    pub(crate) fn cell(self) -> u32 {
        (self.0.get() >> SIZE_BITS) as u32
    }

    #[inline]
    pub(crate) fn bytes(self) -> u64 {
        self.0.get() & ((1 << SIZE_BITS) - 1)
    }
}

/// What came of an insertion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Inserted {
    /// The block is in the table.
    New,
    /// It is, and the address was held as live before: that block was freed behind OpenSSL.
    Replaced(Block),
    /// There is no room.
    Full,
}

const LEVELS: usize = 24;
/// The bits of an address that are 0 since levels begin at pages: room for a level's number.
const NUMBER: usize = 31;
const _: () = assert!(LEVELS <= NUMBER);
const SIZE_BITS: u32 = 40;

/// Where a block belongs.
#[derive(Clone, Copy)]
pub(crate) struct Home {
    level: Level,
    number: usize,
}

/// The table of live blocks.
pub(crate) struct Blocks {
    levels: [AtomicPtr<Bucket>; LEVELS],
    /// The newest one's address with its number in the lower bits, so that one look tells both.
    newest: AtomicUsize,
    /// No level may be added beyond this one.
    last: usize,
}

impl Blocks {
    /// A table that grows to at least `capacity` blocks and no further.
    pub(crate) fn with_capacity(capacity: u64) -> Option<Blocks> {
        let slots = |levels: usize| ((FIRST_BUCKETS * SLOTS) as u64) * ((1 << levels) - 1);
        let last = (1..LEVELS).find(|levels| slots(*levels) / 2 >= capacity);
        let blocks = Blocks {
            levels: [const { AtomicPtr::new(std::ptr::null_mut()) }; LEVELS],
            newest: AtomicUsize::new(memory::map(level_bytes(0))?.as_ptr() as usize),
            last: last.unwrap_or(LEVELS) - 1,
        };
        let first = blocks.newest.load(Ordering::Relaxed) as *mut Bucket;
        blocks.levels[0].store(first, Ordering::Release);
        Some(blocks)
    }

    /// The first level.
    pub(crate) fn first_level(&self) -> Table {
        let start = self.levels[0].load(Ordering::Relaxed) as usize;
        Table { start, bytes: level_bytes(0) }
    }

    /// Where a new block belongs. The processor begins to fetch it.
    #[inline(always)]
    #[allow(clippy::inline_always)] // as for `pointers`
    pub(crate) fn home(&self, pointer: usize) -> Home {
        let level = self.newest();
        let number = level.home(pointer);
        prefetch(level.bucket(number));
        prefetch(level.away(number));
        Home { level, number }
    }

    /// Enters a block. `grown` is told of a level that was added for it.
    #[inline(always)]
    #[allow(clippy::inline_always)] // as for `pointers`
    pub(crate) fn insert(
        &self,
        home: Home,
        pointer: usize,
        block: Block,
        threads: Threads,
        grown: impl Fn(Table),
    ) -> Inserted {
        let Home { level, number } = home;
        match level.insert(number, pointer, block.0.get(), threads) {
            Inserted::Full => self.insert_into_newer(level, pointer, block, grown),
            inserted => inserted,
        }
    }

    #[cold]
    fn insert_into_newer(
        &self,
        full: Level,
        pointer: usize,
        block: Block,
        grown: impl Fn(Table),
    ) -> Inserted {
        let mut full = full;
        while self.grow(full.number(), &grown) {
            full = self.newest();
            match full.insert(full.home(pointer), pointer, block.0.get(), Threads::Several) {
                Inserted::Full => {}
                inserted => return inserted,
            }
        }
        Inserted::Full
    }

    /// Takes a block out; `None` when the pointer is not in the table.
    #[inline(always)]
    #[allow(clippy::inline_always)] // as for `pointers`
    pub(crate) fn remove(&self, pointer: usize) -> Option<Block> {
        let newest = self.newest();
        newest.remove(pointer).or_else(|| self.remove_from_older(newest.number(), pointer))
    }

    #[cold]
    fn remove_from_older(&self, newest: usize, pointer: usize) -> Option<Block> {
        (0..newest).rev().find_map(|number| self.level(number).remove(pointer))
    }

    /// What is known of a live block, which stays in the table. Its owner alone may ask.
    #[cold]
    pub(crate) fn look_at(&self, pointer: usize) -> Option<Block> {
        let newest = self.newest().number();
        (0..=newest).rev().find_map(|number| self.level(number).look_at(pointer))
    }

    /// Adds the level after `full`, unless another thread has. `false`: no further level.
    #[cold]
    fn grow(&self, full: usize, grown: impl Fn(Table)) -> bool {
        let next = full + 1;
        if next > self.last {
            return false;
        }
        if self.levels[next].load(Ordering::Acquire).is_null() {
            let bytes = level_bytes(next);
            let Some(memory) = memory::map(bytes) else { return false };
            let (null, new) = (std::ptr::null_mut(), memory.as_ptr().cast());
            let lost = self.levels[next]
                .compare_exchange(null, new, Ordering::AcqRel, Ordering::Acquire)
                .is_err();
            if lost {
                // SAFETY: mapped above with this length, and never shown to anybody.
                unsafe { memory::unmap(memory, bytes) };
            } else {
                grown(Table { start: memory.as_ptr() as usize, bytes });
            }
        }
        self.raise_newest(next);
        true
    }

    /// Calls `visit` with the size of every block in the table. Blocks that come or go meanwhile
    /// may be seen or not.
    pub(crate) fn for_each_size(&self, mut visit: impl FnMut(u64)) {
        for level in 0..=self.newest().number() {
            let start = self.levels[level].load(Ordering::Acquire);
            // SAFETY: a level up to the newest is in place, as long as this, and never taken down.
            let buckets = unsafe { std::slice::from_raw_parts(start, FIRST_BUCKETS << level) };
            for slot in buckets.iter().flat_map(|bucket| &bucket.0) {
                let word = slot.block.load(Ordering::Relaxed);
                if slot.pointer.load(Ordering::Relaxed) != 0
                    && let Some(word) = NonZeroU64::new(word)
                {
                    visit(Block(word).bytes());
                }
            }
        }
    }

    #[inline(always)]
    #[allow(clippy::inline_always)]
    fn newest(&self) -> Level {
        let word = self.newest.load(Ordering::Acquire);
        let (start, number) = (word & !NUMBER, word & NUMBER);
        // SAFETY: an address that `with_capacity` or `raise_newest` stored, of a level that is in
        // place and never taken down.
        let start = unsafe { NonNull::new_unchecked(start as *mut Bucket) };
        Level { start, mask: (FIRST_BUCKETS << number) - 1 }
    }

    /// Makes the level with this number the newest, if none is newer.
    fn raise_newest(&self, number: usize) {
        let start = self.levels[number].load(Ordering::Acquire) as usize;
        let newer = |word| (word & NUMBER < number).then_some(start | number);
        // An error says that another thread has been here before.
        let _ = self.newest.fetch_update(Ordering::AcqRel, Ordering::Acquire, newer);
    }

    /// A level up to the newest.
    fn level(&self, number: usize) -> Level {
        let start = self.levels[number].load(Ordering::Acquire);
        // SAFETY: `newest` is raised only after its level is in place, and levels are never taken
        // down, so this is not NULL.
        let start = unsafe { NonNull::new_unchecked(start) };
        Level { start, mask: (FIRST_BUCKETS << number) - 1 }
    }
}

#[cfg(test)]
mod tests;
