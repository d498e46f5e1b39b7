//! What happens at each event: the tables put together.

use std::ffi::c_char;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, Ordering};

use ledger::{Sampling, Statistic};
use ledger_writer::{Ledger, SiteId};

use crate::blocks::{Block, Blocks, Inserted};
use crate::habits::Known;
use crate::memory::Table;
use crate::process;
use crate::segments::Segments;
use crate::sites::{Key, Sites};
use crate::stack::{Stack, StackSource};
use crate::threads::{Inside, Seat, Seated, Threads};
use crate::trace::Trace;

/// The recorder of this process. It is made once and never goes away: hooks may run until the
/// very end.
#[repr(C)] // what each event needs comes first
pub(crate) struct Recorder {
    pub blocks: Blocks,
    pub ledger: Ledger,
    pub sites: Sites,
    pub segments: Segments,
    pub threads: Threads,
    pub stacks: StackSource,
    /// How blocks are chosen to be counted; `None` when every one is.
    pub sampling: Option<Sampling>,
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
fn forget_inherited(pointer: usize) {
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
    pub block: Block,
    pub from: &'static Recorder,
}

/// Takes a block out of the tables of the processes that this one was forked from.
pub(crate) fn take_inherited(first: Option<&'static Recorder>, pointer: usize) -> Option<Taken> {
    std::iter::successors(first, |recorder| recorder.inherited)
        .find_map(|from| Some(Taken { block: from.blocks.remove(pointer)?, from }))
}

/// Where OpenSSL asked, as its hook sees it.
#[derive(Clone, Copy)]
pub(crate) struct Caller {
    pub file: *const c_char,
    /// The line, and above it the number of the OpenSSL.
    pub line: u64,
    /// The hook's own frame pointer: the walk starts there.
    pub frame: usize,
}

impl Caller {
    #[inline(always)]
    #[allow(clippy::inline_always)]
    pub(crate) fn new(openssl: u8, file: *const c_char, line: u32, frame: usize) -> Caller {
        Caller { file, line: u64::from(openssl) << 32 | u64::from(line), frame }
    }

    /// The site's key; `block_bytes` is 0 where all sizes have the same site.
    pub(crate) fn key(self, block_bytes: u64, stack: Stack) -> Key {
        let (openssl, line) = ((self.line >> 32) as u8, self.line as u32);
        Key { openssl, file: self.file, line, block_bytes, stack }
    }
}

/// Counts a block that the heap has just given.
#[inline(always)]
#[allow(clippy::inline_always)] // the caller's fields would go through memory
pub(crate) fn allocated(pointer: usize, bytes: u64, caller: Caller) {
    let counted = match Seated::enter() {
        Some(mut seated) => {
            let counted = habitual(seated.seat(), pointer, bytes, caller);
            seated.leave();
            counted
        }
        None => false,
    };
    if !counted {
        let Caller { file, line, frame } = caller;
        allocated_otherwise(pointer, bytes, file, line, frame);
    }
}

/// Counts a block if the thread's habits know it. `false`: nothing has happened.
#[inline(always)]
#[allow(clippy::inline_always)]
fn habitual(mut seat: Seat, pointer: usize, bytes: u64, caller: Caller) -> bool {
    let recorder = seat.recorder();
    let home = recorder.blocks.home(pointer);
    home.fetch();
    let Some(number) = seat.habits().expected_cell(caller) else { return false };
    let Some(block) = Block::new(number, bytes) else { return false };
    seat.habits().follow_expected();
    if !home.insert_at_best(pointer, block, recorder.threads.count())
        && !insert(seat.again(), pointer, block)
    {
        return true;
    }
    let cell = seat.habits().cell(number);
    seat.count_allocation(cell, bytes);
    true
}

/// Enters a block into the table. `false`, when there is no room, is counted.
#[inline(never)]
fn insert(seat: Seat, pointer: usize, block: Block) -> bool {
    let recorder = seat.recorder();
    let report = |table| recorder.report_memory(table);
    match recorder.blocks.insert(recorder.blocks.home(pointer), pointer, block, report) {
        Inserted::New => true,
        Inserted::Replaced(old) => {
            recorder.replaced(seat, old);
            true
        }
        Inserted::Full => {
            recorder.untracked(block.bytes());
            false
        }
    }
}

/// Counts a block that is no habit of the thread's, or in a thread without any. The first one of a
/// process starts the recorder where [`crate::prepare`] said so.
#[inline(never)]
fn allocated_otherwise(pointer: usize, bytes: u64, file: *const c_char, line: u64, frame: usize) {
    if let Some(recorder) = current().or_else(process::start) {
        recorder.allocated(pointer, bytes, Caller { file, line, frame });
    }
}

/// Counts a block out that the heap is about to get back.
#[inline(always)]
#[allow(clippy::inline_always)]
pub(crate) fn freed(pointer: usize) {
    let counted = match Seated::enter() {
        Some(mut seated) => {
            let counted = freed_from_best(seated.seat(), pointer);
            seated.leave();
            counted
        }
        None => false,
    };
    if !counted {
        freed_otherwise(pointer);
    }
}

/// Counts a block out if it is where it is looked for first. `false`: nothing has happened.
#[inline(always)]
#[allow(clippy::inline_always)]
fn freed_from_best(mut seat: Seat, pointer: usize) -> bool {
    let home = seat.recorder().blocks.home(pointer);
    let Some(block) = home.remove_from_best(pointer) else { return false };
    let cell = seat.habits().cell(block.cell());
    if seat.owns(cell) {
        seat.count_free(cell, block.bytes());
    } else {
        count_free(seat, block);
    }
    true
}

/// Counts a block out that is in the table no more.
#[inline(never)]
fn count_free(mut seat: Seat, block: Block) {
    let cell = seat.habits().cell(block.cell());
    match seat.own_cell(cell) {
        Some(cell) => seat.count_free(cell, block.bytes()),
        None => seat.recorder().spill_free(block),
    }
}

#[inline(never)]
fn freed_otherwise(pointer: usize) {
    match current() {
        Some(recorder) => recorder.freed(pointer),
        // Nothing to count in: a fork's ledger begins with its first allocation.
        None => forget_inherited(pointer),
    }
}

impl Recorder {
    fn allocated(&'static self, pointer: usize, bytes: u64, caller: Caller) {
        if self.detached.load(Ordering::Relaxed) {
            return;
        }
        let Some(mut inside) = Inside::enter() else {
            self.ledger.add(Statistic::NestedCalls, 1);
            return;
        };
        let Some(mut seat) = self.threads.desk(self, &mut inside) else {
            self.untracked(bytes);
            return;
        };
        let known = match seat.habits().recall(caller) {
            Some(known) => known,
            None => match self.find(seat.again(), caller) {
                Some(found) => found,
                None => return self.untracked(bytes),
            },
        };
        let number = self.ledger.cells().number(known.cell);
        let Some(block) = Block::new(number, bytes) else { return self.untracked(bytes) };
        if insert(seat.again(), pointer, block) {
            seat.count_allocation(known.cell, bytes);
            seat.habits().look_ahead();
        }
    }

