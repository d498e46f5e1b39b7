//! The malloc family as everybody else than OpenSSL calls it: what stands in for the C library's
//! functions where the whole process is recorded.
//!
//! OpenSSL's hooks call the real functions, so that a block of OpenSSL's is one event; here come
//! all others. Both enter their blocks into one table: one that is allocated one way and freed the
//! other is known. What the recorder itself, or its host, asks for meanwhile is not counted
//! ([`own_work`](crate::own_work)).

use std::ffi::{c_int, c_void};
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};

use contract::{Domain, Source};

use crate::caller::Caller;
use crate::frame_pointer::frame_pointer;
use crate::moves::{Null, resized};
use crate::recorder::Recorder;
use crate::{current, events, sampling, start, threads};

/// The functions that serve the process, whichever allocator they are of. They keep the contract of
/// the C library's functions of these names.
#[derive(Clone, Copy, Debug)]
#[expect(missing_docs, reason = "named as the functions are")]
pub struct MallocFamily {
    pub malloc: unsafe extern "C" fn(usize) -> *mut c_void,
    pub calloc: unsafe extern "C" fn(usize, usize) -> *mut c_void,
    pub realloc: unsafe extern "C" fn(*mut c_void, usize) -> *mut c_void,
    pub free: unsafe extern "C" fn(*mut c_void),
    pub posix_memalign: unsafe extern "C" fn(*mut *mut c_void, usize, usize) -> c_int,
    pub aligned_alloc: unsafe extern "C" fn(usize, usize) -> *mut c_void,
    pub memalign: unsafe extern "C" fn(usize, usize) -> *mut c_void,
    pub valloc: unsafe extern "C" fn(usize) -> *mut c_void,
    pub pvalloc: unsafe extern "C" fn(usize) -> *mut c_void,
}

static REAL: AtomicPtr<MallocFamily> = AtomicPtr::new(std::ptr::null_mut());
/// What is asked of them is counted now.
static COUNTED: AtomicBool = AtomicBool::new(false);

/// Takes the functions that [`counted`] calls, the same ones each time. Whoever calls those has
/// called this before.
///
/// # Safety
///
/// They are what the type says, for as long as the process lives, and none of [`counted`]'s.
pub unsafe fn know_family(real: MallocFamily) {
    // Whoever is attached to again has them already, and other threads may be calling them.
    if REAL.load(Ordering::Acquire).is_null() {
        REAL.store(Box::leak(Box::new(real)), Ordering::Release);
    }
}

/// After [`know_family`], and before anything leads to [`counted`]: a recorder that comes from here
/// on has a part in it.
pub fn count_family() {
    COUNTED.store(true, Ordering::Release);
}

/// Nothing leads to [`counted`] any more, nor to [`counted_mappings`](crate::counted_mappings): a
/// recorder that comes later has no part in them. Who is on the way through them, or comes by a
/// pointer that it has kept, is passed on.
pub fn count_no_family() {
    COUNTED.store(false, Ordering::Release);
}

/// Whether the malloc family is counted in this process.
pub(crate) fn is_counted() -> bool {
    COUNTED.load(Ordering::Acquire)
}

/// Gets ready for the calling thread's first event: what has to be asked then may be asked no more
/// when somebody calls malloc. `false` where malloc is not counted: that may begin in another thread
/// meanwhile, so that what this thread asks for must be [`own_work`](crate::own_work).
#[must_use]
pub fn prepare_thread() -> bool {
    let recorder = if is_counted() { at_work() } else { None };
    if let Some(recorder) = recorder {
        threads::sit_down(recorder);
    }
    recorder.is_some()
}

/// The functions that count, each block or a part of them as the recorder was told to: to be called by the program in place of the real ones, directly or
/// through a jump, so that the frame above theirs is the program's.
pub fn counted() -> MallocFamily {
    if sampling::current().is_some() {
        return sampling::family::FAMILY;
    }
    MallocFamily {
        malloc,
        calloc,
        realloc,
        free,
        posix_memalign,
        aligned_alloc,
        memalign,
        valloc,
        pvalloc,
    }
}

