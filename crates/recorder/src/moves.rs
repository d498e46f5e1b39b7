//! A block that the heap may move: realloc, in the steps before and after it.

use std::sync::atomic::Ordering;

use contract::Domain;

use crate::blocks::Inserted;
use crate::heritage::{self, Taken};
use crate::recorder::Recorder;
use crate::threads::Inside;

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
