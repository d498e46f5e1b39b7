//! A value for one thread at a time. Nobody waits for a thread that is not there any more, nor for
//! itself: after a fork, and in a signal handler, one goes on without the value.

use std::cell::UnsafeCell;
use std::sync::atomic::{AtomicU32, Ordering};

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
    /// it cannot be asked who one is.
    pub(crate) fn with(&self, with: impl FnOnce(&mut Option<T>)) {
        if recorder::is_sandboxed() {
            return;
        }
        // SAFETY: no argument, no effect.
        let own = unsafe { libc::gettid() } as u32;
        loop {
            match self.owner.compare_exchange(0, own, Ordering::Acquire, Ordering::Relaxed) {
                Ok(_) => break,
                Err(owner) if owner == own => return,
                Err(owner) if is_gone(owner) => return,
                Err(_) => std::thread::yield_now(),
            }
        }
        // SAFETY: this thread is the owner.
        with(unsafe { &mut *self.value.get() });
        self.owner.store(0, Ordering::Release);
    }

    /// Some thread is at the value, or was when this process was forked.
    pub(crate) fn is_taken(&self) -> bool {
        self.owner.load(Ordering::Relaxed) != 0
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
}