#[inline(always)]
pub(crate) fn real() -> &'static MallocFamily {
    let real = REAL.load(Ordering::Relaxed);
    // SAFETY: `know_family` has stored a leaked box before anybody could call what asks for it; its
    // content came to the other threads with whatever had them call.
    unsafe { &*real }
}

/// Counts a block that was given to whoever called the function with this frame pointer.
#[inline(always)]
fn given(block: *mut c_void, bytes: usize, frame: usize) {
    if !block.is_null() {
        // SAFETY: the frame is that of the function that this is inlined into, which has a frame
        // pointer, as this library is built: its return address lies above it.
        let caller = unsafe { Caller::in_family(HEAP, frame) };
        events::allocated(block as usize, bytes as u64, caller);
    }
}

pub(crate) const HEAP: Source = Source { domain: Domain::Heap, instance: 0 };

/// # Safety
///
/// As the C library's.
unsafe extern "C" fn malloc(size: usize) -> *mut c_void {
    // SAFETY: the caller's call, passed on.
    let block = unsafe { (real().malloc)(size) };
    given(block, size, frame_pointer());
    block
}

/// # Safety
///
/// As the C library's.
unsafe extern "C" fn calloc(number: usize, size: usize) -> *mut c_void {
    // SAFETY: the caller's call, passed on.
    let block = unsafe { (real().calloc)(number, size) };
    // A product that does not fit was refused.
    given(block, number.wrapping_mul(size), frame_pointer());
    block
}

/// # Safety
///
/// As the C library's.
unsafe extern "C" fn realloc(block: *mut c_void, size: usize) -> *mut c_void {
    // SAFETY: the frame of this very function, which has a frame pointer, as this library is built.
    let caller = unsafe { Caller::in_family(HEAP, frame_pointer()) };
    let null = if size == 0 { Null::Freed } else { Null::Refused };
    // SAFETY: the caller's call, passed on.
    resized(block, size, caller, null, || unsafe { (real().realloc)(block, size) })
}

/// # Safety
///
/// As the C library's.
unsafe extern "C" fn free(block: *mut c_void) {
    if !block.is_null() {
        // SAFETY: the caller's promise.
        unsafe { free_block(block) };
    }
}

/// # Safety
///
/// As `free` of a block.
#[inline(never)]
unsafe extern "C" fn free_block(block: *mut c_void) {
    events::freed(block as usize, Domain::Heap);
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
        given(unsafe { *place }, size, frame_pointer());
    }
    error
}

/// # Safety
///
/// As the C library's.
unsafe extern "C" fn aligned_alloc(alignment: usize, size: usize) -> *mut c_void {
    // SAFETY: the caller's call, passed on.
    let block = unsafe { (real().aligned_alloc)(alignment, size) };
    given(block, size, frame_pointer());
    block
}

/// # Safety
///
/// As the C library's.
unsafe extern "C" fn memalign(alignment: usize, size: usize) -> *mut c_void {
    // SAFETY: the caller's call, passed on.
    let block = unsafe { (real().memalign)(alignment, size) };
    given(block, size, frame_pointer());
    block
}

/// # Safety
///
/// As the C library's.
unsafe extern "C" fn valloc(size: usize) -> *mut c_void {
    // SAFETY: the caller's call, passed on.
    let block = unsafe { (real().valloc)(size) };
    given(block, size, frame_pointer());
    block
}

/// # Safety
///
/// As the C library's.
unsafe extern "C" fn pvalloc(size: usize) -> *mut c_void {
    // SAFETY: the caller's call, passed on.
    let block = unsafe { (real().pvalloc)(size) };
    // What is asked for is `size`, though whole pages are given.
    given(block, size, frame_pointer());
    block
}

/// The recorder; the first allocation of a process starts it.
#[inline]
pub(crate) fn at_work() -> Option<&'static Recorder> {
    current::current().or_else(start::start)
}
