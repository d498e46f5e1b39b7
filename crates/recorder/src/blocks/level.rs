//! One table of live blocks: buckets of one cache line, and who is not at home in them.

use std::mem::offset_of;
use std::num::NonZeroU64;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering};

use ledger::layout::{LevelRecord, SLOTS_PER_BUCKET, SlotRecord};
use ledger_writer::Threads;

use crate::blocks::{Block, FirstLevel, Inserted};
use crate::memory::{self, Table, prefetch};

pub(super) const SLOTS: usize = SLOTS_PER_BUCKET;
/// Bytes of the heap that have their home in one bucket, as a power of two: two of the smallest
/// blocks of the C library's malloc.
const HOME_BITS: u32 = 6;
/// Bytes of the heap that have their homes side by side, as a power of two.
const REGION_BITS: u32 = 20;
/// Buckets left out between two such regions. Where a level is smaller than the heap, regions share
/// buckets, and should lie in them in different orders: so it is odd. The arenas of the C library's
/// malloc begin at multiples of 64 regions and are rarely full: as far from each other they begin
/// at different places in levels of any size.
const BETWEEN_REGIONS: usize = 1341;
/// Buckets in which a block may be that has no room at home. With as many, a level fills to 65 %.
const ELSEWHERE: usize = 12;
/// Buckets of a small first level: 65,536 slots, 1 MiB, of which only touched pages count.
pub(super) const FIRST_BUCKETS: usize = 1 << 14;
/// Buckets of a large one, 8 MiB.
const MANY_BUCKETS: usize = 1 << 17;

#[repr(C)]
struct Slot {
    /// The block's address; 0 is free.
    pointer: AtomicUsize,
    /// The [`Block`], or 0.
    block: AtomicU64,
}

#[repr(C, align(64))]
struct Bucket([Slot; SLOTS]);

/// What begins a level; its buckets follow, and after them a counter for each: how many blocks of
/// this home are elsewhere.
#[repr(C, align(64))]
pub(super) struct Head {
    /// Buckets, less one.
    mask: usize,
    number: usize,
    away: NonNull<AtomicU8>,
}

// A reader finds the blocks in the process's memory, as these records say.
const _: () = {
    assert!(size_of::<Head>() == size_of::<LevelRecord>());
    assert!(offset_of!(Head, mask) == offset_of!(LevelRecord, mask));
    assert!(size_of::<Slot>() == size_of::<SlotRecord>());
    assert!(offset_of!(Slot, pointer) == offset_of!(SlotRecord, pointer));
    assert!(offset_of!(Slot, block) == offset_of!(SlotRecord, block));
};

/// One of the tables. It is not taken down while anybody may use it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Level(NonNull<Head>);

/// Where a block belongs in a level.
#[derive(Clone, Copy)]
pub(crate) struct Home {
    pub(super) level: Level,
    number: usize,
}

impl FirstLevel {
    /// Buckets of the level with this number: each two add half as many as there are before them.
    fn buckets_of(self, level: usize) -> usize {
        let first = match self {
            FirstLevel::Small => FIRST_BUCKETS,
            FirstLevel::Large => MANY_BUCKETS,
        };
        match level.checked_sub(1) {
            None => first,
            Some(further) => (first / 2) << (further / 2),
        }
    }

    /// Slots of the level with this number.
    pub(super) fn slots_of(self, level: usize) -> usize {
        self.buckets_of(level) * SLOTS
    }
}

impl Level {
    /// A new level with this number, in a table with such a first one. `None` when the kernel refuses
    /// memory.
    pub(super) fn map(first: FirstLevel, number: usize) -> Option<Level> {
        let buckets = first.buckets_of(number);
        let memory = memory::map(Self::bytes_of(buckets))?;
        let head = memory.cast::<Head>();
        let behind = size_of::<Head>() + buckets * size_of::<Bucket>();
        // SAFETY: fresh memory with room for the head, the buckets and as many counters.
        unsafe {
            let away = memory.add(behind).cast();
            head.write(Head { mask: buckets - 1, number, away });
        }
        Some(Level(head))
    }

