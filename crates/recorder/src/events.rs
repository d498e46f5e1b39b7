//! What happens at each event: a block that the heap has given, or is about to get back.

use std::ffi::c_char;
use std::sync::atomic::Ordering;

use contract::Domain;
use ledger::Statistic;
use ledger_writer::SiteId;

use crate::blocks::{Block, Inserted};
use crate::caller::Caller;
use crate::habits::Known;
use crate::recorder::Recorder;
use crate::threads::{Inside, Seat, Seated, is_at_own_work};
use crate::{current, heritage, process, start};

/// Counts a block that the heap has just given.
#[inline(always)]
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
    let report = |number, table| recorder.report_level(number, table);
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
/// process starts the recorder where [`LedgerPlace::Folder`](crate::LedgerPlace::Folder) says so.
#[inline(never)]
fn allocated_otherwise(pointer: usize, bytes: u64, file: *const c_char, line: u64, frame: usize) {
    let caller = Caller { file, line, frame };
    if caller.source().domain != Domain::Openssl && is_at_own_work() {
        return;
    }
    process::ask_if_needed();
    if let Some(recorder) = current::current().or_else(start::start) {
        recorder.allocated(pointer, bytes, caller);
    }
}

/// Counts a block out that the heap is about to get back. `by` is who frees it, whoever allocated
/// it.
#[inline(always)]
pub(crate) fn freed(pointer: usize, by: Domain) {
    let counted = match Seated::enter() {
        Some(mut seated) => {
            let counted = freed_from_best(seated.seat(), pointer);
            seated.leave();
            counted
        }
        None => false,
    };
    if !counted {
        freed_otherwise(pointer, by);
    }
}

/// Counts a block out if it is where it is looked for first. `false`: nothing has happened.
#[inline(always)]
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
fn freed_otherwise(pointer: usize, by: Domain) {
    process::ask_if_needed();
    match current::current() {
        Some(recorder) => recorder.freed(pointer, by),
        // Nothing to count in: a fork's ledger begins with its first allocation.
        None => heritage::forget(pointer, by),
    }
}

impl Recorder {
    fn allocated(&'static self, pointer: usize, bytes: u64, caller: Caller) {
        if self.detached.load(Ordering::Relaxed) {
            return;
        }
        let Some(mut inside) = Inside::enter() else {
            self.nested(caller.source().domain);
            return;
        };
        let Some(mut seat) = self.threads.desk(self, &mut inside) else {
            self.untracked(bytes);
            return;
        };
        let Some(known) = self.known(&mut seat, caller) else { return self.untracked(bytes) };
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

    fn freed(&'static self, pointer: usize, by: Domain) {
        if self.detached.load(Ordering::Relaxed) {
            return;
        }
        let Some(mut inside) = Inside::enter() else {
            self.nested(by);
            return;
        };
        match self.blocks.remove(pointer) {
            Some(block) => self.free_block(block, &mut inside),
            None => self.foreign_free(pointer, by),
        }
    }

    /// Somebody calls a hook from within a hook: a signal handler, unless it is the recorder
    /// itself that asks the malloc family.
    pub(crate) fn nested(&self, domain: Domain) {
        if domain == Domain::Openssl || !is_at_own_work() {
            self.ledger.add(Statistic::NestedCalls, 1);
        }
    }

    /// A block is freed that is not in this process's table.
    #[cold]
    fn foreign_free(&self, pointer: usize, by: Domain) {
        match heritage::take(self.inherited, pointer) {
            Some(taken) => self.free_inherited(taken.block),
            None => self.unseen(by),
        }
    }

    /// A block is freed, or moved, of which nothing is known.
    pub(crate) fn unseen(&self, by: Domain) {
        match by {
            Domain::Openssl => self.ledger.add(Statistic::ForeignFrees, 1),
            // What the recorder has for itself is known to nobody.
            _ if is_at_own_work() => {}
            _ => self.ledger.add(Statistic::EarlierBlocks, 1),
        }
    }

    pub(crate) fn free_block(&'static self, block: Block, inside: &mut Inside) {
        match self.threads.desk(self, inside) {
            Some(seat) => count_free(seat, block),
            None => self.spill_free(block),
        }
    }

    /// The site of a caller, and the thread's cell there. `None` when there is no cell left.
    pub(crate) fn known(&self, seat: &mut Seat, caller: Caller) -> Option<Known> {
        match seat.habits().recall(caller) {
            Some(known) => Some(known),
            None => self.find(seat.again(), caller),
        }
    }

    /// Walks the stack, and finds its site and the thread's cell there.
    #[cold]
    #[inline(never)]
    fn find(&self, mut seat: Seat, caller: Caller) -> Option<Known> {
        let bounds = seat.bounds();
        let trace = seat.trace();
        self.stacks.walk(caller.frame, bounds, trace);
        let site = self.sites.find(&self.ledger, caller.key(0, trace.stack()));
        if let Some(cell) = seat.cell(&self.ledger, site) {
            let known = Known { site, cell };
            let shape = {
                let grown = |table| self.report_memory(table);
                self.segments.of(caller.frame, seat.trace(), grown)
            };
            seat.learn(caller, known, shape);
            return Some(known);
        }
        let site = SiteId::DROPPED;
        Some(Known { site, cell: seat.cell(&self.ledger, site)? })
    }
}
