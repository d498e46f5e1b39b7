//! What happens to the blocks that are counted. Nothing here is on the way of the others.

use contract::Domain;
use ledger::Statistic;
use ledger_writer::SiteId;

use super::{countdown, current, held, next_distance};
use crate::blocks::{Block, Inserted};
use crate::caller::Caller;
use crate::heritage::{self, Taken};
use crate::recorder::Recorder;
use crate::threads::{Inside, Seat};
use crate::{current, process, start};

/// The thread's distance is used up by a block, or the thread has drawn none yet: whether the block
/// is to be counted.
#[cold]
pub(super) fn is_due(left: i64, bytes: u64) -> bool {
    let Some(sampling) = current() else { return false };
    process::ask_if_needed();
    let due = countdown::restart(left, bytes, || next_distance(sampling));
    // Also for a first block that is not counted: from it on the process has a ledger, which says
    // that there was an OpenSSL in it.
    current::current().or_else(start::start).is_some() && due
}

/// Counts a block that the heap has just given.
#[cold]
pub(super) fn counted(pointer: usize, bytes: u64, caller: Caller) {
    if let Some(recorder) = current::current() {
        recorder.sampled(pointer, bytes, caller);
    }
}

/// Takes a block out of the tables if it is a counted one, without counting: the heap may still
/// refuse to move it. `by` is who frees or moves it.
#[cold]
#[inline(never)]
pub(super) fn take(pointer: usize, by: Domain) -> Option<Taken> {
    if pointer == 0 {
        return None;
    }
    // What a process has from its parent is told when it gets a ledger; before that it is only
    // forgotten.
    let known = current::current();
    if known.is_some_and(Recorder::is_detached) {
        return None;
    }
    let Some(_inside) = Inside::enter() else {
        if let Some(recorder) = known {
            recorder.nested(by);
        }
        return None;
    };
    let own = known.and_then(|from| Some(Taken { block: from.blocks.remove(pointer)?, from }));
    let inherited =
        || heritage::take(known.map_or(heritage::retired(), |it| it.inherited), pointer);
    let taken = own.or_else(inherited);
    if taken.is_some() {
        held::remove(pointer);
    }
    taken
}

/// The block is free.
pub(super) fn gone(taken: Taken) {
    let Some(recorder) = current::current() else { return };
    let Some(mut inside) = Inside::enter() else { return };
    if !std::ptr::eq(taken.from, recorder) {
        recorder.sampled_inherited_free(taken.block);
        return;
    }
    let seat = recorder.threads.desk(recorder, &mut inside);
    recorder.count_sampled_free(seat, taken.block);
}

/// The heap refused to move the block: it is where it was.
#[cold]
#[inline(never)]
pub(super) fn put_back(pointer: usize, taken: Taken) {
    let Some(inside) = Inside::enter() else { return };
    let blocks = &taken.from.blocks;
    let report = |_, table| taken.from.report_memory(table);
    held::add(pointer);
    let put = blocks.insert(blocks.home(pointer), pointer, taken.block, report);
    if put == Inserted::Full {
        held::remove(pointer);
        drop(inside);
        gone(taken);
    }
}

impl Recorder {
    /// Counts a block that is one of the sample.
    fn sampled(&'static self, pointer: usize, bytes: u64, caller: Caller) {
        if self.is_detached() {
            return;
        }
        let Some(mut inside) = Inside::enter() else {
            self.nested(caller.source().domain);
            return;
        };
        let Some(mut seat) = self.threads.desk(self, &mut inside) else {
            return self.sampled_untracked(bytes);
        };
        // Far from the caches: let it come while the stack is walked.
        let home = self.blocks.home(pointer);
        home.fetch();
        let bounds = seat.bounds();
        let trace = seat.trace();
        self.stacks.walk(caller.frame, bounds, trace);
        let site = self.sites.find(&self.ledger, caller.key(bytes, trace.stack()));
        // Of a block whose site did not fit it would not be known how many it stands for.
        let cell = if site == SiteId::DROPPED { None } else { seat.cell(&self.ledger, site) };
        let Some(cell) = cell else { return self.sampled_untracked(bytes) };
        let Some(block) = Block::new(self.ledger.cells().number(cell), bytes) else {
            return self.sampled_untracked(bytes);
        };
        held::add(pointer);
        let report = |number, table| self.report_level(number, table);
        match self.blocks.insert(home, pointer, block, report) {
            Inserted::New => {}
            Inserted::Replaced(old) => {
                held::remove(pointer);
                self.ledger.add(Statistic::StaleBlocks, 1);
                self.count_sampled_free(Some(seat.again()), old);
            }
            Inserted::Full => {
                held::remove(pointer);
                return self.sampled_untracked(bytes);
            }
        }
        seat.count_allocation(cell, self.weight(bytes));
    }

    fn count_sampled_free(&self, seat: Option<Seat>, block: Block) {
        let weight = self.weight(block.bytes());
        let cell = self.ledger.cells().cell(block.cell());
        let own = seat.and_then(|mut seat| {
            let own = seat.own_cell(cell)?;
            seat.count_free(own, weight);
            Some(())
        });
        if own.is_none() {
            self.ledger.spill_free(cell.site(), weight);
        }
    }

    /// Bytes that a counted block stands for.
    fn weight(&self, bytes: u64) -> u64 {
        self.sampling.map_or(bytes, |sampling| sampling.weight(bytes))
    }

    /// What a counted block stands for, as whole numbers. Which way they are rounded is left to
    /// chance, so that sums of them are right.
    pub(crate) fn stands_for(&self, bytes: u64) -> (u64, u64) {
        match self.sampling {
            None => (1, bytes),
            Some(sampling) => sampling.estimate(bytes, 1).whole(super::chance()),
        }
    }

    fn sampled_untracked(&self, bytes: u64) {
        let (blocks, bytes) = self.stands_for(bytes);
        self.ledger.add(Statistic::UntrackedBlocks, blocks);
        self.ledger.add(Statistic::UntrackedBytes, bytes);
    }

    fn sampled_inherited_free(&self, block: Block) {
        let (blocks, bytes) = self.stands_for(block.bytes());
        self.ledger.add(Statistic::InheritedFreedBlocks, blocks);
        self.ledger.add(Statistic::InheritedFreedBytes, bytes);
    }
}
