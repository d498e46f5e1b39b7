//! System calls that a heap does not make: who may make one, and when.
//!
//! Servers put up system-call filters (seccomp) around themselves before they read what strangers
//! send. Many end the process at the first call that they do not know, and they know what a heap
//! needs: memory from the kernel, and to wait for each other. Whoever counts in the process keeps
//! to these calls from then on, and does the others before.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// A filter is up, or is being put up.
static UP: AtomicBool = AtomicBool::new(false);
/// Permits that are in use.
static PERMITS: AtomicU32 = AtomicU32::new(0);

/// How often it is looked whether all permits have been given back. Their calls take a
/// millisecond at the most; a thread that was interrupted by who waits gives none back.
const LOOKS: u32 = 10_000;

/// Permission to make system calls that a heap does not make, while there is no filter. Who puts
/// one up waits until it is given back.
#[derive(Debug)]
pub struct Permit(());

impl Permit {
    /// `None` when there is a filter.
    pub fn ask() -> Option<Permit> {
        PERMITS.fetch_add(1, Ordering::SeqCst);
        let permit = Permit(());
        (!is_sandboxed()).then_some(permit)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        PERMITS.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Whether the process has a filter that [`prepare_for_sandbox`](crate::prepare_for_sandbox) was
/// told of.
pub fn is_sandboxed() -> bool {
    UP.load(Ordering::SeqCst)
}

/// From now on no permit is given; waits for those that are in use.
pub(crate) fn refuse() {
    UP.store(true, Ordering::SeqCst);
    for _ in 0..LOOKS {
        if PERMITS.load(Ordering::SeqCst) == 0 {
            break;
        }
        std::thread::yield_now();
    }
}

/// Permits are given again.
pub(crate) fn grant() {
    UP.store(false, Ordering::SeqCst);
}

/// In a forked child: permits of threads that are not there are not waited for.
pub fn forget_permits() {
    PERMITS.store(0, Ordering::SeqCst);
}
