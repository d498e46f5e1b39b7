//! Live blocks: which site each pointer belongs to, and how large it is.
//!
//! A row of hash tables ("levels"), each twice as large as the one before it. New blocks go into
//! the newest level; a level that has no room for one calls for the next. Looking up starts at
//! the newest. Nothing moves and nothing is locked: a slot is claimed by one compare-and-swap of
//! its pointer, and a live pointer has exactly one owner, who alone looks it up.
//!
//! Each pointer may lie in one of two buckets of a level, of one cache line each. Two choices
//! with four slots let a level fill to about 60 % before it overflows, so a live block costs 27
//! to 54 bytes.

use std::sync::atomic::{AtomicPtr, AtomicU64, AtomicUsize, Ordering};

use ledger::SiteId;

use crate::memory::{self, Table};

/// What is known of a live block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Block {
    pub site: SiteId,
    pub bytes: u64,
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

const SLOTS: usize = 4;
/// Buckets of the first level: 65,536 slots, 1 MiB, of which only touched pages count.
const FIRST_BUCKETS: usize = 1 << 14;
const LEVELS: usize = 24;
const SIZE_BITS: u32 = 40;

#[repr(C)]
struct Slot {
    /// The block's address; 0 is free.
    pointer: AtomicUsize,
    /// Site in the upper 24 bits, size in the lower 40.
    block: AtomicU64,
}

#[repr(C, align(64))]
struct Bucket([Slot; SLOTS]);

impl Bucket {
    fn free(&self) -> usize {
        self.0.iter().filter(|slot| slot.pointer.load(Ordering::Relaxed) == 0).count()
    }
}

/// The table of live blocks.
pub(crate) struct Blocks {
    levels: [AtomicPtr<Bucket>; LEVELS],
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
            newest: AtomicUsize::new(0),
            last: last.unwrap_or(LEVELS) - 1,
        };
        let first = memory::map(level_bytes(0))?;
        blocks.levels[0].store(first.as_ptr().cast(), Ordering::Release);
        Some(blocks)
    }

    /// The first level.
    pub(crate) fn first_level(&self) -> Table {
        let start = self.levels[0].load(Ordering::Relaxed) as usize;
        Table { start, bytes: level_bytes(0) }
    }

    /// Enters a block. `grown` is told of a level that was added for it.
    #[inline]
    pub(crate) fn insert(&self, pointer: usize, block: Block, grown: impl Fn(Table)) -> Inserted {
        let word = u64::from(block.site.number()) << SIZE_BITS | block.bytes;
        if block.bytes >= 1 << SIZE_BITS {
            return Inserted::Full;
        }
        loop {
            let newest = self.newest.load(Ordering::Acquire);
            match self.insert_into(newest, pointer, word) {
                Inserted::Full if self.grow(newest, &grown) => {}
                inserted => return inserted,
            }
        }
    }

    #[inline]
    fn insert_into(&self, level: usize, pointer: usize, word: u64) -> Inserted {
        let buckets = self.buckets(level, pointer);
        for slot in buckets.iter().flat_map(|bucket| &bucket.0) {
            if slot.pointer.load(Ordering::Relaxed) == pointer {
                return Inserted::Replaced(unpack(slot.block.swap(word, Ordering::Relaxed)));
            }
        }
        // The emptier of the two: that is what lets a level fill before it overflows.
        let [first, second] = buckets;
        let order = if second.free() > first.free() { [second, first] } else { [first, second] };
        for slot in order.iter().flat_map(|bucket| &bucket.0) {
            if slot.pointer.load(Ordering::Relaxed) == 0
                && slot
                    .pointer
                    .compare_exchange(0, pointer, Ordering::Acquire, Ordering::Relaxed)
                    .is_ok()
            {
                // The owner of the pointer is the only one who looks for it, and that is us.
                slot.block.store(word, Ordering::Relaxed);
                return Inserted::New;
            }
        }
        Inserted::Full
    }

    /// Takes a block out; `None` when the pointer is not in the table.
    #[inline]
    pub(crate) fn remove(&self, pointer: usize) -> Option<Block> {
        let newest = self.newest.load(Ordering::Acquire);
        for level in (0..=newest).rev() {
            for slot in self.buckets(level, pointer).iter().flat_map(|bucket| &bucket.0) {
                if slot.pointer.load(Ordering::Relaxed) == pointer {
                    let word = slot.block.load(Ordering::Relaxed);
                    // A slot that is claimed and not yet written has no block: a fork may copy it
                    // at that moment.
                    slot.block.store(0, Ordering::Relaxed);
                    slot.pointer.store(0, Ordering::Release);
                    return Some(unpack(word));
                }
            }
        }
        None
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
        self.newest.fetch_max(next, Ordering::AcqRel);
        true
    }

    /// Calls `visit` with the size of every block in the table. Blocks that come or go meanwhile
    /// may be seen or not.
    pub(crate) fn for_each_size(&self, mut visit: impl FnMut(u64)) {
        for level in 0..=self.newest.load(Ordering::Acquire) {
            let start = self.levels[level].load(Ordering::Acquire);
            // SAFETY: a level up to the newest is in place, as long as this, and never taken down.
            let buckets = unsafe { std::slice::from_raw_parts(start, FIRST_BUCKETS << level) };
            for slot in buckets.iter().flat_map(|bucket| &bucket.0) {
                let word = slot.block.load(Ordering::Relaxed);
                if slot.pointer.load(Ordering::Relaxed) != 0 && word != 0 {
                    visit(unpack(word).bytes);
                }
            }
        }
    }

    /// The two buckets of `pointer` in a level that exists.
    #[inline]
    fn buckets(&self, level: usize, pointer: usize) -> [&Bucket; 2] {
        let start = self.levels[level].load(Ordering::Acquire);
        let mask = (FIRST_BUCKETS << level) - 1;
        let mixed = ((pointer >> 3) as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let again = (mixed ^ mixed >> 32).wrapping_mul(0xd6e8_feb8_6659_fd93);
        let first = (again >> 32) as usize & mask;
        let second = again as usize & mask;
        // SAFETY: `newest` is raised only after its level is in place, so the pointer is not NULL,
        // and levels are never taken down; both indexes are masked to the level's number of
        // buckets. A zeroed bucket is an empty one.
        unsafe { [&*start.add(first), &*start.add(second)] }
    }
}

