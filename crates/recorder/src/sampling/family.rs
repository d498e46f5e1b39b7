//! The malloc family when only a part of the blocks is counted: what stands in for the C library's
//! functions, as in `crate::family`. OpenSSL's hooks call the real functions, so that a block falls
//! once, whoever asks for it.

use std::ffi::{c_int, c_void};

use contract::Domain;

use super::{countdown, counting, held};
use crate::caller::Caller;
use crate::family::{HEAP, MallocFamily, real};
use crate::frame_pointer::frame_pointer;
use crate::moves::Null;
use crate::threads::is_at_own_work;

/// The functions that count.
pub(crate) static FAMILY: MallocFamily = MallocFamily {
    malloc,
    calloc,
    realloc,
    free,
    posix_memalign,
    aligned_alloc,
    memalign,
    valloc,
    pvalloc,
};

/// Whether a block of so many bytes uses the thread's distance up, and is none of the recorder's or
/// of its host's: chance has no memory, so what these use up does not change it for others.
#[inline(always)]
fn falls_due(bytes: u64) -> bool {
    let left = countdown::fall(bytes);
    left <= 0 && is_due(left, bytes)
}

#[cold]
#[inline(never)]
fn is_due(left: i64, bytes: u64) -> bool {
    !is_at_own_work() && counting::is_due(left, bytes)
}

/// Counts a block, if it is one of the sample, that was given to this caller.
#[inline(always)]
pub(crate) fn given(block: *mut c_void, bytes: usize, caller: impl FnOnce() -> Caller) {
    // Whether there is memory has no influence on chance.
    if falls_due(bytes as u64) && !block.is_null() {
        counting::counted(block as usize, bytes as u64, caller());
    }
}

/// Counts a block out, if it was one of the sample, that is about to be free.
#[inline(always)]
pub(crate) fn freed(block: *mut c_void) {
    if held::may_hold(block as usize)
        && let Some(taken) = counting::take(block as usize, Domain::Heap)
    {
        counting::gone(taken);
    }
}

/// Has `resize` give a block another size: a free and a new block.
#[inline(always)]
fn resized(
    block: *mut c_void,
    bytes: usize,
    caller: impl FnOnce() -> Caller,
    null: Null,
    resize: impl FnOnce() -> *mut c_void,
) -> *mut c_void {
    let may_be = held::may_hold(block as usize);
    let old = if may_be { counting::take(block as usize, Domain::Heap) } else { None };
    let moved = resize();
    match old {
        Some(old) if moved.is_null() && null == Null::Refused => {
            counting::put_back(block as usize, old);
        }
        Some(old) => counting::gone(old),
        None => {}
    }
    given(moved, bytes, caller);
    moved
}

/// Whoever called the function that this is inlined into, which has a frame pointer, as this library
/// is built.
#[inline(always)]
fn caller_at(frame: usize) -> impl FnOnce() -> Caller {
    // SAFETY: the frame is that of a function of this file: its return address lies above it.
    move || unsafe { Caller::in_family(HEAP, frame) }
}

/// # Safety
///
/// As the C library's.
unsafe extern "C" fn malloc(size: usize) -> *mut c_void {
    // SAFETY: the caller's call, passed on.
    let block = unsafe { (real().malloc)(size) };
    given(block, size, caller_at(frame_pointer()));
    block
}

/// # Safety
///
/// As the C library's.
unsafe extern "C" fn calloc(number: usize, size: usize) -> *mut c_void {
    // SAFETY: the caller's call, passed on.
    let block = unsafe { (real().calloc)(number, size) };
    // A product that does not fit was refused.
    given(block, number.wrapping_mul(size), caller_at(frame_pointer()));
    block
}

/// # Safety
///
/// As the C library's.
unsafe extern "C" fn realloc(block: *mut c_void, size: usize) -> *mut c_void {
    let null = if size == 0 { Null::Freed } else { Null::Refused };
    let caller = caller_at(frame_pointer());
    // SAFETY: the caller's call, passed on.
    resized(block, size, caller, null, || unsafe { (real().realloc)(block, size) })
}

/// # Safety
///
/// As the C library's.
unsafe extern "C" fn free(block: *mut c_void) {
    freed(block);
    // SAFETY: the caller's call, passed on.
    unsafe { (real().free)(block) };
}

/// # Safety
///
/// As the C library's.
unsafe extern "C" fn posix_memalign(
    place: *mut *mut c_void,
    alignment: usize,
    size: usize,
) -> c_int {
    // SAFETY: the caller's call, passed on.
    let error = unsafe { (real().posix_memalign)(place, alignment, size) };
    if error == 0 {
        // SAFETY: the function has stored the block there.
        given(unsafe { *place }, size, caller_at(frame_pointer()));
    }
    error
}

/// # Safety
///
/// As the C library's.
unsafe extern "C" fn aligned_alloc(alignment: usize, size: usize) -> *mut c_void {
    // SAFETY: the caller's call, passed on.
    let block = unsafe { (real().aligned_alloc)(alignment, size) };
    given(block, size, caller_at(frame_pointer()));
    block
}

/// # Safety
///
/// As the C library's.
unsafe extern "C" fn memalign(alignment: usize, size: usize) -> *mut c_void {
    // SAFETY: the caller's call, passed on.
    let block = unsafe { (real().memalign)(alignment, size) };
    given(block, size, caller_at(frame_pointer()));
    block
}

/// # Safety
///
/// As the C library's.
unsafe extern "C" fn valloc(size: usize) -> *mut c_void {
    // SAFETY: the caller's call, passed on.
    let block = unsafe { (real().valloc)(size) };
    given(block, size, caller_at(frame_pointer()));
    block
}

/// # Safety
///
/// As the C library's.
unsafe extern "C" fn pvalloc(size: usize) -> *mut c_void {
    // SAFETY: the caller's call, passed on.
    let block = unsafe { (real().pvalloc)(size) };
    // What is asked for is `size`, though whole pages are given.
    given(block, size, caller_at(frame_pointer()));
    block
}
