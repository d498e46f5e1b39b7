//! Whether a thread is in the hook, and the proof that it is.

use std::ptr::NonNull;

use crate::process::{self, TAGS};
use crate::thread_word;
use crate::threads::Desk;
use crate::threads::seat::Seat;

/// In a thread's word: it is in the hook. The rest is the address of its desk with the tag of its
/// recorder, or 0.
pub(super) const INSIDE: usize = 1;

/// In a thread's word: what it asks the malloc family for is the recorder's, or its host's, and not
/// the program's.
const OWN_WORK: usize = 2;

/// The bits of a thread's word that are no part of an address.
pub(super) const MARKS: usize = INSIDE | OWN_WORK;

/// In a forked child: its one thread sits at no desk of its own recorder yet.
pub(crate) fn stand_up() {
    thread_word::set(thread_word::get() & MARKS);
}

/// Does work of the recorder's or its host's: what it asks the malloc family for is not counted.
/// OpenSSL's blocks are, whoever calls OpenSSL.
pub fn own_work<R>(work: impl FnOnce() -> R) -> R {
    let _own = OwnWork::begin();
    work()
}

/// Whether the calling thread is at such work.
pub fn is_at_own_work() -> bool {
    thread_word::get() & OWN_WORK != 0
}

struct OwnWork {
    /// It began within other such work.
    within: bool,
}

impl OwnWork {
    fn begin() -> OwnWork {
        let word = thread_word::get();
        thread_word::set(word | OWN_WORK);
        OwnWork { within: word & OWN_WORK != 0 }
    }
}

impl Drop for OwnWork {
    fn drop(&mut self) {
        if !self.within {
            thread_word::set(thread_word::get() & !OWN_WORK);
        }
    }
}

/// Proof that the calling thread is in the hook, and for the first time.
///
/// Everything that touches a thread's own tables asks for it, so that a signal handler that
/// interrupts the hook and allocates cannot reach them.
pub(crate) struct Inside {
    /// The thread's desk, if it has one.
    pub(super) desk: Option<NonNull<Desk>>,
}

impl Inside {
    /// `None` when the calling thread is in the hook already.
    #[inline]
    pub(crate) fn enter() -> Option<Inside> {
        let word = thread_word::get();
        if word & INSIDE != 0 {
            return None;
        }
        thread_word::set(word | INSIDE);
        let desk = process::if_own(word & !MARKS);
        let desk = (desk & TAGS == 0).then(|| NonNull::new(desk as *mut Desk)).flatten();
        Some(Inside { desk })
    }
}

impl Drop for Inside {
    #[inline]
    fn drop(&mut self) {
        // Only this bit: the thread may have sat down at a desk, or have forked.
        thread_word::clear_lowest_bit();
    }
}

/// Proof that the calling thread is in the hook and has a desk. It has to be given back by
/// [`Seated::leave`]: a destructor would be one more way out of the hooks.
///
/// A thread with a desk is at work in this process: [`stand_up`] takes the desk of a forked child's
/// thread away.
#[must_use]
pub(crate) struct Seated(NonNull<Desk>);

impl Seated {
    /// `None` when the calling thread has no desk, is in the hook already or at work of the
    /// recorder's, and in a child that does not know yet that it is one: its desk is its parent's.
    #[inline(always)]
    pub(crate) fn enter() -> Option<Seated> {
        let word = thread_word::get();
        let desk = process::if_own(word);
        // The marks too: without a desk, in another process, after another recorder, inside, or at
        // own work some bit is left.
        if desk & TAGS != 0 {
            return None;
        }
        // Where there is no tag, a thread without a desk has no bit to tell it by.
        let desk = NonNull::new(desk as *mut Desk)?;
        thread_word::set(word | INSIDE);
        Some(Seated(desk))
    }

    /// The desk.
    #[inline(always)]
    pub(crate) fn seat(&mut self) -> Seat<'_> {
        // SAFETY: a thread's word names a desk whose owner it is; this is the one proof that it is
        // inside, and is borrowed for as long as the seat.
        unsafe { Seat::at(self.0) }
    }

    /// The thread is in the hook no more.
    #[inline(always)]
    pub(crate) fn leave(self) {
        let Seated(_) = self;
        thread_word::clear_lowest_bit();
    }
}
