//! One table of live blocks: buckets of one cache line, and who is not at home in them.

use std::num::NonZeroU64;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering};

use ledger::Threads;

use crate::blocks::{Block, Inserted};

pub(super) const SLOTS: usize = 4;
/// As many bytes of the heap as a power of two have their home in one bucket: two of the smallest
/// blocks of the C library's malloc.
const HOME_BITS: u32 = 6;
/// Buckets in which a block may be that has no room at home. With as many, a level fills to 65 %.
const ELSEWHERE: usize = 8;
/// Buckets of the first level: 65,536 slots, 1 MiB, of which only touched pages count.
pub(super) const FIRST_BUCKETS: usize = 1 << 14;

#[repr(C)]
pub(super) struct Slot {
    /// The block's address; 0 is free.
    pub(super) pointer: AtomicUsize,
    /// The [`Block`], or 0.
    pub(super) block: AtomicU64,
}

#[repr(C, align(64))]
pub(super) struct Bucket(pub(super) [Slot; SLOTS]);

/// One table of the row.
#[derive(Clone, Copy)]
pub(super) struct Level {
    pub(super) start: NonNull<Bucket>,
    /// Buckets, less one.
    pub(super) mask: usize,
}

impl Level {
    #[inline]
    pub(super) fn number(self) -> usize {
        ((self.mask + 1) / FIRST_BUCKETS).trailing_zeros() as usize
    }

    #[inline(always)]
    #[allow(clippy::inline_always)] // as for `pointers`
    pub(super) fn insert(
        self,
        home: usize,
        pointer: usize,
        word: u64,
        threads: Threads,
    ) -> Inserted {
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
    pub(super) fn home(self, pointer: usize) -> usize {
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
    pub(super) fn bucket(self, number: usize) -> &'static Bucket {
        // SAFETY: `home` and `elsewhere` mask their numbers to the level's number of buckets, and
        // a level is never taken down. A zeroed bucket is an empty one.
        unsafe { self.start.add(number).as_ref() }
    }

    /// How many blocks of this home are elsewhere: the counters lie behind the buckets.
    #[inline]
    pub(super) fn away(self, home: usize) -> &'static AtomicU8 {
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

    /// What is known of a block that stays.
    #[cold]
    pub(super) fn look_at(self, pointer: usize) -> Option<Block> {
        let slot = self.find(self.home(pointer), pointer)?;
        NonZeroU64::new(slot.block.load(Ordering::Relaxed)).map(Block)
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
    pub(super) fn remove(self, pointer: usize) -> Option<Block> {
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

/// Bytes of the level with this number.
pub(super) fn level_bytes(level: usize) -> usize {
    let buckets = FIRST_BUCKETS << level;
    buckets * (size_of::<Bucket>() + size_of::<AtomicU8>())
}
