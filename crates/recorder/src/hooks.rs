//! The three functions that OpenSSL calls in place of malloc, realloc and free.
//!
//! They do what OpenSSL's own do: size 0 gives NULL, realloc of NULL allocates, realloc to 0
//! frees, free of NULL does nothing. An allocation is counted after it succeeded and a free
//! before it is made, so that another thread that is given the same address finds it unknown.

use std::ffi::{c_char, c_int, c_void};
use std::ptr::null_mut;

use crate::heap;
use crate::process;
use crate::recorder::{self, Caller, Recorder};
use crate::stack::frame_pointer;

/// OpenSSL's malloc.
///
/// # Safety
///
/// Called by OpenSSL: `file` is a C string or NULL.
pub(crate) unsafe extern "C" fn malloc(
    size: usize,
    file: *const c_char,
    line: c_int,
) -> *mut c_void {
    let Some(heap) = heap::current().filter(|_| size != 0) else { return null_mut() };
    // SAFETY: the heap's contract: a size above zero.
    let block = unsafe { (heap.malloc)(size) };
    if !block.is_null()
        && let Some(recorder) = at_work()
    {
        let caller = Caller { file, line: line as u32, frame: frame_pointer() };
        recorder.allocated(block as usize, size as u64, caller);
    }
    block
}

/// OpenSSL's realloc.
///
/// # Safety
///
/// Called by OpenSSL: `block` is NULL or a block that the caller owns, `file` a C string or NULL.
pub(crate) unsafe extern "C" fn realloc(
    block: *mut c_void,
    size: usize,
    file: *const c_char,
    line: c_int,
) -> *mut c_void {
    let Some(heap) = heap::current() else { return null_mut() };
    if size == 0 {
        // SAFETY: the caller's block, given up by this call.
        unsafe { free(block, file, line) };
        return null_mut();
    }
    let recorder = at_work();
    let (moved, old) = if block.is_null() {
        // SAFETY: the heap's contract: a size above zero.
        (unsafe { (heap.malloc)(size) }, None)
    } else {
        let old = recorder.and_then(|recorder| recorder.about_to_move(block as usize));
        // SAFETY: the caller's block and a size above zero.
        (unsafe { (heap.realloc)(block, size) }, old)
    };
    let Some(recorder) = recorder else { return moved };
    match (moved.is_null(), old) {
        (true, Some(old)) => recorder.not_moved(block as usize, old),
        (false, Some(old)) => recorder.moved(old),
        (_, None) => {}
    }
    if !moved.is_null() {
        let caller = Caller { file, line: line as u32, frame: frame_pointer() };
        recorder.allocated(moved as usize, size as u64, caller);
    }
    moved
}

/// OpenSSL's free.
///
/// # Safety
///
/// Called by OpenSSL: `block` is NULL or a block that the caller owns and gives up.
pub(crate) unsafe extern "C" fn free(block: *mut c_void, _file: *const c_char, _line: c_int) {
    let Some(heap) = heap::current().filter(|_| !block.is_null()) else { return };
    match recorder::current() {
        Some(recorder) => recorder.freed(block as usize),
        // Nothing to count in: a fork's ledger begins with its first allocation.
        None => recorder::forget_inherited(block as usize),
    }
    // SAFETY: the caller's block, given up by this call.
    unsafe { (heap.free)(block) };
}

/// The recorder; the first allocation of a process starts it where [`crate::prepare`] said so.
#[inline]
fn at_work() -> Option<&'static Recorder> {
    recorder::current().or_else(process::start)
}