    /// An address was still held as live.
    #[cold]
    fn replaced(&self, seat: Seat, old: Block) {
        self.ledger.add(Statistic::StaleBlocks, 1);
        count_free(seat, old);
    }

    fn freed(&'static self, pointer: usize) {
        if self.detached.load(Ordering::Relaxed) {
            return;
        }
        let Some(mut inside) = Inside::enter() else {
            self.ledger.add(Statistic::NestedCalls, 1);
            return;
        };
        match self.blocks.remove(pointer) {
            Some(block) => self.free_block(block, &mut inside),
            None => self.foreign_free(pointer),
        }
    }

    /// A block is freed that is not in this process's table.
    #[cold]
    fn foreign_free(&self, pointer: usize) {
        match take_inherited(self.inherited, pointer) {
            Some(taken) => self.free_inherited(taken.block),
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
    pub(crate) fn not_moved(&'static self, pointer: usize, taken: Taken) {
        let Some(mut inside) = Inside::enter() else { return };
        let Taken { block, from } = taken;
        let home = from.blocks.home(pointer);
        let report = |table| self.report_memory(table);
        if from.blocks.insert(home, pointer, block, report) == Inserted::Full {
            self.free_taken(taken, &mut inside);
            self.untracked(block.bytes());
        }
    }

    /// The heap has moved the block: the old one is free.
    #[inline]
    pub(crate) fn moved(&'static self, taken: Taken) {
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
    fn free_taken(&'static self, taken: Taken, inside: &mut Inside) {
        if std::ptr::eq(taken.from, self) {
            self.free_block(taken.block, inside);
        } else {
            self.free_inherited(taken.block);
        }
    }

    #[cold]
    fn free_inherited(&self, block: Block) {
        self.ledger.add(Statistic::InheritedFreedBlocks, 1);
        self.ledger.add(Statistic::InheritedFreedBytes, block.bytes());
    }

    /// Says in the ledger what this process has from the ones it was forked from, and what it
    /// freed before it had a ledger.
    pub(crate) fn report_inherited(&self) {
        self.ledger.add(Statistic::ForeignFrees, FOREIGN_FREES.swap(0, Ordering::Relaxed));
        for recorder in std::iter::successors(self.inherited, |recorder| recorder.inherited) {
            recorder.blocks.for_each_size(|bytes| {
                let (blocks, bytes) = self.stands_for(bytes);
                self.ledger.add(Statistic::InheritedBlocks, blocks);
                self.ledger.add(Statistic::InheritedBytes, bytes);
            });
        }
    }

    /// It is a forked child's that gets no ledger of its own.
    pub(crate) fn is_detached(&self) -> bool {
        self.detached.load(Ordering::Relaxed)
    }

    /// Says in the ledger whether OpenSSL still calls the recorder.
    pub(crate) fn report_replaced(&self) {
        self.ledger.set(Statistic::HookReplaced, 1);
    }

    /// Says in the ledger that the table of blocks has grown by a level.
    pub(crate) fn report_memory(&self, level: Table) {
        self.ledger.add_table(level.start, level.bytes);
    }

    #[cold]
    fn untracked(&self, bytes: u64) {
        self.ledger.add(Statistic::UntrackedBlocks, 1);
        self.ledger.add(Statistic::UntrackedBytes, bytes);
    }

    fn free_block(&'static self, block: Block, inside: &mut Inside) {
        match self.threads.desk(self, inside) {
            Some(seat) => count_free(seat, block),
            None => self.spill_free(block),
        }
    }

    #[cold]
    fn spill_free(&self, block: Block) {
        self.ledger.spill_free(self.ledger.cells().cell(block.cell()).site(), block.bytes());
    }

    /// Walks the stack, and finds its site and the thread's cell there.
    #[cold]
    #[inline(never)]
    fn find(&self, mut seat: Seat, caller: Caller) -> Option<Known> {
        let mut trace = Trace::new();
        self.stacks.walk(caller.frame, seat.bounds(), &mut trace);
        let site = self.sites.find(&self.ledger, caller.key(0, trace.stack()));
        if let Some(cell) = seat.cell(&self.ledger, site) {
            let known = Known { site, cell };
            seat.learn(caller, known, self.segments.of(caller.frame, &trace));
            return Some(known);
        }
        let site = SiteId::DROPPED;
        Some(Known { site, cell: seat.cell(&self.ledger, site)? })
    }
}
