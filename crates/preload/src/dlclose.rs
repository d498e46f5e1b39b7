//! A stand-in for `dlclose`: what the recorder knows of code may not hold for what is loaded next.

use std::ffi::{c_int, c_void};
use std::sync::atomic::Ordering;

use recorder::{AtomicFn, function_at};

use crate::next;

type Close = unsafe extern "C" fn(*mut c_void) -> c_int;

static REAL: AtomicFn<Close> = AtomicFn::none();

/// The loader's `dlclose`, and a word to the recorder.
#[cfg(not(test))]
#[unsafe(no_mangle)]
unsafe extern "C" fn dlclose(handle: *mut c_void) -> c_int {
    // SAFETY: the caller's handle, passed on.
    unsafe { close(handle) }
}

/// The same for slots that are led here.
pub(crate) unsafe extern "C" fn stand_in(handle: *mut c_void) -> c_int {
    // SAFETY: the caller's handle, passed on.
    unsafe { close(handle) }
}

unsafe fn close(handle: *mut c_void) -> c_int {
    // SAFETY: the caller's handle, passed on.
    let answer = unsafe { real(handle) };
    recorder::note_unloading();
    answer
}

/// The loader's `dlclose`.
///
/// # Safety
///
/// As for `dlclose`.
pub(crate) unsafe fn real(handle: *mut c_void) -> c_int {
    let find = || {
        let found = next::function(c"dlclose")?;
        // SAFETY: the C library's function of this name, which has this type.
        let found = unsafe { function_at::<Close>(found as usize) };
        REAL.store(found, Ordering::Relaxed);
        found
    };
    let Some(real) = REAL.load(Ordering::Relaxed).or_else(find) else { return -1 };
    // SAFETY: the caller's promise.
    unsafe { real(handle) }
}
