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

use std::num::NonZeroU64;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicPtr, AtomicU8, AtomicU64, AtomicUsize, Ordering};

use ledger::Threads;

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

const SLOTS: usize = 4;
/// The part of the heap that has its home in one bucket: as much as four of the smallest blocks of
/// the C library's malloc take.
const HOME_BITS: u32 = 6;
/// Buckets in which a block may be that has no room at home. With as many, a level fills to 65 %.
const ELSEWHERE: usize = 8;
/// Buckets of the first level: 65,536 slots, 1 MiB, of which only touched pages count.
const FIRST_BUCKETS: usize = 1 << 14;
const LEVELS: usize = 24;
/// The bits of an address that are 0 since levels begin at pages: room for a level's number.
const NUMBER: usize = 31;
const _: () = assert!(LEVELS <= NUMBER);
const SIZE_BITS: u32 = 40;

#[repr(C)]
struct Slot {
    /// The block's address; 0 is free.
    pointer: AtomicUsize,
    /// The [`Block`], or 0.
    block: AtomicU64,
}

#[repr(C, align(64))]
struct Bucket([Slot; SLOTS]);

/// One table of the row.
#[derive(Clone, Copy)]
struct Level {
    start: NonNull<Bucket>,
    /// Buckets, less one.
    mask: usize,
}

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

impl Level {
    #[inline]
    fn number(self) -> usize {
        ((self.mask + 1) / FIRST_BUCKETS).trailing_zeros() as usize
    }

    #[inline(always)]
    #[allow(clippy::inline_always)] // as for `pointers`
    fn insert(self, home: usize, pointer: usize, word: u64, threads: Threads) -> Inserted {
        let bucket = self.bucket(home);
        let held = bucket.pointers();
        if self.all_at_home(home) && first(held, pointer) == SLOTS {
            if let Some(slot) = bucket.0.get(first(held, 0))
                && slot.claim(pointer, word, threads)
            {
                return Inserted::New;
            }
        } else if let Some(slot) = self.find(home, pointer) {
            return slot.replace(word);
        }
        self.insert_elsewhere(home, pointer, word)
    }

    #[inline]
    fn home(self, pointer: usize) -> usize {
        // Megabytes of the heap that share a bucket lie in it in different orders.
        (pointer >> HOME_BITS ^ pointer >> 20) & self.mask
    }

    /// Where those go for whom there is no room at home, in this order.
    fn elsewhere(self, home: usize) -> impl Iterator<Item = usize> {
        let mixed = (home as u64 + 1).wrapping_mul(0xd6e8_feb8_6659_fd93);
        let (first, step) = ((mixed >> 40) as usize, (mixed >> 20) as usize | 1);
        (1..=ELSEWHERE).map(move |at| first.wrapping_add(step.wrapping_mul(at)) & self.mask)
    }

