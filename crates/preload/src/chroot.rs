//! A stand-in for `chroot`: behind another root directory no ledger can be made any more, so the
//! process gets its own before. Forked servers change their root before they serve.

use std::ffi::{c_char, c_int, c_void};
use std::panic::catch_unwind;
use std::sync::atomic::{AtomicPtr, Ordering};

use crate::dlsym;

type Chroot = unsafe extern "C" fn(*const c_char) -> c_int;

static REAL: AtomicPtr<c_void> = AtomicPtr::new(std::ptr::null_mut());

/// The C library's `chroot`, after what needs the files as they are.
#[cfg(not(test))]
#[unsafe(no_mangle)]
unsafe extern "C" fn chroot(path: *const c_char) -> c_int {
    // SAFETY: the caller's path, passed on.
    unsafe { change_root(path) }
}

#[cfg_attr(test, allow(dead_code))]
unsafe fn change_root(path: *const c_char) -> c_int {
    let _ = catch_unwind(recorder::begin_early);
    let mut real = REAL.load(Ordering::Relaxed);
    if real.is_null() {
        let Some(found) = dlsym::next(c"chroot") else {
            // SAFETY: the C library's own cell for the calling thread.
            unsafe { *libc::__errno_location() = libc::ENOSYS };
            return -1;
        };
        REAL.store(found, Ordering::Relaxed);
        real = found;
    }
    // SAFETY: the C library's function of this name, which has this type.
    let real = unsafe { std::mem::transmute::<*mut c_void, Chroot>(real) };
    // SAFETY: the caller's path.
    unsafe { real(path) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_the_callers() {
        // SAFETY: a C string.
        assert_eq!(unsafe { change_root(c"/does/not/exist".as_ptr()) }, -1);
    }
}
