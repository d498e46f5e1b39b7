//! Live blocks: which cell each pointer is counted in, and how large it is.
//!
//! A row of hash tables ("levels"), each about half as large as all before it. New blocks go into
//! one of them until that has no room for one; then into another that has been emptied meanwhile,
//! or else into a new one. Looking up starts where new blocks go. Nothing moves and nothing is
//! locked: a slot is claimed by one compare-and-swap of its pointer, and a live pointer has exactly
//! one owner, who alone looks it up.
//!
//! A block is at home in a bucket of one cache line, with its neighbours in the heap. Neighbours
//! are allocated and freed together, so that homes are in the cache. Who finds no room at home goes
//! elsewhere, to one of some places of chance, and as long as nobody from a home is elsewhere,
//! nobody is looked for there. A level fills to about 65 % before it overflows, so a live block
//! costs 25 to 38 bytes.

mod level;

use std::num::NonZeroU64;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

use ledger::layout::{LEVELS, SIZE_BITS};

use crate::blocks::level::Home;
use crate::blocks::level::{Head, Level};
use crate::memory::Table;

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
    /// The block is in the table, and another was held as live at its address: it was freed behind
    /// OpenSSL.
    Replaced(Block),
    /// There is no room.
    Full,
}

/// How large the first table of live blocks is. Where many small blocks lie side by side in a heap
/// of many megabytes, their homes in a small one are the same, and each is looked for longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FirstLevel {
    /// Room for 65,536 blocks, and homes of their own for those of one megabyte.
    Small,
    /// Eight times as much.
    Large,
}

/// A level is worth filling again when no more than so many of 256 slots are taken.
const WORTH_FILLING: usize = 80;

/// The table of live blocks.
pub(crate) struct Blocks {
    /// Where new blocks go.
    current: AtomicPtr<Head>,
    levels: [AtomicPtr<Head>; LEVELS],
    /// How many levels there are.
    built: AtomicUsize,
    /// There may be no more than these.
    most: usize,
    first: FirstLevel,
}

impl Blocks {
    /// A table that grows to at least `capacity` blocks and no further.
    pub(crate) fn with_capacity(capacity: u64, first: FirstLevel) -> Option<Blocks> {
        let slots = |level| first.slots_of(level);
        let room = |levels: usize| (0..levels).map(slots).sum::<usize>() as u64 / 2;
        let most = (1..LEVELS).find(|levels| room(*levels) >= capacity);
        let blocks = Blocks {
            current: AtomicPtr::default(),
            levels: [const { AtomicPtr::new(std::ptr::null_mut()) }; LEVELS],
            built: AtomicUsize::new(1),
            most: most.unwrap_or(LEVELS),
            first,
        };
        let first = Level::map(first, 0)?.as_ptr();
        blocks.levels[0].store(first, Ordering::Release);
        blocks.current.store(first, Ordering::Release);
        Some(blocks)
    }

    /// Forgets every block, and gives back what memory that takes. Whoever looks a block up meanwhile
    /// finds none.
    pub(crate) fn let_go(&self) {
        for number in 0..self.built.load(Ordering::Acquire) {
            self.level(number).let_go();
        }
    }

    /// Gives every level back.
    ///
    /// # Safety
    ///
    /// Nobody uses the table any more.
    pub(crate) unsafe fn unmap(&self) {
        for number in 0..self.built.load(Ordering::Acquire) {
            // SAFETY: the caller's promise.
            unsafe { self.level(number).unmap() };
        }
    }

    /// The first level.
    pub(crate) fn first_level(&self) -> Table {
        self.level(0).table()
    }

    /// Where a new block belongs, and where one is looked for first.
    #[inline(always)]
    pub(crate) fn home(&self, pointer: usize) -> Home {
        self.current().home(pointer)
    }

    /// Enters a block. `grown` is told of a level that was added for it, and of its number.
    pub(crate) fn insert(
        &self,
        home: Home,
        pointer: usize,
        block: Block,
        grown: impl Fn(usize, Table),
    ) -> Inserted {
        match home.insert(pointer, block) {
            Inserted::Full => self.insert_into_another(home.level, pointer, block, grown),
            inserted => inserted,
        }
    }