    #[inline]
    fn bucket(self, number: usize) -> &'static Bucket {
        // SAFETY: `home` and `elsewhere` mask their numbers to the level's number of buckets, and
        // a level is never taken down. A zeroed bucket is an empty one.
        unsafe { self.start.add(number).as_ref() }
    }

    /// How many blocks of this home are elsewhere: the counters lie behind the buckets.
    #[inline]
    fn away(self, home: usize) -> &'static AtomicU8 {
        // SAFETY: `level_bytes` makes room for a counter for each bucket behind the last; zeroed
        // memory is a valid AtomicU8.
        unsafe { self.start.add(self.mask + 1).cast::<AtomicU8>().add(home).as_ref() }
    }

    #[inline]
    fn all_at_home(self, home: usize) -> bool {
        self.away(home).load(Ordering::Relaxed) == 0
    }

    /// One more or one less is elsewhere. So many that they cannot be counted are never none again.
    fn count_away(self, home: usize, change: fn(u8) -> u8) {
        let change = |away| (away != u8::MAX).then(|| change(away));
        let _ = self.away(home).fetch_update(Ordering::Relaxed, Ordering::Relaxed, change);
    }

    /// The slot of a pointer, wherever it is.
    #[cold]
    fn find(self, home: usize, pointer: usize) -> Option<&'static Slot> {
        if let Some(slot) = self.bucket(home).slot_with(pointer) {
            return Some(slot);
        }
        self.find_elsewhere(home, pointer)
    }

    #[cold]
    fn find_elsewhere(self, home: usize, pointer: usize) -> Option<&'static Slot> {
        self.elsewhere(home).find_map(|number| self.bucket(number).slot_with(pointer))
    }

    #[cold]
    fn remove_from_elsewhere(self, home: usize, pointer: usize) -> Option<Block> {
        let block = self.find_elsewhere(home, pointer)?.take();
        self.count_away(home, |away| away - 1);
        block
    }

    /// Enters a block that is not in the level, and for which there was no room at home.
    #[cold]
    fn insert_elsewhere(self, home: usize, pointer: usize, word: u64) -> Inserted {
        // Another thread may have taken one place at home, and left others.
        if self.bucket(home).claim(pointer, word) {
            return Inserted::New;
        }
        // Before the block is there: whoever frees it has it from this thread, and looks.
        self.count_away(home, |away| away + 1);
        if self.elsewhere(home).any(|number| self.bucket(number).claim(pointer, word)) {
            return Inserted::New;
        }
        self.count_away(home, |away| away - 1);
        Inserted::Full
    }

    #[inline(always)]
    #[allow(clippy::inline_always)] // as for `pointers`
    fn remove(self, pointer: usize) -> Option<Block> {
        let home = self.home(pointer);
        if let Some(slot) = self.bucket(home).slot_with(pointer) {
            return slot.take();
        }
        if self.all_at_home(home) {
            return None;
        }
        self.remove_from_elsewhere(home, pointer)
    }
}

/// The first that is `wanted`, or as many as there are. All are compared, so that the processor
/// need not guess.
#[inline(always)]
#[allow(clippy::inline_always)] // as for `pointers`
fn first(held: [usize; SLOTS], wanted: usize) -> usize {
    held.iter().enumerate().rev().fold(
        SLOTS,
        |found, (at, held)| {
            if *held == wanted { at } else { found }
        },
    )
}

impl Bucket {
    #[inline(always)]
    #[allow(clippy::inline_always)] // they would go through memory
    fn pointers(&self) -> [usize; SLOTS] {
        [0, 1, 2, 3].map(|at: usize| self.0[at].pointer.load(Ordering::Relaxed))
    }

    #[inline(always)]
    #[allow(clippy::inline_always)] // as for `pointers`
    fn slot_with(&self, pointer: usize) -> Option<&Slot> {
        self.0.get(first(self.pointers(), pointer))
    }

    /// Enters a block into any free slot; `false` when there is none.
    fn claim(&self, pointer: usize, word: u64) -> bool {
        self.0.iter().any(|slot| {
            slot.pointer.load(Ordering::Relaxed) == 0 && slot.claim(pointer, word, Threads::Several)
        })
    }
}

impl Slot {
    /// Makes a free slot that of `pointer`, unless another thread has taken it.
    #[inline]
    fn claim(&self, pointer: usize, word: u64, threads: Threads) -> bool {
        let claimed = match threads {
            // Nobody else is there to take it.
            Threads::One => {
                self.pointer.store(pointer, Ordering::Relaxed);
                true
            }
            Threads::Several => self
                .pointer
                .compare_exchange(0, pointer, Ordering::Acquire, Ordering::Relaxed)
                .is_ok(),
        };
        if claimed {
            // The owner of the pointer is the only one who looks for it, and that is us.
            self.block.store(word, Ordering::Relaxed);
        }
        claimed
    }

    #[cold]
    fn replace(&self, word: u64) -> Inserted {
        let old = self.block.swap(word, Ordering::Relaxed);
        NonZeroU64::new(old).map_or(Inserted::New, |old| Inserted::Replaced(Block(old)))
    }

