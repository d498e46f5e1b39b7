//! Python's objects, one by one: what stands in front of the allocator that CPython has for them,
//! where that is wanted. The interpreter has an interface for it (`PyMem_SetAllocator`), in which
//! each function is handed a pointer of ours: to the allocator behind it.
//!
//! ```text
//! PyObject_Malloc ─► malloc (here) ─► pymalloc ─► malloc, mmap: no events of their own
//! ```
//!
//! pymalloc takes blocks of more than 512 bytes from malloc, and lays the others out in arenas that
//! it maps: both are where its blocks lie, and are not counted beside them.

use std::ffi::c_void;
use std::sync::atomic::{AtomicBool, Ordering};

use contract::{Domain, Source};

use crate::caller::Caller;
use crate::events;
use crate::frame_pointer::frame_pointer;
use crate::moves::{Null, resized};
use crate::threads::own_work;

/// An allocator as CPython has them: its `PyMemAllocatorEx`, the same since 3.5.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct PythonAllocator {
    /// Passed to each of them.
    pub context: *mut c_void,
    /// Gives a block of so many bytes.
    pub malloc: unsafe extern "C" fn(*mut c_void, usize) -> *mut c_void,
    /// Gives a block for so many elements of so many bytes, all zero.
    pub calloc: unsafe extern "C" fn(*mut c_void, usize, usize) -> *mut c_void,
    /// Gives a block another size. NULL says that it is as it was, whatever the size.
    pub realloc: unsafe extern "C" fn(*mut c_void, *mut c_void, usize) -> *mut c_void,
    /// Takes a block back, or NULL.
    pub free: unsafe extern "C" fn(*mut c_void, *mut c_void),
}

/// What is asked of the allocators is counted now.
static COUNTED: AtomicBool = AtomicBool::new(false);

/// Counts what the allocators of [`python_allocator`] give from here on.
pub fn count_python() {
    COUNTED.store(true, Ordering::Release);
}

/// An allocator that passes everything on to `real`, and counts it after [`count_python`]. It lives
/// as long as the process.
///
/// # Safety
///
/// `real` keeps what [`PythonAllocator`] says, for as long as the process lives.
pub unsafe fn python_allocator(real: PythonAllocator) -> PythonAllocator {
    let context = std::ptr::from_mut(Box::leak(Box::new(real))).cast();
    PythonAllocator { context, malloc, calloc, realloc, free }
}

const PYTHON: Source = Source { domain: Domain::Python, instance: 0 };

/// # Safety
///
/// `context` is that of an allocator that [`python_allocator`] has made.
#[inline(always)]
unsafe fn real<'a>(context: *mut c_void) -> &'a PythonAllocator {
    // SAFETY: a leaked box of this type, which nobody changes: the caller's promise.
    unsafe { &*context.cast::<PythonAllocator>() }
}

#[inline(always)]
fn is_counted() -> bool {
    COUNTED.load(Ordering::Relaxed)
}

/// Counts a block that was given to whoever called the function with this frame pointer.
#[inline(always)]
fn given(block: *mut c_void, bytes: usize, frame: usize) {
    if !block.is_null() {
        // SAFETY: the frame is that of the function that this is inlined into, which has a frame
        // pointer, as this library is built.
        let caller = unsafe { Caller::in_family(PYTHON, frame) };
        events::allocated(block as usize, bytes as u64, caller);
    }
}

/// # Safety
///
/// Called by CPython, with the context of one of these.
unsafe extern "C" fn malloc(context: *mut c_void, size: usize) -> *mut c_void {
    // SAFETY: the caller's promise.
    let real = unsafe { real(context) };
    if !is_counted() {
        // SAFETY: the caller's call, passed on.
        return unsafe { (real.malloc)(real.context, size) };
    }
    // SAFETY: as above.
    let block = own_work(|| unsafe { (real.malloc)(real.context, size) });
    given(block, size, frame_pointer());
    block
}

/// # Safety
///
/// Called by CPython, with the context of one of these.
unsafe extern "C" fn calloc(context: *mut c_void, number: usize, size: usize) -> *mut c_void {
    // SAFETY: the caller's promise.
    let real = unsafe { real(context) };
    if !is_counted() {
        // SAFETY: the caller's call, passed on.
        return unsafe { (real.calloc)(real.context, number, size) };
    }
    // SAFETY: as above.
    let block = own_work(|| unsafe { (real.calloc)(real.context, number, size) });
    // A product that does not fit was refused.
    given(block, number.wrapping_mul(size), frame_pointer());
    block
}

/// # Safety
///
/// Called by CPython, with the context of one of these, and a block of this allocator or NULL.
unsafe extern "C" fn realloc(context: *mut c_void, block: *mut c_void, size: usize) -> *mut c_void {
    // SAFETY: the caller's promise.
    let real = unsafe { real(context) };
    if !is_counted() {
        // SAFETY: the caller's call, passed on.
        return unsafe { (real.realloc)(real.context, block, size) };
    }
    // SAFETY: the frame of this very function, which has a frame pointer, as this library is built.
    let caller = unsafe { Caller::in_family(PYTHON, frame_pointer()) };
    // SAFETY: the caller's call, passed on.
    let resize = || own_work(|| unsafe { (real.realloc)(real.context, block, size) });
    resized(block, size, caller, Null::Refused, resize)
}

/// # Safety
///
/// Called by CPython, with the context of one of these, and a block of this allocator or NULL.
unsafe extern "C" fn free(context: *mut c_void, block: *mut c_void) {
    // SAFETY: the caller's promise.
    let real = unsafe { real(context) };
    if !is_counted() || block.is_null() {
        // SAFETY: the caller's call, passed on.
        return unsafe { (real.free)(real.context, block) };
    }
    events::freed(block as usize, Domain::Python);
    // SAFETY: as above.
    own_work(|| unsafe { (real.free)(real.context, block) });
}
