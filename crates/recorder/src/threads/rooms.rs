//! Where desks lie. The first few have addresses of their own each; the desks of a process with
//! many threads share reservations, since the ledger's list of tables, by which a reader tells the
//! recorder's memory from the program's, has an end.

use std::ptr::{NonNull, null_mut};
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

use ledger_writer::Ledger;

use crate::memory::{Growing, Reservation};

/// Desks with addresses of their own: most processes have no more threads, and need no large
/// reservation.
const ALONE: usize = 16;
/// Desks that share a reservation.
const TOGETHER: usize = 32;

/// Room for the desks of a process.
pub(super) struct Rooms {
    /// Rooms that were asked for so far.
    asked: AtomicUsize,
    /// Where reservations begin, as far as they were needed.
    shared: Box<[AtomicPtr<u8>]>,
    /// The most bytes of a desk, and those that are memory at once.
    bytes: usize,
    step: usize,
}

impl Rooms {
    /// For so many desks of at most `bytes`, of which `step` are memory at once.
    pub(super) fn new(desks: usize, bytes: usize, step: usize) -> Rooms {
        let shared = (0..desks.div_ceil(TOGETHER)).map(|_| AtomicPtr::default()).collect();
        Rooms { asked: AtomicUsize::new(0), shared, bytes, step }
    }

    /// As many, for a forked child: its parent's are not its own.
    pub(super) fn anew(&self) -> Rooms {
        let shared = self.shared.iter().map(|_| AtomicPtr::default()).collect();
        Rooms { asked: AtomicUsize::new(0), shared, ..*self }
    }

    /// Room that nobody has had before. `None` when the kernel refuses.
    pub(super) fn another(&self, ledger: &Ledger) -> Option<Growing> {
        let number = self.asked.fetch_add(1, Ordering::Relaxed);
        let shared = number.checked_sub(ALONE).and_then(|number| {
            let all = self.reservation(number / TOGETHER, ledger)?;
            all.room(number % TOGETHER, self.step)
        });
        shared.or_else(|| Growing::new(self.bytes, self.step))
    }

    /// The reservation with this number, made by whoever needs it first.
    fn reservation(&self, number: usize, ledger: &Ledger) -> Option<Reservation> {
        let place = self.shared.get(number)?;
        if let Some(start) = NonNull::new(place.load(Ordering::Acquire)) {
            return Some(Reservation::at(start, TOGETHER, self.bytes));
        }
        let made = Reservation::new(TOGETHER, self.bytes)?;
        let (success, failure) = (Ordering::AcqRel, Ordering::Acquire);
        match place.compare_exchange(null_mut(), made.start().as_ptr(), success, failure) {
            Ok(_) => {
                ledger.add_room(made.start().as_ptr() as usize, made.bytes());
                Some(made)
            }
            Err(other) => {
                // SAFETY: nobody has seen it.
                unsafe { made.unmap() };
                Some(Reservation::at(NonNull::new(other)?, TOGETHER, self.bytes))
            }
        }
    }

    /// Gives all reservations back, with the desks in them.
    ///
    /// # Safety
    ///
    /// Nobody sits at any of the desks any more, nor will.
    pub(super) unsafe fn unmap(&self) {
        for place in &self.shared {
            if let Some(start) = NonNull::new(place.load(Ordering::Acquire)) {
                // SAFETY: `reservation` made it; the caller's promise.
                unsafe { Reservation::at(start, TOGETHER, self.bytes).unmap() };
            }
        }
    }
}
