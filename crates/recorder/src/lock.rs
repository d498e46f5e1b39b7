//! A lock for what is seldom touched and never for long.

use std::cell::UnsafeCell;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicBool, Ordering};

use ledger_writer::is_sandboxed;

/// Who waits for it gives up after a while: a thread that has it may have been stopped for good,
/// and a program must not stop with it. A signal handler may not ask for it when the thread that it
/// interrupts can have it: the proof of being [inside](crate::threads::Inside) sees to that. A
/// forked child has a recorder of its own, and so another lock.
pub(crate) struct Lock<T> {
    is_taken: AtomicBool,
    content: UnsafeCell<T>,
}

// SAFETY: who has the lock is alone with the content, and another thread may have it next.
unsafe impl<T: Send> Sync for Lock<T> {}

/// So often it is looked whether another thread is done, which takes it a microsecond; with a pause
/// in between after the first ones.
const LOOKS: u32 = 20_000;
const WITHOUT_PAUSE: u32 = 100;

impl<T> Lock<T> {
    pub(crate) fn new(content: T) -> Lock<T> {
        Lock { is_taken: AtomicBool::new(false), content: UnsafeCell::new(content) }
    }

    /// The content. `None` when somebody else did not give it up in time.
    pub(crate) fn lock(&self) -> Option<Locked<'_, T>> {
        for look in 0..LOOKS {
            if !self.is_taken.swap(true, Ordering::Acquire) {
                return Some(Locked(self));
            }
            // Behind a system-call filter only what a heap calls is called.
            if look < WITHOUT_PAUSE || is_sandboxed() {
                std::hint::spin_loop();
            } else {
                std::thread::yield_now();
            }
        }
        None
    }
}

/// The content, as long as nobody else has it.
pub(crate) struct Locked<'a, T>(&'a Lock<T>);

impl<T> Deref for Locked<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: this is the one proof of having the lock.
        unsafe { &*self.0.content.get() }
    }
}

impl<T> DerefMut for Locked<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as for `deref`; borrowed for as long as the reference.
        unsafe { &mut *self.0.content.get() }
    }
}

impl<T> Drop for Locked<'_, T> {
    fn drop(&mut self) {
        self.0.is_taken.store(false, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time_has_it_and_nobody_waits_for_ever() {
        let lock = Lock::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..1_000 {
                        *lock.lock().expect("nobody keeps it") += 1;
                    }
                });
            }
        });
        let kept = lock.lock().expect("free");
        assert_eq!(*kept, 4_000);
        assert!(lock.lock().is_none(), "it is taken");
        drop(kept);
        assert!(lock.lock().is_some());
    }
}
