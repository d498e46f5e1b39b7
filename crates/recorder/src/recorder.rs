//! What happens at each event: the tables put together.

use std::ffi::c_char;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, Ordering};

use ledger::{Ledger, SiteId, Statistic};

use crate::blocks::{Block, Blocks, Inserted};
use crate::memory::Table;
use crate::sites::{Key, Sites};
use crate::stack::{self, StackSource};
use crate::threads::{Inside, Seat, Threads};

/// The recorder of this process. It is made once and never goes away: hooks may run until the
/// very end.
pub(crate) struct Recorder {
    pub ledger: Ledger,
    pub blocks: Blocks,
    pub sites: Sites,
    pub threads: Threads,
    pub stacks: StackSource,
    /// Set in a forked child that gets no ledger of its own: this one belongs to its parent.
    pub detached: AtomicBool,
    /// The recorder of the process that this one was forked from, as it was at that moment: its
    /// table knows the blocks that this process has from there. Nothing is counted in it any more.
    pub inherited: Option<&'static Recorder>,
}

static RECORDER: AtomicPtr<Recorder> = AtomicPtr::new(std::ptr::null_mut());

/// The recorder, once it is installed.
#[inline]
pub(crate) fn current() -> Option<&'static Recorder> {
    let recorder = RECORDER.load(Ordering::Acquire);
    // SAFETY: NULL, or a leaked box that `publish` stored.
    unsafe { recorder.as_ref() }
}

/// Makes `recorder` the recorder of this process for good.
pub(crate) fn publish(recorder: Box<Recorder>) -> &'static Recorder {
    let recorder: &'static Recorder = Box::leak(recorder);
    RECORDER.store(std::ptr::from_ref(recorder).cast_mut(), Ordering::Release);
    recorder
}

/// In a forked child: the recorder that it was forked with.
static PARENT: AtomicPtr<Recorder> = AtomicPtr::new(std::ptr::null_mut());

/// In a forked child: takes the recorder out of work. The next one gets to know its blocks.
pub(crate) fn retire() {
    let recorder = RECORDER.swap(std::ptr::null_mut(), Ordering::AcqRel);
    FOREIGN_FREES.store(0, Ordering::Relaxed);
    // A child that forks before its first allocation has none, and its parent's stays.
    if !recorder.is_null() {
        PARENT.store(recorder, Ordering::Release);
    }
}

/// The recorder that [`retire`] took out of work.
pub(crate) fn retired() -> Option<&'static Recorder> {
    let recorder = PARENT.load(Ordering::Acquire);
    // SAFETY: NULL, or a leaked box that `publish` stored.
    unsafe { recorder.as_ref() }
}

/// A block is freed in a process that has no ledger yet: what it began with is counted when it
/// gets one.
pub(crate) fn forget_inherited(pointer: usize) {
    if let Some(_inside) = Inside::enter()
        && take_inherited(retired(), pointer).is_none()
    {
        FOREIGN_FREES.fetch_add(1, Ordering::Relaxed);
    }
}

/// Foreign frees for which there was no ledger yet.
static FOREIGN_FREES: AtomicU64 = AtomicU64::new(0);

/// A block taken out of the table it was in.
#[derive(Clone, Copy)]
pub(crate) struct Taken {
    block: Block,
    from: &'static Recorder,
}

/// Takes a block out of the tables of the processes that this one was forked from.
fn take_inherited(first: Option<&'static Recorder>, pointer: usize) -> Option<Taken> {
    std::iter::successors(first, |recorder| recorder.inherited)
        .find_map(|from| Some(Taken { block: from.blocks.remove(pointer)?, from }))
}

/// Where OpenSSL asked, as its hook sees it.
#[derive(Clone, Copy)]
pub(crate) struct Caller {
    /// The number of the OpenSSL that asked.
    pub openssl: u8,
    pub file: *const c_char,
    pub line: u32,
    /// The hook's own frame pointer: the walk starts there.
    pub frame: usize,
}

impl Recorder {
    /// Counts a block that the heap has just given.
    #[inline]
    pub(crate) fn allocated(&self, pointer: usize, bytes: u64, caller: Caller) {
        if self.detached.load(Ordering::Relaxed) {
            return;
        }
        let Some(mut inside) = Inside::enter() else {
            self.ledger.add(Statistic::NestedCalls, 1);
            return;
        };
        let Some(mut seat) = self.threads.desk(&self.ledger, &mut inside) else {
            self.untracked(bytes);
            return;
        };
        let mut room = stack::EMPTY;
        let stack = self.stacks.walk(caller.frame, &mut room);
        let Caller { openssl, file, line, .. } = caller;
        let key = Key { openssl, file, line, stack };
        let mut site = self.site(&mut seat, key);
        let cell = seat.cell(&self.ledger, site).or_else(|| {
            site = SiteId::DROPPED;
            seat.cell(&self.ledger, site)
        });
        let Some(cell) = cell else {
            self.untracked(bytes);
            return;
        };
        match self.blocks.insert(pointer, Block { site, bytes }, |table| self.report_memory(table))
        {
            Inserted::New => {}
            Inserted::Replaced(old) => {
                self.ledger.add(Statistic::StaleBlocks, 1);
                self.count_free(&mut seat, old);
            }
            Inserted::Full => {
                self.untracked(bytes);
                return;
            }
        }
        self.ledger.count_allocation(cell, bytes, seat.peak_guess());
    }

