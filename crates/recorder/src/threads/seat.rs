//! What a thread does at its desk.

use std::marker::PhantomData;
use std::ptr::NonNull;

use ledger_writer::{Account, Cell, Change, Lease, Ledger, Share, SiteId, Stored};

use crate::bounds::Bounds;
use crate::caller::Caller;
use crate::habits::{Habits, Known};
use crate::recorder::Recorder;
use crate::segments::Shape;
use crate::threads::{Desk, Own, PLACES_OFFSET, Place, Threads};
use crate::trace::Trace;

/// The calling thread at its desk.
pub(crate) struct Seat<'a> {
    /// One pointer for all of it: most events touch it throughout.
    desk: NonNull<Desk>,
    lifetime: PhantomData<&'a mut Own>,
}

impl Seat<'_> {
    /// # Safety
    ///
    /// The calling thread owns the desk, and for as long as the seat there is no other reference to
    /// what is its own.
    #[inline(always)]
    pub(super) unsafe fn at<'a>(desk: NonNull<Desk>) -> Seat<'a> {
        Seat { desk, lifetime: PhantomData }
    }

    #[inline(always)]
    fn own(&self) -> &Own {
        // SAFETY: a desk is never unmapped; what `at` was promised.
        unsafe { &*self.desk.as_ref().own.get() }
    }

    #[inline(always)]
    fn own_mut(&mut self) -> &mut Own {
        // SAFETY: as for `own`.
        unsafe { &mut *self.desk.as_ref().own.get() }
    }

    /// The account, and what is known of it.
    #[inline(always)]
    fn account(&mut self) -> (&Account, &mut Lease) {
        // SAFETY: as for `own`; the account is no part of that.
        let desk = unsafe { self.desk.as_ref() };
        (&desk.account, &mut self.own_mut().lease)
    }

    /// The recorder whose desk it is.
    #[inline(always)]
    pub(crate) fn recorder(&self) -> &'static Recorder {
        self.own().recorder
    }

    /// The thread's cell at `site`. `None` when the ledger has no cell left.
    #[inline]
    pub(crate) fn cell(&mut self, ledger: &Ledger, site: SiteId) -> Option<Cell> {
        match self.place(site)?.cell {
            Some(cell) => Some(cell),
            None => self.claim_cell(ledger, site),
        }
    }

    #[cold]
    fn claim_cell(&mut self, ledger: &Ledger, site: SiteId) -> Option<Cell> {
        let cell = ledger.claim_cell(site, self.own().number);
        self.place(site)?.cell = cell;
        cell
    }

    /// Whether the thread may count in this cell.
    #[inline(always)]
    pub(crate) fn owns(&self, cell: Cell) -> bool {
        cell.owner() == self.own().number
    }

    /// The thread's cell for the site that `cell` counts. `None` when the ledger has no cell left.
    pub(crate) fn own_cell(&mut self, cell: Cell) -> Option<Cell> {
        if self.owns(cell) {
            return Some(cell);
        }
        self.cell(&self.recorder().ledger, cell.site())
    }

    /// `None` when there is no memory for it.
    #[inline]
    fn place(&mut self, site: SiteId) -> Option<&mut Place> {
        let number = site.number() as usize;
        let end = PLACES_OFFSET + (number + 1) * size_of::<Place>();
        let recorder = self.recorder();
        if !self.own().memory.reach(end, &|table| recorder.report_memory(table)) {
            return None;
        }
        // SAFETY: the array reaches beyond this number, as was just seen to; zeroed memory is a
        // valid Place.
        Some(unsafe { self.own().places.add(number).as_mut() })
    }

    /// Lends the seat for a while.
    #[inline(always)]
    pub(crate) fn again(&mut self) -> Seat<'_> {
        Seat { desk: self.desk, lifetime: PhantomData }
    }

    /// Counts an allocation in a cell of the thread's.
    #[inline(always)]
    pub(crate) fn count_allocation(&mut self, cell: Cell, bytes: u64) {
        let (account, lease) = self.account();
        if let Err(stored) = cell.count_allocation(bytes, account, lease) {
            self.settle(cell, Change::Rise(bytes), stored);
        }
    }

    /// Counts a free in a cell of the thread's.
    #[inline(always)]
    pub(crate) fn count_free(&mut self, cell: Cell, bytes: u64) {
        let (account, lease) = self.account();
        if let Err(stored) = cell.count_free(bytes, account, lease) {
            self.settle(cell, Change::Fall(bytes), stored);
        }
    }

    #[cold]
    #[inline(never)]
    fn settle(&mut self, cell: Cell, change: Change, stored: Stored) {
        let recorder = self.recorder();
        recorder.ledger.settle(cell, change, stored, self.share());
    }

    fn share(&mut self) -> Share<'_, Threads> {
        let accounts = &self.recorder().threads;
        let (account, lease) = self.account();
        Share { account, lease, accounts }
    }

    /// The part of memory that is the thread's stack.
    pub(crate) fn bounds(&self) -> Bounds {
        self.own().habits.bounds()
    }

    /// Where the thread's stack is walked to.
    pub(crate) fn trace(&mut self) -> &mut Trace {
        &mut self.own_mut().trace
    }

    /// What the thread remembers.
    #[inline(always)]
    pub(crate) fn habits(&mut self) -> &mut Habits {
        &mut self.own_mut().habits
    }

    /// Remembers an allocation, if its stack has a shape.
    pub(crate) fn learn(&mut self, caller: Caller, known: Known, shape: Option<Shape>) {
        let shape = shape.filter(|_| known.site != SiteId::DROPPED);
        let (Some(shape), Some(place)) = (shape, self.place(known.site).copied()) else {
            self.own_mut().habits.lose_track();
            return;
        };
        let first = if place.round == self.own_mut().habits.round { place.habit } else { 0 };
        let first = self.own_mut().habits.learn(caller, known, shape, first);
        let round = self.own_mut().habits.round;
        if let Some(remembered) = self.place(known.site) {
            *remembered = Place { habit: first, round, ..place };
        }
    }
}
