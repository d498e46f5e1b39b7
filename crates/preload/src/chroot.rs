//! A stand-in for `chroot`: behind another root directory no ledger can be made any more, so the
//! process gets its own before. Forked servers change their root before they serve.

use std::ffi::{c_char, c_int};
use std::panic::catch_unwind;

/// The system call of this name, after what needs the files as they are.
#[cfg(not(test))]
#[unsafe(no_mangle)]
unsafe extern "C" fn chroot(path: *const c_char) -> c_int {
    // SAFETY: the caller's path, passed on.
    unsafe { change_root(path) }
}

#[cfg_attr(test, allow(dead_code))]
unsafe fn change_root(path: *const c_char) -> c_int {
    let _ = catch_unwind(recorder::begin_early);
    // SAFETY: the caller's path; the kernel refuses one that is none.
    unsafe { libc::syscall(libc::SYS_chroot, path) as c_int }
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
