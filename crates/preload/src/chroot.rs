//! A stand-in for `chroot`: behind another root directory no ledger can be made any more, so the
//! process gets its own before. Forked servers change their root before they serve.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::panic::catch_unwind;

use recorder::own_work;

/// The system call of this name, after what needs the files as they are.
#[cfg(not(test))]
#[unsafe(no_mangle)]
unsafe extern "C" fn chroot(path: *const c_char) -> c_int {
    // SAFETY: the caller's path, passed on.
    unsafe { change_root(path) }
}

/// The same for slots that are led here.
pub(crate) unsafe extern "C" fn stand_in(path: *const c_char) -> c_int {
    // SAFETY: the caller's path, passed on.
    unsafe { change_root(path) }
}

unsafe fn change_root(path: *const c_char) -> c_int {
    let _ = catch_unwind(|| own_work(recorder::begin_early));
    // SAFETY: the caller's path; the kernel refuses one that is none.
    let result = unsafe { libc::syscall(libc::SYS_chroot, path) as c_int };
    if result == 0 && !is_there() {
        stop_preloading();
    }
    result
}

/// The file of this library can be opened from here.
fn is_there() -> bool {
    // SAFETY: all-zero bytes are a record without names.
    let mut found: libc::Dl_info = unsafe { std::mem::zeroed() };
    // SAFETY: an address in this library, and a place for what the loader knows of it.
    let known = unsafe { libc::dladdr(is_there as *const c_void, &raw mut found) } != 0;
    // SAFETY: the loader's own string, which lives as long as this library is loaded.
    known && unsafe { libc::access(found.dli_fname, libc::R_OK) } == 0
}

/// Takes this library out of the environment. Behind a root where it is not, the loader of every
/// program that this process becomes or starts would complain on that program's standard error.
fn stop_preloading() {
    // SAFETY: a name; the value is NULL or a string that lives in the environment.
    let value = unsafe { libc::getenv(c"LD_PRELOAD".as_ptr()) };
    if value.is_null() {
        return;
    }
    // SAFETY: a string, as above.
    let text = unsafe { CStr::from_ptr(value) }.to_bytes();
    if let Some(rest) = behind_this_library(text) {
        let (start, length) = (text.len() - rest, rest);
        // SAFETY: the rest of the same string and its end, moved to its beginning: it only grows
        // shorter, and has an end all the time. A program that changes its root while another of
        // its threads reads this variable might see a mixture; none is known.
        unsafe { std::ptr::copy(value.add(start), value, length + 1) };
    }
}

/// How many bytes at the end of LD_PRELOAD are not this library's; `None` where it is not the
/// first.
fn behind_this_library(preload: &[u8]) -> Option<usize> {
    let end = preload.iter().position(|byte| *byte == b':').unwrap_or(preload.len());
    preload[..end]
        .ends_with(b"/libtlsheap_preload.so")
        .then(|| (preload.len() - end).saturating_sub(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_the_callers() {
        // SAFETY: a C string.
        assert_eq!(unsafe { change_root(c"/does/not/exist".as_ptr()) }, -1);
    }

    #[test]
    fn only_what_was_preloaded_beside_this_library_is_left() {
        assert_eq!(behind_this_library(b"/a/$LIB/libtlsheap_preload.so"), Some(0));
        assert_eq!(behind_this_library(b"/a/$LIB/libtlsheap_preload.so:/b.so"), Some(5));
        assert_eq!(behind_this_library(b"/b.so:/a/$LIB/libtlsheap_preload.so"), None);
        assert_eq!(behind_this_library(b""), None);
    }
}
