//! A stand-in for `dlsym`: looks for OpenSSLs that were loaded since, and goes on in the real one.
//! Who asks a recorded OpenSSL for its setter or getter gets our stand-in for it.
//!
//! It jumps there and does not call it: the real one looks at its return address to know which
//! library asks, and has to find the program's.

use std::ffi::{CStr, c_char, c_void};
use std::panic::catch_unwind;
use std::sync::atomic::Ordering;

use recorder::{AtomicFn, address_of, function_at, own_work};

use crate::openssl::{GETTER, SETTER};
use crate::{next, scan, stand_ins};

static REAL: AtomicFn<Lookup> = AtomicFn::none();

/// The loader's `dlsym`, after a look around.
#[cfg(not(test))]
#[unsafe(no_mangle)]
#[unsafe(naked)]
unsafe extern "C" fn dlsym(handle: *mut c_void, name: *const c_char) -> *mut c_void {
    #[cfg(target_arch = "x86_64")]
    core::arch::naked_asm!("jmp {stand_in}", stand_in = sym stand_in);
    #[cfg(target_arch = "aarch64")]
    core::arch::naked_asm!("b {stand_in}", stand_in = sym stand_in);
}

/// The same under no name, for slots that are led here.
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn stand_in(handle: *mut c_void, name: *const c_char) -> *mut c_void {
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

/// Looks around, and returns where to go on with the same arguments.
extern "C" fn before(handle: *mut c_void, name: *const c_char) -> *mut c_void {
    // SAFETY: the C library's own cell for the calling thread.
    let error = unsafe { *libc::__errno_location() };
    let look = || {
        scan::look_for_new();
        answer(handle, name)
    };
    let stand_in = catch_unwind(|| own_work(look)).unwrap_or(None);
    // SAFETY: as above.
    unsafe { *libc::__errno_location() = error };
    stand_in.unwrap_or_else(|| address_of(real()).cast())
}

/// A function that answers in place of `dlsym`, when a library of its own is asked for one of the
/// functions that we stand in for. What is asked of all libraries finds ours by itself.
fn answer(handle: *mut c_void, name: *const c_char) -> Option<*mut c_void> {
    if handle == libc::RTLD_DEFAULT || handle == libc::RTLD_NEXT || name.is_null() {
        return None;
    }
    // SAFETY: the name that the caller passes to `dlsym`, a C string.
    let name = unsafe { CStr::from_ptr(name) };
    if name != SETTER && name != GETTER {
        return None;
    }
    // SAFETY: the caller's arguments; what a library has does not depend on who asks.
    let found = unsafe { real()(handle, name.as_ptr()) };
    stand_ins::answer(found as usize)
}

pub(crate) type Lookup = unsafe extern "C" fn(*mut c_void, *const c_char) -> *mut c_void;

/// The real `dlsym`.
pub(crate) fn real() -> Lookup {
    if let Some(known) = REAL.load(Ordering::Relaxed) {
        return known;
    }
    // SAFETY: the C library's function of this name, which has this type.
    let found =
        next::function(c"dlsym").and_then(|found| unsafe { function_at::<Lookup>(found as usize) });
    let found = found.unwrap_or(nothing);
    REAL.store(Some(found), Ordering::Relaxed);
    found
}

/// Stands for a `dlsym` that cannot be found: no symbol has an address.
unsafe extern "C" fn nothing(_handle: *mut c_void, _name: *const c_char) -> *mut c_void {
    std::ptr::null_mut()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_real_one_is_found() {
        assert_ne!(address_of(real()), nothing as *mut ());
        assert_eq!(address_of(real()), address_of(real()));
    }
}
