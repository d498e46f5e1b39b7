//! A block that the heap may move: realloc, in the steps before and after it.

use std::ffi::c_void;
use std::sync::atomic::Ordering;

use contract::Domain;

use crate::blocks::Inserted;
use crate::caller::Caller;
use crate::events;
use crate::family::at_work;
use crate::heritage::{self, Taken};
use crate::recorder::Recorder;
use crate::threads::Inside;

/// What an allocator says with NULL for a block that it was to give another size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Null {
    /// The block is as it was.
    Refused,
    /// The block is free.
    Freed,
}

/// Has `resize` give a block another size, at its place or elsewhere, and counts what comes of it.
/// A NULL block is none yet.
#[inline(always)]
pub(crate) fn resized(
    block: *mut c_void,
    bytes: usize,
    caller: Caller,
    null: Null,
    resize: impl FnOnce() -> *mut c_void,
) -> *mut c_void {
    let recorder = at_work();
    let old = recorder
        .filter(|_| !block.is_null())
        .and_then(|recorder| recorder.about_to_move(block as usize, caller.source().domain));
    let moved = resize();
    let Some(recorder) = recorder else { return moved };
    match old {
        Some(old) if moved.is_null() && null == Null::Refused => {
            recorder.not_moved(block as usize, old);
        }
        Some(old) => recorder.moved(old),
        None => {}
    }
    if !moved.is_null() {
        events::allocated(moved as usize, bytes as u64, caller);
    }
    moved
}

impl Recorder {
    /// Takes a block out of the table before the heap may move it, without counting: the heap may
    /// still refuse.
    #[inline]
    pub(crate) fn about_to_move(&'static self, pointer: usize, by: Domain) -> Option<Taken> {
        if self.detached.load(Ordering::Relaxed) {
            return None;
        }
        let Some(_inside) = Inside::enter() else {
            self.nested(by);
            return None;
        };
        let taken = self.take(pointer);
        if taken.is_none() {
            self.unseen(by);
        }
        taken
    }

    /// The heap refused to move the block: it is where it was.
    pub(crate) fn not_moved(&'static self, pointer: usize, taken: Taken) {
        let Some(mut inside) = Inside::enter() else { return };
        let Taken { block, from } = taken;
        let home = from.blocks.home(pointer);
        let is_own = std::ptr::eq(from, self);
        let report = |number, table| {
            if is_own {
                self.report_level(number, table);
            } else {
                self.report_memory(table);
            }
        };
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
            None => heritage::take(self.inherited, pointer),
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
}