    /// Takes down a level.
    ///
    /// # Safety
    ///
    /// Nobody uses a copy of what [`Level::map`] returned any more.
    pub(super) unsafe fn unmap(self) {
        let bytes = self.bytes();
        // SAFETY: mapped with this length; the caller's promise.
        unsafe { memory::unmap(self.0.cast(), bytes) };
    }

    fn bytes(self) -> usize {
        Self::bytes_of(self.head().mask + 1)
    }

    fn bytes_of(buckets: usize) -> usize {
        let each = size_of::<Bucket>() + size_of::<AtomicU8>();
        size_of::<Head>() + buckets * each
    }

    /// Forgets every block but those in the first page, which begins with what is no block.
    pub(super) fn let_go(self) {
        let Table { start, bytes } = self.table();
        let behind = (start + memory::PAGE) as *mut libc::c_void;
        let length = bytes.next_multiple_of(memory::PAGE) - memory::PAGE;
        // SAFETY: whole pages of a table of ours, which holds atomics of which zero is valid: a free
        // slot, and nobody away.
        unsafe { libc::madvise(behind, length, libc::MADV_DONTNEED) };
    }

    /// The memory that it takes.
    pub(super) fn table(self) -> Table {
        Table { start: self.0.as_ptr() as usize, bytes: self.bytes() }
    }

    pub(super) fn as_ptr(self) -> *mut Head {
        self.0.as_ptr()
    }

    /// # Safety
    ///
    /// What [`Level::as_ptr`] returned.
    #[inline(always)]
    pub(super) unsafe fn from_ptr(head: *mut Head) -> Level {
        // SAFETY: the caller's promise.
        Level(unsafe { NonNull::new_unchecked(head) })
    }

    #[inline(always)]
    fn head(&self) -> &Head {
        // SAFETY: written by `map`, and never changed or taken down.
        unsafe { self.0.as_ref() }
    }

    #[inline(always)]
    pub(super) fn home(self, pointer: usize) -> Home {
        let region = (pointer >> REGION_BITS).wrapping_mul(BETWEEN_REGIONS);
        let number = (pointer >> HOME_BITS).wrapping_add(region) & self.head().mask;
        Home { level: self, number }
    }

    /// How many of its slots are taken, in 256 parts of the whole: of as many buckets as that, at
    /// equal distances.
    pub(super) fn fill(self) -> usize {
        let step = (self.head().mask + 1) / 64;
        let taken =
            |at: usize| self.bucket(at * step).pointers().iter().filter(|p| **p != 0).count();
        (0..64).map(taken).sum()
    }

    /// Calls `visit` with what is in each slot that is taken.
    pub(super) fn for_each(self, mut visit: impl FnMut(Block)) {
        for slot in (0..=self.head().mask).flat_map(|number| &self.bucket(number).0) {
            let word = slot.block.load(Ordering::Relaxed);
            if slot.pointer.load(Ordering::Relaxed) != 0
                && let Some(word) = NonZeroU64::new(word)
            {
                visit(Block(word));
            }
        }
    }

    /// Where those go for whom there is no room at home, in this order.
    fn elsewhere(self, home: usize) -> impl Iterator<Item = usize> {
        let mask = self.head().mask;
        let mixed = (home as u64 + 1).wrapping_mul(0xd6e8_feb8_6659_fd93);
        let (first, step) = ((mixed >> 40) as usize, (mixed >> 20) as usize | 1);
        (1..=ELSEWHERE).map(move |at| first.wrapping_add(step.wrapping_mul(at)) & mask)
    }

    #[inline(always)]
    fn bucket(self, number: usize) -> &'static Bucket {
        // SAFETY: `home` and `elsewhere` mask their numbers to the level's number of buckets, which
        // lie behind its head, and a level is never taken down. A zeroed bucket is an empty one.
        unsafe { self.0.add(1).cast::<Bucket>().add(number).as_ref() }
    }
}

impl Home {
    /// Has the processor fetch what an insertion will need.
    #[inline(always)]
    pub(crate) fn fetch(self) {
        prefetch(self.bucket());
        prefetch(self.away());
    }