    /// Counts a block out that the heap is about to get back.
    #[inline]
    pub(crate) fn freed(&'static self, pointer: usize) {
        if self.detached.load(Ordering::Relaxed) {
            return;
        }
        let Some(mut inside) = Inside::enter() else {
            self.ledger.add(Statistic::NestedCalls, 1);
            return;
        };
        match self.take(pointer) {
            Some(taken) => self.free_taken(taken, &mut inside),
            None => self.ledger.add(Statistic::ForeignFrees, 1),
        }
    }

    /// Takes a block out of the table before the heap may move it, without counting: the heap may
    /// still refuse.
    #[inline]
    pub(crate) fn about_to_move(&'static self, pointer: usize) -> Option<Taken> {
        if self.detached.load(Ordering::Relaxed) {
            return None;
        }
        let Some(_inside) = Inside::enter() else {
            self.ledger.add(Statistic::NestedCalls, 1);
            return None;
        };
        let taken = self.take(pointer);
        if taken.is_none() {
            self.ledger.add(Statistic::ForeignFrees, 1);
        }
        taken
    }

    /// The heap refused to move the block: it is where it was.
    pub(crate) fn not_moved(&self, pointer: usize, taken: Taken) {
        let Some(mut inside) = Inside::enter() else { return };
        let Taken { block, from } = taken;
        if from.blocks.insert(pointer, block, |table| self.report_memory(table)) == Inserted::Full {
            self.free_taken(taken, &mut inside);
            self.untracked(block.bytes);
        }
    }

    /// The heap has moved the block: the old one is free.
    #[inline]
    pub(crate) fn moved(&self, taken: Taken) {
        if let Some(mut inside) = Inside::enter() {
            self.free_taken(taken, &mut inside);
        }
    }

    /// Takes a block out of this process's table, or out of that of a process it was forked from.
    #[inline]
    fn take(&'static self, pointer: usize) -> Option<Taken> {
        match self.blocks.remove(pointer) {
            Some(block) => Some(Taken { block, from: self }),
            None => take_inherited(self.inherited, pointer),
        }
    }

    #[inline]
    fn free_taken(&self, taken: Taken, inside: &mut Inside) {
        if std::ptr::eq(taken.from, self) {
            self.free_block(taken.block, inside);
        } else {
            self.ledger.add(Statistic::InheritedFreedBlocks, 1);
            self.ledger.add(Statistic::InheritedFreedBytes, taken.block.bytes);
        }
    }

    /// Says in the ledger what this process has from the ones it was forked from, and what it
    /// freed before it had a ledger.
    pub(crate) fn report_inherited(&self) {
        self.ledger.add(Statistic::ForeignFrees, FOREIGN_FREES.swap(0, Ordering::Relaxed));
        for recorder in std::iter::successors(self.inherited, |recorder| recorder.inherited) {
            recorder.blocks.for_each_size(|bytes| {
                self.ledger.add(Statistic::InheritedBlocks, 1);
                self.ledger.add(Statistic::InheritedBytes, bytes);
            });
        }
    }

    /// Says in the ledger whether OpenSSL still calls the recorder.
    pub(crate) fn report_replaced(&self) {
        self.ledger.set(Statistic::HookReplaced, 1);
    }

    /// Says in the ledger that the table of blocks has grown by a level.
    fn report_memory(&self, level: Table) {
        self.ledger.add_table(level.start, level.bytes);
    }

    fn untracked(&self, bytes: u64) {
        self.ledger.add(Statistic::UntrackedBlocks, 1);
        self.ledger.add(Statistic::UntrackedBytes, bytes);
    }

    fn free_block(&self, block: Block, inside: &mut Inside) {
        match self.threads.desk(&self.ledger, inside) {
            Some(mut seat) => self.count_free(&mut seat, block),
            None => self.ledger.spill_free(block.site, block.bytes, &mut 0),
        }
    }

    #[inline]
    fn count_free(&self, seat: &mut Seat, block: Block) {
        match seat.cell(&self.ledger, block.site) {
            Some(cell) => self.ledger.count_free(cell, block.bytes, seat.peak_guess()),
            None => self.ledger.spill_free(block.site, block.bytes, seat.peak_guess()),
        }
    }

    /// The site of this stack: first the one that came next the last time, then by search.
    #[inline]
    fn site(&self, seat: &mut Seat, key: Key) -> SiteId {
        let guess = seat.guess(key.stack);
        let guessed = SiteId::from_number(*guess);
        let frames = key.stack.frames();
        let site = if self.ledger.site_is(guessed, key.openssl, key.file as usize, key.line, frames)
        {
            guessed
        } else {
            let found = self.sites.find(&self.ledger, key);
            *guess = found.number();
            found
        };
        seat.set_previous(site);
        site
    }
}
