//! The three functions that OpenSSL calls when only a part of its blocks is counted: one set for
//! each OpenSSL, as in `crate::hooks`.

use std::ffi::{c_char, c_int, c_void};
use std::ptr::null_mut;

use contract::{Domain, Source};

use super::{countdown, counting, held};
use crate::caller::Caller;
use crate::frame_pointer::frame_pointer;
use crate::heap::MemoryFunctions;
use crate::hooks::BELOW;
use crate::numbers::{MOST_OPENSSLS, one_for_each_openssl};

/// The sets, by number, in one place in memory.
pub(crate) static SETS: [MemoryFunctions; MOST_OPENSSLS] = one_for_each_openssl!(set);

const fn set<const N: usize>() -> MemoryFunctions {
    MemoryFunctions {
        malloc: Some(malloc::<N>),
        realloc: Some(realloc::<N>),
        free: Some(free::<N>),
    }
}

/// OpenSSL's malloc.
///
/// # Safety
///
/// Called by OpenSSL: `file` is a C string or NULL.
unsafe extern "C" fn malloc<const N: usize>(
    size: usize,
    file: *const c_char,
    line: c_int,
) -> *mut c_void {
    // First, and with nothing left to do after the call below: then nothing has to be kept for it.
    // Whether there is memory has no influence on chance.
    let left = countdown::fall(size as u64);
    if left <= 0 {
        let caller = Caller::new(Source::openssl(N as u8), file, line as u32, frame_pointer());
        // SAFETY: the caller's promise, passed on.
        return unsafe { due::<N>(left, size, caller) };
    }
    // SAFETY: OpenSSL's call, passed on.
    unsafe { BELOW[N].malloc(size, file, line) }
}

/// The malloc of a block that may be counted.
///
/// # Safety
///
/// As for `malloc`, whose caller this is.
#[cold]
#[inline(never)]
unsafe fn due<const N: usize>(left: i64, size: usize, caller: Caller) -> *mut c_void {
    // SAFETY: the caller's promise.
    let block = unsafe { BELOW[N].malloc(size, caller.file, caller.line as c_int) };
    if counting::is_due(left, size as u64) && !block.is_null() {
        counting::counted(block as usize, size as u64, caller);
    }
    block
}

/// OpenSSL's realloc.
///
/// # Safety
///
/// Called by OpenSSL: `block` is NULL or a block that the caller owns, `file` a C string or NULL.
unsafe extern "C" fn realloc<const N: usize>(
    block: *mut c_void,
    size: usize,
    file: *const c_char,
    line: c_int,
) -> *mut c_void {
    let below = &BELOW[N];
    if size == 0 && below.frees_at_size_zero() {
        // SAFETY: the caller's block, given up by this call.
        unsafe { free::<N>(block, file, line) };
        return null_mut();
    }
    let old = if held::may_hold(block as usize) {
        counting::take(block as usize, Domain::Openssl)
    } else {
        None
    };
    // SAFETY: OpenSSL's call, passed on.
    let moved = unsafe { below.realloc(block, size, file, line) };
    match old {
        // A function of the program's gives NULL for size 0 when it has freed the block.
        Some(old) if moved.is_null() && size != 0 => counting::put_back(block as usize, old),
        Some(old) => counting::gone(old),
        None => {}
    }
    let left = countdown::fall(size as u64);
    if left <= 0 && counting::is_due(left, size as u64) && !moved.is_null() {
        let caller = Caller::new(Source::openssl(N as u8), file, line as u32, frame_pointer());
        counting::counted(moved as usize, size as u64, caller);
    }
    moved
}

/// OpenSSL's free.
///
/// # Safety
///
/// Called by OpenSSL: `block` is NULL or a block that the caller owns and gives up.
unsafe extern "C" fn free<const N: usize>(block: *mut c_void, file: *const c_char, line: c_int) {
    // NULL too: what it costs to tell it apart is spent only where a counted block may be.
    if held::may_hold(block as usize) {
        // SAFETY: the caller's promise, passed on.
        return unsafe { free_counted::<N>(block, file, line) };
    }
    // SAFETY: OpenSSL's call, passed on.
    unsafe { BELOW[N].free(block, file, line) };
}

/// The free of a block that may be a counted one.
///
/// # Safety
///
/// As for `free`.
#[cold]
#[inline(never)]
unsafe fn free_counted<const N: usize>(block: *mut c_void, file: *const c_char, line: c_int) {
    if let Some(taken) = counting::take(block as usize, Domain::Openssl) {
        counting::gone(taken);
    }
    // SAFETY: OpenSSL's call, passed on.
    unsafe { BELOW[N].free(block, file, line) };
}
