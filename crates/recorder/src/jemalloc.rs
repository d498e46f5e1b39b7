//! The blocks of a jemalloc that is linked into a program under names of its own: nobody's call of
//! it can be led elsewhere, but it calls functions that it was given (`experimental.hooks.install`
//! of its `mallctl`) after each allocation and before each free, with the arguments that it was
//! called with itself.
//!
//! ```text
//! program ─► _rjem_malloc ─► its hook ─► Hooks::alloc ─► events
//! ```
//!
//! Which number stands for which of its functions differs between releases, by one that was added
//! before `mallocx`: whoever installs the hooks has found out what that is. The types of the hooks
//! are the same in all releases from 5.1 to 5.3.1.

use std::ffi::{c_int, c_void};

use contract::{Domain, Source};

use crate::caller::Caller;
use crate::family::at_work;
use crate::frame_pointer::frame_pointer;
use crate::{events, sampling};

/// What jemalloc is told: its `hooks_t`.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub struct JemallocHooks {
    /// Called after each allocation, with what it came to and the arguments of the function that
    /// was called.
    pub alloc: unsafe extern "C" fn(*mut c_void, c_int, *mut c_void, usize, *const usize),
    /// Called before each free.
    pub dalloc: unsafe extern "C" fn(*mut c_void, c_int, *mut c_void, *const usize),
    /// Called after a block has another size at its place.
    pub expand:
        unsafe extern "C" fn(*mut c_void, c_int, *mut c_void, usize, usize, usize, *const usize),
    /// Passed to each of them.
    pub extra: *mut c_void,
}

/// The numbers of functions that allocate, as far as they are the same in every release.
mod allocating {
    pub(super) const MALLOC: usize = 0;
    pub(super) const POSIX_MEMALIGN: usize = 1;
    pub(super) const CALLOC: usize = 3;
    pub(super) const ALIGNED_ALLOC: usize = 2;
    pub(super) const MEMALIGN: usize = 4;
}

/// The lowest number that `mallocx` has in a release; those that reallocate come behind it.
const LOWEST_MALLOCX: usize = 6;
/// The highest one.
const HIGHEST_MALLOCX: usize = 7;

/// The number of `xallocx` among functions that resize.
const XALLOCX: c_int = 2;

/// Hooks for a jemalloc whose number for `mallocx` is this one; `None` for one that is not known.
/// They count its blocks in domain `heap`, beside those of the malloc family, in the same table.
pub fn jemalloc_hooks(mallocx: c_int) -> Option<JemallocHooks> {
    let mallocx = usize::try_from(mallocx).ok()?;
    let known = (LOWEST_MALLOCX..=HIGHEST_MALLOCX).contains(&mallocx);
    let extra = std::ptr::without_provenance_mut(mallocx);
    known.then_some(JemallocHooks { alloc, dalloc, expand, extra })
}

const HEAP: Source = Source { domain: Domain::Heap, instance: 0 };

/// How many bytes somebody asked for who called the function of this number; `mallocx` is the
/// number of that one.
fn requested(function: usize, mallocx: usize, argument: impl Fn(usize) -> usize) -> usize {
    use allocating::{ALIGNED_ALLOC, CALLOC, MALLOC, MEMALIGN, POSIX_MEMALIGN};
    match function {
        MALLOC => argument(0),
        POSIX_MEMALIGN => argument(2),
        ALIGNED_ALLOC | MEMALIGN => argument(1),
        CALLOC => argument(0).wrapping_mul(argument(1)),
        // valloc, and where there is one pvalloc.
        _ if function <= mallocx => argument(0),
        // realloc and rallocx.
        _ => argument(1),
    }
}

/// # Safety
///
/// Called by jemalloc: `arguments` are three words at the least.
unsafe extern "C" fn alloc(
    extra: *mut c_void,
    function: c_int,
    block: *mut c_void,
    _: usize,
    arguments: *const usize,
) {
    if block.is_null() {
        return;
    }
    // SAFETY: `requested` asks for the first three: the caller's promise.
    let argument = |at| unsafe { arguments.add(at).read() };
    let bytes = requested(function as usize, extra.addr(), argument);
    // SAFETY: the frame of this very function, which has a frame pointer, as this library is built.
    let caller = unsafe { Caller::in_family(HEAP, frame_pointer()) };
    given(block, bytes, caller);
}

/// A block has come, of which a part may be counted only.
#[inline(always)]
fn given(block: *mut c_void, bytes: usize, caller: Caller) {
    match sampling::current() {
        None => events::allocated(block as usize, bytes as u64, caller),
        Some(_) => sampling::family::given(block, bytes, || caller),
    }
}

/// # Safety
///
/// Called by jemalloc.
unsafe extern "C" fn dalloc(_: *mut c_void, _function: c_int, block: *mut c_void, _: *const usize) {
    match sampling::current() {
        _ if block.is_null() => {}
        None => events::freed(block as usize, Domain::Heap),
        Some(_) => sampling::family::freed(block),
    }
}

/// # Safety
///
/// Called by jemalloc: `arguments` are four words.
unsafe extern "C" fn expand(
    _: *mut c_void,
    function: c_int,
    block: *mut c_void,
    _old: usize,
    new: usize,
    _: usize,
    arguments: *const usize,
) {
    // SAFETY: two of the four words. After the block comes what is asked for, and what it may be
    // more by for `xallocx`.
    let (least, extra) = unsafe { (arguments.add(1).read(), arguments.add(2).read()) };
    let bytes = if function == XALLOCX {
        // Called too where it stays as it is.
        if new < least {
            return;
        }
        new.min(least.saturating_add(extra))
    } else {
        least
    };
    if sampling::current().is_some() {
        sampling::family::freed(block);
    } else {
        let Some(recorder) = at_work() else { return };
        if let Some(old) = recorder.about_to_move(block as usize, Domain::Heap) {
            recorder.moved(old);
        }
    }
    // SAFETY: the frame of this very function, as in `alloc`.
    let caller = unsafe { Caller::in_family(HEAP, frame_pointer()) };
    given(block, bytes, caller);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_asked_for_is_among_the_arguments_of_each_function() {
        let arguments = [10, 200, 3_000];
        let argument = |at: usize| arguments[at];
        // 5.3.1 has a pvalloc, and those before it have none.
        for (mallocx, last) in [(7, 9), (6, 8)] {
            let asked: Vec<usize> =
                (0..=last).map(|function| requested(function, mallocx, argument)).collect();
            assert_eq!(asked[..6], [10, 3_000, 200, 2_000, 200, 10]);
            assert!(asked[6..=mallocx].iter().all(|bytes| *bytes == 10), "{asked:?}");
            assert_eq!(asked[mallocx + 1..], [200, 200]);
            assert!(jemalloc_hooks(mallocx as c_int).is_some());
        }
        for unknown in [-1, 0, 5, 8] {
            assert!(jemalloc_hooks(unknown).is_none());
        }
    }
}