    #[cold]
    fn insert_into_another(
        &self,
        full: Level,
        pointer: usize,
        block: Block,
        grown: impl Fn(usize, Table),
    ) -> Inserted {
        let mut full = full;
        // Others may fill and leave levels meanwhile, but no level is filled that often.
        for _ in 0..2 * LEVELS {
            if !self.leave(full, &grown) {
                break;
            }
            full = self.current();
            match full.home(pointer).insert(pointer, block) {
                Inserted::Full => {}
                inserted => return inserted,
            }
        }
        Inserted::Full
    }

    /// Takes a block out; `None` when the pointer is not in the table.
    #[inline(always)]
    pub(crate) fn remove(&self, pointer: usize) -> Option<Block> {
        let home = self.home(pointer);
        home.remove_from_best(pointer).or_else(|| self.remove_from_another(home, pointer))
    }

    #[inline(never)]
    fn remove_from_another(&self, home: Home, pointer: usize) -> Option<Block> {
        if let Some(block) = home.remove(pointer) {
            return Some(block);
        }
        let built = self.built.load(Ordering::Acquire);
        let others = || {
            let levels = (0..built).rev().map(|number| self.level(number));
            levels.filter(|level| *level != home.level).map(|level| level.home(pointer))
        };
        // All at once: each is likely to be a miss.
        others().for_each(Home::fetch);
        others().find_map(|home| home.remove(pointer))
    }

    /// What is known of a live block, which stays in the table. Its owner alone may ask.
    #[cold]
    pub(crate) fn look_at(&self, pointer: usize) -> Option<Block> {
        let built = self.built.load(Ordering::Acquire);
        (0..built).rev().find_map(|number| self.level(number).home(pointer).look_at(pointer))
    }

    /// Has new blocks go into another level than `full`, unless another thread has. `false`: there
    /// may be no further level.
    #[cold]
    fn leave(&self, full: Level, grown: impl Fn(usize, Table)) -> bool {
        if self.current() != full {
            return true;
        }
        let built = self.built.load(Ordering::Acquire);
        let emptied = (0..built)
            .rev()
            .map(|number| self.level(number))
            .find(|level| *level != full && level.fill() <= WORTH_FILLING);
        let Some(next) = emptied.or_else(|| self.grow(built, grown)) else { return false };
        // An error says that another thread has been here before.
        let _ = self.current.compare_exchange(
            full.as_ptr(),
            next.as_ptr(),
            Ordering::AcqRel,
            Ordering::Acquire,
        );
        true
    }

    /// Adds the level with this number, unless another thread has.
    fn grow(&self, number: usize, grown: impl Fn(usize, Table)) -> Option<Level> {
        if number >= self.most {
            return None;
        }
        let new = Level::map(self.first, number)?;
        let null = std::ptr::null_mut();
        let (success, failure) = (Ordering::AcqRel, Ordering::Acquire);
        match self.levels[number].compare_exchange(null, new.as_ptr(), success, failure) {
            Ok(_) => grown(number, new.table()),
            // SAFETY: mapped above, and never shown to anybody.
            Err(_) => unsafe { new.unmap() },
        }
        self.built.fetch_max(number + 1, Ordering::AcqRel);
        Some(self.level(number))
    }

    /// Calls `visit` with every block in the table. Blocks that come or go meanwhile may be seen or
    /// not.
    pub(crate) fn for_each(&self, mut visit: impl FnMut(Block)) {
        for number in 0..self.built.load(Ordering::Acquire) {
            self.level(number).for_each(&mut visit);
        }
    }

    /// Calls `visit` with the size of every block in the table, in the same way.
    pub(crate) fn for_each_size(&self, mut visit: impl FnMut(u64)) {
        self.for_each(|block| visit(block.bytes()));
    }

    #[inline(always)]
    fn current(&self) -> Level {
        // SAFETY: a level that `with_capacity` or `leave` stored.
        unsafe { Level::from_ptr(self.current.load(Ordering::Acquire)) }
    }

    /// A level that has been built.
    fn level(&self, number: usize) -> Level {
        // SAFETY: `built` is raised only after a level is in place, so this is not NULL.
        unsafe { Level::from_ptr(self.levels[number].load(Ordering::Acquire)) }
    }
}

#[cfg(test)]
mod tests;
