//! What a forked child has from its parent: the parent's recorder, and the blocks in its tables.

use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering};

use contract::Domain;
use ledger::Statistic;

use crate::blocks::Block;
use crate::current;
use crate::recorder::Recorder;
use crate::threads::Inside;

/// In a forked child: the recorder that it was forked with.
static PARENT: AtomicPtr<Recorder> = AtomicPtr::new(std::ptr::null_mut());

/// Foreign frees for which there was no ledger yet.
static FOREIGN_FREES: AtomicU64 = AtomicU64::new(0);

/// In a forked child: takes the recorder out of work. The next one gets to know its blocks.
pub(crate) fn retire() {
    let recorder = current::take();
    FOREIGN_FREES.store(0, Ordering::Relaxed);
    // A child that forks before its first allocation has none, and its parent's stays.
    if let Some(recorder) = recorder {
        PARENT.store(std::ptr::from_ref(recorder).cast_mut(), Ordering::Release);
    }
}

/// The recorder that [`retire`] took out of work.
pub(crate) fn retired() -> Option<&'static Recorder> {
    let recorder = PARENT.load(Ordering::Acquire);
    // SAFETY: NULL, or a leaked box that `retire` was given.
    unsafe { recorder.as_ref() }
}

/// Forgets the recorder that [`retire`] took out of work, and returns it.
pub(crate) fn forget_parent() -> Option<&'static Recorder> {
    let recorder = PARENT.swap(std::ptr::null_mut(), Ordering::AcqRel);
    // SAFETY: as in `retired`.
    unsafe { recorder.as_ref() }
}

/// A block is freed in a process that has no ledger yet: what it began with is counted when it
/// gets one.
pub(crate) fn forget(pointer: usize, by: Domain) {
    if let Some(_inside) = Inside::enter()
        && take(retired(), pointer).is_none()
        && by == Domain::Openssl
    {
        FOREIGN_FREES.fetch_add(1, Ordering::Relaxed);
    }
}

/// A block taken out of the table it was in.
#[derive(Clone, Copy)]
pub(crate) struct Taken {
    pub block: Block,
    pub from: &'static Recorder,
}

/// Takes a block out of the tables of the processes that this one was forked from.
pub(crate) fn take(first: Option<&'static Recorder>, pointer: usize) -> Option<Taken> {
    std::iter::successors(first, |recorder| recorder.inherited)
        .find_map(|from| Some(Taken { block: from.blocks.remove(pointer)?, from }))
}

impl Recorder {
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

    #[cold]
    pub(crate) fn free_inherited(&self, block: Block) {
        self.ledger.add(Statistic::InheritedFreedBlocks, 1);
        self.ledger.add(Statistic::InheritedFreedBytes, block.bytes());
    }
}
