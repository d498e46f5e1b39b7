//! What happens at each event: the tables put together.

use std::ffi::c_char;
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};

use ledger::{Ledger, SiteId, Statistic};

use crate::blocks::{Block, Blocks, Inserted};
use crate::heap::{Heap, OpensslFunctions};
use crate::memory::Table;
use crate::sites::{Key, Sites};
use crate::stack;
use crate::threads::{Inside, Seat, Threads};

/// The recorder of this process. It is made once and never goes away: hooks may run until the
/// very end.
pub(crate) struct Recorder {
    pub ledger: Ledger,
    pub heap: Heap,
    pub functions: OpensslFunctions,
    pub blocks: Blocks,
    pub sites: Sites,
    pub threads: Threads,
    /// Set in a forked child: the ledger belongs to its parent.
    pub detached: AtomicBool,
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

/// Where OpenSSL asked, as its hook sees it.
#[derive(Clone, Copy)]
pub(crate) struct Caller {
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
        let stack = stack::walk(caller.frame, &mut room);
        let key = Key { file: caller.file, line: caller.line, stack };
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
    pub(crate) fn freed(&self, pointer: usize) {
        if self.detached.load(Ordering::Relaxed) {
            return;
        }
        let Some(mut inside) = Inside::enter() else {
            self.ledger.add(Statistic::NestedCalls, 1);
            return;
        };
        match self.blocks.remove(pointer) {
            Some(block) => self.free_block(block, &mut inside),
            None => self.ledger.add(Statistic::ForeignFrees, 1),
        }
    }

    /// Takes a block out of the table before the heap may move it, without counting: the heap may
    /// still refuse.
    #[inline]
    pub(crate) fn about_to_move(&self, pointer: usize) -> Option<Block> {
        if self.detached.load(Ordering::Relaxed) {
            return None;
        }
        let Some(_inside) = Inside::enter() else {
            self.ledger.add(Statistic::NestedCalls, 1);
            return None;
        };
        let block = self.blocks.remove(pointer);
        if block.is_none() {
            self.ledger.add(Statistic::ForeignFrees, 1);
        }
        block
    }

    /// The heap refused to move the block: it is where it was.
    pub(crate) fn not_moved(&self, pointer: usize, block: Block) {
        let Some(mut inside) = Inside::enter() else { return };
        if self.blocks.insert(pointer, block, |table| self.report_memory(table)) == Inserted::Full {
            self.free_block(block, &mut inside);
            self.untracked(block.bytes);
        }
    }

    /// The heap has moved the block: the old one is free.
    #[inline]
    pub(crate) fn moved(&self, block: Block) {
        if let Some(mut inside) = Inside::enter() {
            self.free_block(block, &mut inside);
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
        let site = if self.ledger.site_is(guessed, key.file as usize, key.line, frames) {
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
