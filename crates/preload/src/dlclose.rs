//! A stand-in for `dlclose`: what the recorder knows of code may not hold for what is loaded next.

use std::ffi::{c_int, c_void};
use std::sync::atomic::{AtomicPtr, Ordering};

use crate::dlsym;

type Close = unsafe extern "C" fn(*mut c_void) -> c_int;

static REAL: AtomicPtr<c_void> = AtomicPtr::new(std::ptr::null_mut());

/// The loader's `dlclose`, and a word to the recorder.
#[cfg(not(test))]
#[unsafe(no_mangle)]
unsafe extern "C" fn dlclose(handle: *mut c_void) -> c_int {
    // SAFETY: the caller's handle, passed on.
    unsafe { close(handle) }
}

#[cfg_attr(test, allow(dead_code))]
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
    let mut real = REAL.load(Ordering::Relaxed);
    if real.is_null() {
        let Some(found) = dlsym::next(c"dlclose") else { return -1 };
        REAL.store(found, Ordering::Relaxed);
        real = found;
    }
    // SAFETY: the C library's function of this name, which has this type.
    let real = unsafe { std::mem::transmute::<*mut c_void, Close>(real) };
    // SAFETY: the caller's promise.
    unsafe { real(handle) }
}
