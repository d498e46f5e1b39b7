//! The three functions that OpenSSL calls in place of malloc, realloc and free: one set for each
//! OpenSSL in the process, `N` being its number.
//!
//! What they do to memory is in `below`. An allocation is counted after it succeeded and a free
//! before it is made, so that another thread that is given the same address finds it unknown.

use std::ffi::{c_char, c_int, c_void};
use std::ptr::null_mut;

use contract::{Domain, Source};

use crate::below::Below;
use crate::caller::Caller;
use crate::frame_pointer::frame_pointer;
use crate::heap::MemoryFunctions;
use crate::numbers::{MOST_OPENSSLS, one_for_each_openssl};
use crate::recorder::Recorder;
use crate::{current, events, start};

/// What lies below each set.
pub(crate) static BELOW: [Below; MOST_OPENSSLS] = [const { Below::heap() }; MOST_OPENSSLS];

/// The sets, by number. One place in memory: a constant would be made anew wherever it is used,
/// in another crate with other copies of the functions, and to know the hooks again is to compare
/// addresses.
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
    // SAFETY: OpenSSL's call, passed on.
    let block = unsafe { BELOW[N].malloc(size, file, line) };
    if !block.is_null() {
        let caller = Caller::new(Source::openssl(N as u8), file, line as u32, frame_pointer());
        events::allocated(block as usize, size as u64, caller);
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
    let recorder = at_work();
    let old = recorder
        .filter(|_| !block.is_null())
        .and_then(|recorder| recorder.about_to_move(block as usize, Domain::Openssl));
    // SAFETY: OpenSSL's call, passed on.
    let moved = unsafe { below.realloc(block, size, file, line) };
    let Some(recorder) = recorder else { return moved };
    match old {
        // A function of the program's gives NULL for size 0 when it has freed the block.
        Some(old) if moved.is_null() && size != 0 => recorder.not_moved(block as usize, old),
        Some(old) => recorder.moved(old),
        None => {}
    }
    if !moved.is_null() {
        let caller = Caller::new(Source::openssl(N as u8), file, line as u32, frame_pointer());
        events::allocated(moved as usize, size as u64, caller);
    }
    moved
}

/// OpenSSL's free.
///
/// # Safety
///
/// Called by OpenSSL: `block` is NULL or a block that the caller owns and gives up.
unsafe extern "C" fn free<const N: usize>(block: *mut c_void, file: *const c_char, line: c_int) {
    // To free nothing, as OpenSSL often does, should cost nothing.
    if block.is_null() {
        // SAFETY: OpenSSL's call, passed on.
        unsafe { BELOW[N].free(block, file, line) };
    } else {
        // SAFETY: as above.
        unsafe { free_block::<N>(block, file, line) };
    }
}

/// OpenSSL's free, of a block.
///
/// # Safety
///
/// Called by OpenSSL: `block` is a block that the caller owns and gives up.
#[inline(never)]
unsafe extern "C" fn free_block<const N: usize>(
    block: *mut c_void,
    file: *const c_char,
    line: c_int,
) {
    events::freed(block as usize, Domain::Openssl);
    // SAFETY: OpenSSL's call, passed on.
    unsafe { BELOW[N].free(block, file, line) };
}

/// The recorder; the first allocation of a process starts it where
/// [`LedgerPlace::Folder`](crate::LedgerPlace::Folder) says so.
#[inline]
fn at_work() -> Option<&'static Recorder> {
    current::current().or_else(start::start)
}
