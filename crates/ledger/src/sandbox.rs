//! System-call filters (seccomp) that a process puts up around itself, as servers do before they
//! read what strangers send. Many end the process at the first call that they do not know, and they
//! know what a heap needs: memory from the kernel, and to wait for each other. Whoever counts in
//! the process keeps to these calls from then on, and does the others before.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use crate::fences;
use crate::{Ledger, Statistic};

/// A filter is up, or is being put up.
static UP: AtomicBool = AtomicBool::new(false);
/// Permits that are in use.
static PERMITS: AtomicU32 = AtomicU32::new(0);

/// How often it is looked whether all permits have been given back. Their calls take a
/// millisecond at the most; a thread that was interrupted by who waits gives none back.
const LOOKS: u32 = 10_000;

/// Permission to make system calls that a heap does not make, while there is no filter. Who puts one
/// up waits until it is given back.
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

/// Whether the process has a filter that [`prepare_for_sandbox`] was told of.
pub fn is_sandboxed() -> bool {
    UP.load(Ordering::SeqCst)
}

/// Before a filter comes up around the process, which counts in `ledger` if in any: makes the
/// system calls that will be needed, and no [`Permit`] is given from then on. The ledger has room
/// for some further sites; what does not fit there is counted as dropped.
pub fn prepare_for_sandbox(ledger: Option<&Ledger>) {
    if let Some(ledger) = ledger {
        ledger.make_room();
        ledger.set(Statistic::Sandboxed, 1);
    }
    // First: who is refused a permit knows that owners make their own fences.
    fences::leave_to_owners();
    UP.store(true, Ordering::SeqCst);
    for _ in 0..LOOKS {
        if PERMITS.load(Ordering::SeqCst) == 0 {
            break;
        }
        std::thread::yield_now();
    }
}

/// The filter did not come up: the kernel has refused it.
pub fn give_up_sandbox(ledger: Option<&Ledger>) {
    if let Some(ledger) = ledger {
        ledger.set(Statistic::Sandboxed, 0);
    }
    UP.store(false, Ordering::SeqCst);
}

/// In a forked child: permits of threads that are not there are not waited for.
pub fn forget_permits() {
    PERMITS.store(0, Ordering::SeqCst);
}
