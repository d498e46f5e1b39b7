//! A fence between the owner of an account and those who freeze it, of which the latter bear the
//! cost.
//!
//! The owner stores what the account holds and then looks whether it is frozen; who freezes it
//! says so and then looks what it holds. One of the two must see what the other has stored, and a
//! processor may let a look overtake a store. A fence on both sides would do, at some twenty
//! cycles for each event. Linux can put a fence into all running threads of a process instead
//! (`membarrier`), for the one who freezes. Then the owner only has to keep the compiler from
//! changing the order.

use std::sync::atomic::{AtomicU8, Ordering, compiler_fence};

use crate::atomics::fence;
use crate::permit::Permit;

/// The side that makes the fences.
static FENCES: AtomicU8 = AtomicU8::new(OWNERS);

/// Owners; those who freeze need none from the kernel.
const OWNERS: u8 = 0;
/// The kernel, when somebody freezes.
const KERNEL: u8 = 1;
/// Owners, from now on. Some may not know it yet.
const TURNING: u8 = 2;

/// Asks the kernel for its fences. Before anything is counted in the process.
pub(crate) fn prepare() {
    let registered = Permit::ask()
        .is_some_and(|_permit| membarrier(libc::MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED));
    FENCES.store(if registered { KERNEL } else { OWNERS }, Ordering::SeqCst);
}

/// Between a store of the account's owner and the look that follows it.
#[inline(always)]
pub(crate) fn of_owner() {
    if FENCES.load(Ordering::Relaxed) == KERNEL {
        compiler_fence(Ordering::SeqCst);
    } else {
        of_itself();
    }
}

#[cold]
fn of_itself() {
    fence(Ordering::SeqCst);
}

/// Between a store that owners look at and the look at what they have stored.
#[cold]
pub(crate) fn of_others() {
    fence(Ordering::SeqCst);
    if FENCES.load(Ordering::SeqCst) == OWNERS {
        return;
    }
    // Where there is none, owners make the fences: see `leave_to_owners`.
    let Some(_permit) = Permit::ask() else { return };
    match FENCES.load(Ordering::SeqCst) {
        OWNERS => {}
        KERNEL if membarrier(libc::MEMBARRIER_CMD_PRIVATE_EXPEDITED) => {}
        // A sandbox that came up unseen refuses it.
        _ => turn_to_owners(),
    }
}

/// From now on owners make the fences. The process may be about to lose the right to ask the kernel
/// for them.
pub(crate) fn leave_to_owners() {
    if FENCES.load(Ordering::SeqCst) != OWNERS {
        turn_to_owners();
    }
}

#[cold]
fn turn_to_owners() {
    FENCES.store(TURNING, Ordering::SeqCst);
    // An owner stores and then looks who makes the fences. So one that does not know it yet has
    // stored before this, or, where the kernel refuses, its store leaves its processor long before
    // this has slept.
    if !membarrier(libc::MEMBARRIER_CMD_PRIVATE_EXPEDITED) {
        let time = libc::timespec { tv_sec: 0, tv_nsec: 1_000_000 };
        // SAFETY: a time to sleep, and no place for the rest of it.
        unsafe { libc::nanosleep(&raw const time, std::ptr::null_mut()) };
    }
    let _ = FENCES.compare_exchange(TURNING, OWNERS, Ordering::SeqCst, Ordering::Relaxed);
}

fn membarrier(command: libc::c_int) -> bool {
    if cfg!(miri) {
        return false;
    }
    // SAFETY: it takes a command and two zeros, and touches no memory.
    unsafe { libc::syscall(libc::SYS_membarrier, command, 0, 0) == 0 }
}