fn level_bytes(level: usize) -> usize {
    (FIRST_BUCKETS << level) * size_of::<Bucket>()
}

fn unpack(word: u64) -> Block {
    let site = SiteId::from_number((word >> SIZE_BITS) as u32);
    Block { site, bytes: word & ((1 << SIZE_BITS) - 1) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(site: u32, bytes: u64) -> Block {
        Block { site: SiteId::from_number(site), bytes }
    }

    #[test]
    fn what_goes_in_comes_out_once() {
        let blocks = Blocks::with_capacity(1_000).expect("a megabyte");
        assert_eq!(blocks.insert(0x1000, block(7, 33), |_| {}), Inserted::New);
        assert_eq!(blocks.remove(0x1000), Some(block(7, 33)));
        assert_eq!(blocks.remove(0x1000), None);
    }

    #[test]
    fn the_largest_site_and_size_survive_packing() {
        let blocks = Blocks::with_capacity(1).expect("a megabyte");
        let largest = block(ledger::Capacities::MOST_SITES, (1 << SIZE_BITS) - 1);
        blocks.insert(0x20, largest, |_| {});
        assert_eq!(blocks.remove(0x20), Some(largest));
        assert_eq!(blocks.insert(0x20, block(1, 1 << SIZE_BITS), |_| {}), Inserted::Full);
    }

    #[test]
    fn an_address_that_is_live_already_gives_up_its_old_block() {
        let blocks = Blocks::with_capacity(1).expect("a megabyte");
        blocks.insert(0x40, block(1, 10), |_| {});
        assert_eq!(blocks.insert(0x40, block(2, 20), |_| {}), Inserted::Replaced(block(1, 10)));
        assert_eq!(blocks.remove(0x40), Some(block(2, 20)));
        assert_eq!(blocks.remove(0x40), None);
    }

    #[test]
    fn it_grows_to_its_capacity_and_finds_every_block() {
        let capacity = 300_000;
        let blocks = Blocks::with_capacity(capacity).expect("a megabyte");
        for i in 1..=capacity as usize {
            assert_eq!(
                blocks.insert(i * 48, block(i as u32 % 99, i as u64), |_| {}),
                Inserted::New
            );
        }
        let mut sum = (0, 0);
        blocks.for_each_size(|bytes| sum = (sum.0 + 1, sum.1 + bytes));
        assert_eq!(sum, (capacity, capacity * (capacity + 1) / 2));
        for i in 1..=capacity as usize {
            assert_eq!(blocks.remove(i * 48), Some(block(i as u32 % 99, i as u64)));
        }
    }

    #[test]
    fn beyond_its_capacity_it_says_full() {
        let blocks = Blocks::with_capacity(1).expect("a megabyte");
        let full =
            (1..200_000).any(|i| blocks.insert(i * 16, block(1, 1), |_| {}) == Inserted::Full);
        assert!(full, "one level of 65,536 slots took 200,000 blocks");
    }
}