    /// `None` for a slot that is claimed and not yet written: a fork may copy it at that moment.
    #[inline]
    fn take(&self) -> Option<Block> {
        let word = self.block.load(Ordering::Relaxed);
        self.block.store(0, Ordering::Relaxed);
        self.pointer.store(0, Ordering::Release);
        NonZeroU64::new(word).map(Block)
    }
}

fn level_bytes(level: usize) -> usize {
    let buckets = FIRST_BUCKETS << level;
    buckets * (size_of::<Bucket>() + size_of::<AtomicU8>())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(cell: u32, bytes: u64) -> Block {
        Block::new(cell, bytes).expect("a size that fits")
    }

    fn insert(blocks: &Blocks, pointer: usize, block: Block) -> Inserted {
        blocks.insert(blocks.home(pointer), pointer, block, Threads::Several, |_| {})
    }

    #[test]
    fn what_goes_in_comes_out_once() {
        let blocks = Blocks::with_capacity(1_000).expect("a megabyte");
        assert_eq!(insert(&blocks, 0x1000, block(7, 33)), Inserted::New);
        assert_eq!(blocks.remove(0x1000), Some(block(7, 33)));
        assert_eq!(blocks.remove(0x1000), None);
    }

    #[test]
    fn the_largest_cell_and_size_survive_packing() {
        let blocks = Blocks::with_capacity(1).expect("a megabyte");
        let largest = block(ledger::Capacities::MOST_CELLS, (1 << SIZE_BITS) - 1);
        insert(&blocks, 0x20, largest);
        assert_eq!(blocks.remove(0x20), Some(largest));
        assert_eq!(Block::new(1, 1 << SIZE_BITS), None);
    }

    #[test]
    fn an_address_that_is_live_already_gives_up_its_old_block() {
        let blocks = Blocks::with_capacity(1).expect("a megabyte");
        insert(&blocks, 0x40, block(1, 10));
        assert_eq!(insert(&blocks, 0x40, block(2, 20)), Inserted::Replaced(block(1, 10)));
        assert_eq!(blocks.remove(0x40), Some(block(2, 20)));
        assert_eq!(blocks.remove(0x40), None);
    }

    #[test]
    fn it_grows_to_its_capacity_and_finds_every_block() {
        let capacity = 300_000;
        let blocks = Blocks::with_capacity(capacity).expect("a megabyte");
        for i in 1..=capacity as usize {
            assert_eq!(insert(&blocks, i * 48, block(i as u32 % 99, i as u64)), Inserted::New);
        }
        let mut sum = (0, 0);
        blocks.for_each_size(|bytes| sum = (sum.0 + 1, sum.1 + bytes));
        assert_eq!(sum, (capacity, capacity * (capacity + 1) / 2));
        for i in 1..=capacity as usize {
            assert_eq!(blocks.remove(i * 48), Some(block(i as u32 % 99, i as u64)));
        }
    }

    #[test]
    fn a_level_fills_to_more_than_half_before_the_next_is_added() {
        let blocks = Blocks::with_capacity(1_000_000).expect("some megabytes");
        let (mut pointer, mut random, mut entered) = (0x5555_5560_0000_usize, 1_u64, 0);
        while blocks.newest().number() == 0 {
            random = random.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1);
            // Like a heap of small blocks with larger ones between them.
            let size = if random >> 60 == 0 { 16_384 } else { 32 + (random >> 33) as usize % 640 };
            pointer += size.next_multiple_of(16);
            assert_eq!(insert(&blocks, pointer, block(1, 1)), Inserted::New);
            entered += 1;
        }
        let slots = FIRST_BUCKETS * SLOTS;
        assert!(entered * 2 > slots, "{entered} blocks in {slots} slots");
    }

    #[test]
    fn beyond_its_capacity_it_says_full() {
        let blocks = Blocks::with_capacity(1).expect("a megabyte");
        let full = (1..200_000).any(|i| insert(&blocks, i * 16, block(1, 1)) == Inserted::Full);
        assert!(full, "one level of 65,536 slots took 200,000 blocks");
    }
}
