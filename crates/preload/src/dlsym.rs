//! A stand-in for `dlsym`: looks for OpenSSLs that were loaded since, and goes on in the real one.
//!
//! It jumps there and does not call it: the real one looks at its return address to know which
//! library asks, and has to find the program's.

use std::ffi::{CStr, c_char, c_void};
use std::panic::catch_unwind;
use std::sync::atomic::{AtomicPtr, Ordering};

use crate::scan;

/// Versions of the symbol, newest first; which of them there are depends on the C library's age
/// and the processor.
const VERSIONS: [&CStr; 3] = [c"GLIBC_2.34", c"GLIBC_2.2.5", c"GLIBC_2.17"];

static REAL: AtomicPtr<c_void> = AtomicPtr::new(std::ptr::null_mut());

/// The loader's `dlsym`, after a look around.
#[cfg(not(test))]
#[unsafe(no_mangle)]
#[unsafe(naked)]
unsafe extern "C" fn dlsym(handle: *mut c_void, name: *const c_char) -> *mut c_void {
    #[cfg(target_arch = "x86_64")]
    core::arch::naked_asm!(
        "push rdi",
        "push rsi",
        "sub rsp, 8",
        "call {before}",
        "add rsp, 8",
        "pop rsi",
        "pop rdi",
        "jmp rax",
        before = sym before,
    );
    #[cfg(target_arch = "aarch64")]
    core::arch::naked_asm!(
        "stp x29, x30, [sp, -32]!",
        "stp x0, x1, [sp, 16]",
        "bl {before}",
        "mov x16, x0",
        "ldp x0, x1, [sp, 16]",
        "ldp x29, x30, [sp], 32",
        "br x16",
        before = sym before,
    );
}

/// Looks around, and returns where to go on.
#[cfg_attr(test, allow(dead_code))]
extern "C" fn before() -> *mut c_void {
    // SAFETY: the C library's own cell for the calling thread.
    let error = unsafe { *libc::__errno_location() };
    let _ = catch_unwind(scan::look_for_new);
    // SAFETY: as above.
    unsafe { *libc::__errno_location() = error };
    real()
}

/// The real `dlsym`.
fn real() -> *mut c_void {
    let known = REAL.load(Ordering::Relaxed);
    if !known.is_null() {
        return known;
    }
    let found = next(c"dlsym").unwrap_or(nothing as *mut c_void);
    REAL.store(found, Ordering::Relaxed);
    found
}

/// The function of the C library that this library stands in for.
pub(crate) fn next(name: &CStr) -> Option<*mut c_void> {
    VERSIONS
        .into_iter()
        // SAFETY: three valid arguments; the answer is NULL when there is no such version.
        .map(|version| unsafe { libc::dlvsym(libc::RTLD_NEXT, name.as_ptr(), version.as_ptr()) })
        .find(|found| !found.is_null())
}

/// In place of a `dlsym` that cannot be found: no symbol has an address.
extern "C" fn nothing(_handle: *mut c_void, _name: *const c_char) -> *mut c_void {
    std::ptr::null_mut()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_real_one_is_found() {
        assert_ne!(real(), nothing as *mut c_void);
        assert_eq!(real(), real());
    }
}
