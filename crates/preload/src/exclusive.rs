//! A value for one thread at a time. Nobody waits for a thread that is not there any more, nor for
//! itself: after a fork, and in a signal handler, one goes on without the value. So it is where a
//! thread has been at it for longer than anything that it may do there should take.

use std::cell::UnsafeCell;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use crate::attached;

/// A thread that has waited so long goes on without the value.
const LONGEST: Duration = Duration::from_secs(10);

/// The value, once there is one.
pub(crate) struct Exclusive<T> {
    /// Kernel id of the thread that is at it.
    owner: AtomicU32,
    value: UnsafeCell<Option<T>>,
}

// SAFETY: `value` is touched only by the thread whose id is in `owner`.
unsafe impl<T: Send> Sync for Exclusive<T> {}

impl<T> Exclusive<T> {
    /// No value yet.
    pub(crate) const fn none() -> Exclusive<T> {
        Exclusive { owner: AtomicU32::new(0), value: UnsafeCell::new(None) }
    }

    /// Calls `with` when no other thread is at the value. A thread that is at it already, and a
    /// child of a process in which one was, goes on without; so does everybody in a sandbox, where
    /// it cannot be asked who one is, but for a thread for which the filter is suspended.
    pub(crate) fn with(&self, with: impl FnOnce(&mut Option<T>)) {
        if recorder::is_sandboxed() && !attached::is_visitor() {
            return;
        }
        // SAFETY: no argument, no effect.
        let own = unsafe { libc::gettid() } as u32;
        let began = Instant::now();
        let _turn = loop {
            match self.owner.compare_exchange(0, own, Ordering::Acquire, Ordering::Relaxed) {
                Ok(_) => break Turn(&self.owner),
                Err(owner) if owner == own => return,
                Err(owner) if is_gone(owner) => return,
                Err(_) if began.elapsed() > LONGEST => return,
                Err(_) => std::thread::yield_now(),
            }
        };
        // SAFETY: this thread is the owner.
        with(unsafe { &mut *self.value.get() });
    }

    /// Some thread is at the value, or was when this process was forked.
    pub(crate) fn is_taken(&self) -> bool {
        self.owner.load(Ordering::Relaxed) != 0
    }
}

/// The right to the value. A panic gives it back too; what was half done stays so, and those who
/// come later go on from there.
struct Turn<'a>(&'a AtomicU32);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.store(0, Ordering::Release);
    }
}

/// The thread is not in this process.
fn is_gone(thread: u32) -> bool {
    // SAFETY: signal 0 is not sent; the call only asks whether the thread exists.
    unsafe { libc::syscall(libc::SYS_tgkill, libc::getpid(), thread, 0) != 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_take_turns_and_nobody_waits_for_itself() {
        static SUM: Exclusive<u64> = Exclusive::none();
        let count = || {
            for _ in 0..10_000 {
                SUM.with(|sum| *sum.get_or_insert(0) += 1);
            }
        };
        for thread in [count; 4].map(std::thread::spawn) {
            thread.join().expect("it ends well");
        }
        let mut seen = None;
        SUM.with(|sum| {
            assert!(SUM.is_taken());
            SUM.with(|_| panic!("it is taken"));
            seen = *sum;
        });
        assert_eq!(seen, Some(40_000));
    }

    #[test]
    fn a_panic_of_one_thread_keeps_nobody_from_the_value() {
        static VALUE: Exclusive<u64> = Exclusive::none();
        let panics = || {
            std::panic::catch_unwind(|| {
                VALUE.with(|value| {
                    *value = Some(1);
                    panic!("on purpose");
                });
            })
        };
        // The thread stays, so that it cannot be taken for one that has gone.
        let (caught, stays) = (panics(), std::thread::current().id());
        assert!(caught.is_err());
        assert!(!VALUE.is_taken());
        let other = std::thread::spawn(move || {
            let mut seen = None;
            VALUE.with(|value| seen = *value);
            assert_ne!(std::thread::current().id(), stays);
            seen
        });
        assert_eq!(other.join().expect("it ends well"), Some(1));
    }
}
