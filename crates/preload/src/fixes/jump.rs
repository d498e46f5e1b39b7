//! A jump over the beginning of a function: whoever calls it gets to another.

use std::ffi::{c_int, c_void};

use crate::object::Object;
use crate::page;

/// Whether this processor's jump is known here.
pub(super) const ON_THIS_PROCESSOR: bool = cfg!(target_arch = "x86_64");

/// How long a jump is.
pub(super) const BYTES: usize = 14;

/// Writes a jump to `to` over the function at `start` in `object`. Refused where a thread might be
/// inside the function: `unused` says that nobody has called it yet, and otherwise the process
/// must have no other thread.
///
/// # Safety
///
/// A function begins at `start`, and the next one not before its end of [`BYTES`]. `to` is a
/// function of the same type that does its work, and stays loaded.
pub(super) unsafe fn put(
    object: &Object,
    start: usize,
    to: usize,
    unused: bool,
) -> Result<(), &'static str> {
    if !unused && threads() != Some(1) {
        return Err("other threads may be in SSL_CTX_new already");
    }
    let jump = jump(to);
    match object.code(start, BYTES) {
        None => return Err("SSL_CTX_new is not in code"),
        Some(there) if there == jump => return Ok(()),
        Some(_) => {}
    }
    let page = page::size();
    let first = start & !(page - 1);
    let bytes = (start + BYTES).next_multiple_of(page) - first;
    let protect = |access: c_int| {
        // SAFETY: whole pages of the object's code. They stay readable and executable, so that
        // whatever else runs there runs on.
        unsafe { libc::mprotect(first as *mut c_void, bytes, access) == 0 }
    };
    let as_it_is = libc::PROT_READ | libc::PROT_EXEC;
    if !protect(as_it_is | libc::PROT_WRITE) {
        return Err("the code cannot be made writable");
    }
    // SAFETY: so many bytes of code, as `object.code` has seen, and writable now; that they are
    // this function's alone is the caller's promise. Our own readers of code are not at it: the
    // scan lets one thread at a time read or write. That no thread executes these instructions
    // meanwhile is certain where this is the only thread. With others it is likely and no more: the
    // OpenSSL has not allocated anything, as the recorder has seen, and this function allocates; so
    // a thread in it would have to be calling it for the first time right now, in a library that
    // was loaded moments ago and whose loader has not yet come back with its first symbol. Such a
    // thread could execute half a jump. Users ask for this by `what-if`, for a trial.
    unsafe { std::ptr::copy_nonoverlapping(jump.as_ptr(), start as *mut u8, BYTES) };
    // Should that fail, the jump is there all the same.
    protect(as_it_is);
    Ok(())
}

/// `jmp [rip + 0]`, and the address behind it.
fn jump(to: usize) -> [u8; BYTES] {
    let mut code = [0xff, 0x25, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    code[6..].copy_from_slice(&(to as u64).to_le_bytes());
    code
}

/// How many threads this process has; `None` when nobody says.
fn threads() -> Option<usize> {
    std::fs::read_dir("/proc/self/task").ok().map(Iterator::count)
}

#[cfg(all(test, target_arch = "x86_64"))]
mod tests {
    use super::*;
    use crate::object;

    core::arch::global_asm!(
        ".text",
        ".balign 16",
        "tlsheap_test_function:",
        "mov eax, 1",
        "ret",
        ".balign 16, 0x90",
        "tlsheap_test_function_behind:",
        "mov eax, 2",
        "ret",
    );

    unsafe extern "C" {
        fn tlsheap_test_function() -> c_int;
        fn tlsheap_test_function_behind() -> c_int;
    }

    extern "C" fn other() -> c_int {
        40
    }

    /// The address as a value that the optimiser knows nothing of.
    fn called(function: unsafe extern "C" fn() -> c_int) -> c_int {
        // SAFETY: functions of this type, or the jump over one to another.
        unsafe { std::hint::black_box(function)() }
    }

    #[test]
    fn who_calls_the_function_gets_to_the_other_and_its_neighbour_stays() {
        let (objects, _) = object::loaded();
        let program = &objects[0];
        let start = tlsheap_test_function as *const () as usize;
        let to = other as *const () as usize;
        assert_eq!(called(tlsheap_test_function), 1);
        // SAFETY: the function of the test has 16 bytes to itself.
        let refused = unsafe { put(program, start, to, false) };
        assert!(refused.is_err(), "a test runs beside other threads");
        assert_eq!(called(tlsheap_test_function), 1);
        for _ in 0..2 {
            // SAFETY: as above, and nobody else calls it.
            unsafe { put(program, start, to, true) }.expect("its code can be written");
            assert_eq!(called(tlsheap_test_function), 40);
        }
        assert_eq!(called(tlsheap_test_function_behind), 2);
        let maps = std::fs::read_to_string("/proc/self/maps").expect("a mounted /proc");
        assert!(!maps.contains(" rwxp "), "{maps}");
    }
}