    #[inline(always)]
    fn bucket(self) -> &'static Bucket {
        self.level.bucket(self.number)
    }

    /// How many blocks of this home are elsewhere.
    #[inline(always)]
    fn away(self) -> &'static AtomicU8 {
        // SAFETY: there is a counter for each bucket; zeroed memory is a valid AtomicU8.
        unsafe { self.level.head().away.add(self.number).as_ref() }
    }

    #[inline(always)]
    fn all_at_home(self) -> bool {
        self.away().load(Ordering::Relaxed) == 0
    }

    /// Enters a block into the slot of its bucket that is the best for it, if that is free and the
    /// address is not live. `false`: see [`Home::insert`].
    #[inline(always)]
    pub(crate) fn insert_at_best(self, pointer: usize, block: Block, threads: Threads) -> bool {
        let bucket = self.bucket();
        let best = bucket.best(pointer);
        self.all_at_home()
            && best.pointer.load(Ordering::Relaxed) == 0
            && bucket.0.iter().all(|slot| slot.pointer.load(Ordering::Relaxed) != pointer)
            && best.claim(pointer, block.0.get(), threads)
    }

    /// Enters a block.
    #[inline(never)]
    pub(super) fn insert(self, pointer: usize, block: Block) -> Inserted {
        let word = block.0.get();
        let bucket = self.bucket();
        if let Some(slot) = self.find(pointer) {
            return slot.replace(word);
        }
        if bucket.claim(pointer, word) {
            return Inserted::New;
        }
        // Before the block is there: whoever frees it has it from this thread, and looks.
        self.count_away(|away| away + 1);
        let Home { level, number } = self;
        if level.elsewhere(number).any(|number| level.bucket(number).claim(pointer, word)) {
            return Inserted::New;
        }
        self.count_away(|away| away - 1);
        Inserted::Full
    }

    /// Takes a block out of the slot that is the best for it. `None`: see [`Home::remove`].
    #[inline(always)]
    pub(crate) fn remove_from_best(self, pointer: usize) -> Option<Block> {
        let best = self.bucket().best(pointer);
        if best.pointer.load(Ordering::Relaxed) == pointer { best.take() } else { None }
    }

    /// Takes a block out; `None` when it is not in the level.
    pub(super) fn remove(self, pointer: usize) -> Option<Block> {
        if let Some(slot) = self.bucket().slot_with(pointer) {
            return slot.take();
        }
        if self.all_at_home() {
            return None;
        }
        let block = self.find_elsewhere(pointer)?.take();
        self.count_away(|away| away - 1);
        block
    }

    /// What is known of a block that stays.
    #[cold]
    pub(super) fn look_at(self, pointer: usize) -> Option<Block> {
        NonZeroU64::new(self.find(pointer)?.block.load(Ordering::Relaxed)).map(Block)
    }

    /// The slot of a pointer, wherever it is.
    fn find(self, pointer: usize) -> Option<&'static Slot> {
        let at_home = self.bucket().slot_with(pointer);
        if at_home.is_some() || self.all_at_home() {
            return at_home;
        }
        self.find_elsewhere(pointer)
    }

    #[cold]
    fn find_elsewhere(self, pointer: usize) -> Option<&'static Slot> {
        let Home { level, number } = self;
        level.elsewhere(number).find_map(|number| level.bucket(number).slot_with(pointer))
    }

    /// One more or one less is elsewhere. So many that they cannot be counted are never none again.
    fn count_away(self, change: fn(u8) -> u8) {
        let change = |away| (away != u8::MAX).then(|| change(away));
        let _ = self.away().fetch_update(Ordering::Relaxed, Ordering::Relaxed, change);
    }
}

/// The first that is `wanted`, or as many as there are. All are compared, so that the processor
/// need not guess.
#[inline(always)]
fn first(held: [usize; SLOTS], wanted: usize) -> usize {
    held.iter().enumerate().rev().fold(
        SLOTS,
        |found, (at, held)| {
            if *held == wanted { at } else { found }
        },
    )
}

impl Bucket {
    /// The slot in which a block is looked for first: neighbours in the heap have others.
    #[inline(always)]
    fn best(&self, pointer: usize) -> &Slot {
        &self.0[(pointer >> 4) % SLOTS]
    }

    #[inline(always)] // they would go through memory
    fn pointers(&self) -> [usize; SLOTS] {
        [0, 1, 2, 3].map(|at: usize| self.0[at].pointer.load(Ordering::Relaxed))
    }

    #[inline(always)]
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
