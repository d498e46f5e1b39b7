//! What lies below the hooks of each OpenSSL: the heap, or functions that the program itself gave
//! to OpenSSL for its memory.
//!
//! A program may give back OpenSSL's own functions, which it asked for before. Below the hooks that
//! means the heap: OpenSSL's own call whatever is in OpenSSL, and those are the hooks.
//!
//! The heap is called as OpenSSL's own functions call malloc, realloc and free: size 0 gives NULL,
//! realloc of NULL allocates, realloc to 0 frees, free of NULL does nothing. A function of the
//! program's gets every call as it comes, as it does from OpenSSL.

use std::ffi::{c_char, c_int, c_void};
use std::ptr::null_mut;
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};

use crate::heap::{self, FreeFn, MallocFn, MemoryFunctions, ReallocFn};

/// What lies below one set of hooks.
pub(crate) struct Below {
    /// The program's own functions; NULL for the heap.
    malloc: AtomicPtr<()>,
    realloc: AtomicPtr<()>,
    free: AtomicPtr<()>,
    /// OpenSSL's own functions, in the same order; NULL when they are not known.
    defaults: [AtomicPtr<()>; 3],
    /// The heap has been asked for memory: OpenSSL by itself would take no functions any more.
    closed: AtomicBool,
}

impl Below {
    /// The heap.
    pub(crate) const fn heap() -> Below {
        Below {
            malloc: AtomicPtr::new(null_mut()),
            realloc: AtomicPtr::new(null_mut()),
            free: AtomicPtr::new(null_mut()),
            defaults: [const { AtomicPtr::new(null_mut()) }; 3],
            closed: AtomicBool::new(false),
        }
    }

    /// Does what OpenSSL's setter by itself would do, and returns whether it would: it takes
    /// functions until it allocates with its own, and `None` leaves one as it is.
    pub(crate) fn set(&self, functions: MemoryFunctions) -> bool {
        if self.closed.load(Ordering::Acquire) {
            return false;
        }
        let places = [&self.malloc, &self.realloc, &self.free];
        for ((place, default), given) in
            places.into_iter().zip(&self.defaults).zip(functions.pointers())
        {
            if given.is_null() {
                continue;
            }
            let is_default = default.load(Ordering::Acquire) == given;
            place.store(if is_default { null_mut() } else { given }, Ordering::Release);
        }
        true
    }

    /// Begins anew with the heap, below hooks that are put into an OpenSSL whose own functions are
    /// `defaults`.
    pub(crate) fn begin(&self, defaults: MemoryFunctions) {
        for (place, default) in self.defaults.iter().zip(defaults.pointers()) {
            place.store(default, Ordering::Release);
        }
        for place in [&self.malloc, &self.realloc, &self.free] {
            place.store(null_mut(), Ordering::Release);
        }
        self.closed.store(false, Ordering::Release);
    }

    /// OpenSSL has allocated before the hooks came into it.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Release);
    }

    /// The functions that would be in OpenSSL without the recorder: the program's, or OpenSSL's
    /// own.
    pub(crate) fn functions(&self) -> MemoryFunctions {
        let default = |at: usize| self.defaults[at].load(Ordering::Acquire);
        let [malloc, realloc, free] = [default(0), default(1), default(2)];
        // SAFETY: NULL, which is None, or functions of these types that `begin` stored.
        let (malloc, realloc, free) = unsafe {
            (
                std::mem::transmute::<*mut (), Option<MallocFn>>(malloc),
                std::mem::transmute::<*mut (), Option<ReallocFn>>(realloc),
                std::mem::transmute::<*mut (), Option<FreeFn>>(free),
            )
        };
        let (own_malloc, own_realloc, own_free) =
            (self.own_malloc(), self.own_realloc(), self.own_free());
        MemoryFunctions {
            malloc: own_malloc.or(malloc),
            realloc: own_realloc.or(realloc),
            free: own_free.or(free),
        }
    }

    /// Calls of `realloc` with size 0 mean a free.
    #[inline]
    pub(crate) fn frees_at_size_zero(&self) -> bool {
        self.own_realloc().is_none()
    }

    /// # Safety
    ///
    /// As OpenSSL calls its malloc.
    #[inline]
    pub(crate) unsafe fn malloc(
        &self,
        size: usize,
        file: *const c_char,
        line: c_int,
    ) -> *mut c_void {
        if let Some(malloc) = self.own_malloc() {
            // SAFETY: the caller's promise.
            return unsafe { malloc(size, file, line) };
        }
        let Some(heap) = heap::current().filter(|_| size != 0) else { return null_mut() };
        if !self.closed.load(Ordering::Relaxed) {
            self.close();
        }
        // SAFETY: the heap's contract: a size above zero.
        unsafe { (heap.malloc)(size) }
    }

    /// # Safety
    ///
    /// As OpenSSL calls its realloc: `block` is NULL or a block that the caller owns.
    #[inline]
    pub(crate) unsafe fn realloc(
        &self,
        block: *mut c_void,
        size: usize,
        file: *const c_char,
        line: c_int,
    ) -> *mut c_void {
        if let Some(realloc) = self.own_realloc() {
            // SAFETY: the caller's promise.
            return unsafe { realloc(block, size, file, line) };
        }
        if block.is_null() {
            // SAFETY: the caller's promise.
            return unsafe { self.malloc(size, file, line) };
        }
        if size == 0 {
            // SAFETY: the caller's block, given up by this call.
            unsafe { self.free(block, file, line) };
            return null_mut();
        }
        let Some(heap) = heap::current() else { return null_mut() };
        // SAFETY: the heap's contract: the caller's block and a size above zero.
        unsafe { (heap.realloc)(block, size) }
    }

    /// # Safety
    ///
    /// As OpenSSL calls its free: `block` is NULL or a block that the caller owns and gives up.
    #[inline]
    pub(crate) unsafe fn free(&self, block: *mut c_void, file: *const c_char, line: c_int) {
        if let Some(free) = self.own_free() {
            // SAFETY: the caller's promise.
            return unsafe { free(block, file, line) };
        }
        let Some(heap) = heap::current().filter(|_| !block.is_null()) else { return };
        // SAFETY: the heap's contract: the caller's block.
        unsafe { (heap.free)(block) };
    }

    #[inline]
    fn own_malloc(&self) -> Option<MallocFn> {
        // SAFETY: NULL, which is None, or a function of this type that `set` stored.
        unsafe { std::mem::transmute(self.malloc.load(Ordering::Acquire)) }
    }

    #[inline]
    fn own_realloc(&self) -> Option<ReallocFn> {
        // SAFETY: as for `own_malloc`.
        unsafe { std::mem::transmute(self.realloc.load(Ordering::Acquire)) }
    }

    #[inline]
    fn own_free(&self) -> Option<FreeFn> {
        // SAFETY: as for `own_malloc`.
        unsafe { std::mem::transmute(self.free.load(Ordering::Acquire)) }
    }
}
