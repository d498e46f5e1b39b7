//! What lies below the hooks of each OpenSSL: the heap, or functions that the program itself gave
//! to OpenSSL for its memory.
//!
//! A program may give back OpenSSL's own functions, which it asked for before. Below the hooks that
//! means the heap: OpenSSL's own call whatever is in OpenSSL, and those are the hooks.
//!
//! The heap is called as OpenSSL's own functions call malloc, realloc and free: size 0 gives NULL,
//! realloc of NULL allocates, realloc to 0 frees, free of NULL does nothing. A function of the
//! program's gets every call as it comes, as it does from OpenSSL; what it asks the malloc family
//! for is OpenSSL's, and is counted once, as that.

use std::ffi::{c_char, c_int, c_void};
use std::ptr::null_mut;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::function::{AtomicFn, FunctionPointer, address_of};
use crate::heap::{self, FreeFn, MallocFn, MemoryFunctions, ReallocFn};
use crate::threads::own_work;

/// What lies below one set of hooks.
pub(crate) struct Below {
    /// The program's own functions; none for the heap.
    own: Functions,
    /// OpenSSL's own functions, as far as they are known.
    defaults: Functions,
    /// The heap has been asked for memory: OpenSSL by itself would take no functions any more.
    closed: AtomicBool,
}

/// Places for the functions of one allocator.
struct Functions {
    malloc: AtomicFn<MallocFn>,
    realloc: AtomicFn<ReallocFn>,
    free: AtomicFn<FreeFn>,
}

impl Functions {
    const fn none() -> Functions {
        Functions { malloc: AtomicFn::none(), realloc: AtomicFn::none(), free: AtomicFn::none() }
    }

    fn load(&self) -> MemoryFunctions {
        MemoryFunctions {
            malloc: self.malloc.load(Ordering::Acquire),
            realloc: self.realloc.load(Ordering::Acquire),
            free: self.free.load(Ordering::Acquire),
        }
    }

    fn store(&self, functions: MemoryFunctions) {
        self.malloc.store(functions.malloc, Ordering::Release);
        self.realloc.store(functions.realloc, Ordering::Release);
        self.free.store(functions.free, Ordering::Release);
    }
}

impl Below {
    /// The heap.
    pub(crate) const fn heap() -> Below {
        Below {
            own: Functions::none(),
            defaults: Functions::none(),
            closed: AtomicBool::new(false),
        }
    }

    /// Does what OpenSSL's setter by itself would do, and returns whether it would: it takes
    /// functions until it allocates with its own, and `None` leaves one as it is.
    pub(crate) fn set(&self, functions: MemoryFunctions) -> bool {
        if self.closed.load(Ordering::Acquire) {
            return false;
        }
        let (own, defaults) = (&self.own, &self.defaults);
        put(&own.malloc, &defaults.malloc, functions.malloc);
        put(&own.realloc, &defaults.realloc, functions.realloc);
        put(&own.free, &defaults.free, functions.free);
        true
    }

    /// Begins anew with the heap, below hooks that are put into an OpenSSL whose own functions are
    /// `defaults`.
    pub(crate) fn begin(&self, defaults: MemoryFunctions) {
        self.defaults.store(defaults);
        self.own.store(MemoryFunctions::default());
        self.closed.store(false, Ordering::Release);
    }

    /// OpenSSL has allocated before the hooks came into it.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Release);
    }

    /// The functions that would be in OpenSSL without the recorder: the program's, or OpenSSL's
    /// own.
    pub(crate) fn functions(&self) -> MemoryFunctions {
        let (own, defaults) = (self.own.load(), self.defaults.load());
        MemoryFunctions {
            malloc: own.malloc.or(defaults.malloc),
            realloc: own.realloc.or(defaults.realloc),
            free: own.free.or(defaults.free),
        }
    }

    /// Calls of `realloc` with size 0 mean a free.
    #[inline]
    pub(crate) fn frees_at_size_zero(&self) -> bool {
        self.own.realloc.load(Ordering::Acquire).is_none()
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
        if let Some(malloc) = self.own.malloc.load(Ordering::Acquire) {
            // SAFETY: the caller's promise.
            return own_work(|| unsafe { malloc(size, file, line) });
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
        if let Some(realloc) = self.own.realloc.load(Ordering::Acquire) {
            // SAFETY: the caller's promise.
            return own_work(|| unsafe { realloc(block, size, file, line) });
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
        if let Some(free) = self.own.free.load(Ordering::Acquire) {
            // SAFETY: the caller's promise.
            return own_work(|| unsafe { free(block, file, line) });
        }
        let Some(heap) = heap::current().filter(|_| !block.is_null()) else { return };
        // SAFETY: the heap's contract: the caller's block.
        unsafe { (heap.free)(block) };
    }
}

/// Puts what is given in its place, unless it is OpenSSL's own, below which lies the heap.
fn put<F: FunctionPointer>(place: &AtomicFn<F>, default: &AtomicFn<F>, given: Option<F>) {
    let Some(given) = given else { return };
    let default = default.load(Ordering::Acquire);
    let is_default = default.is_some_and(|default| address_of(default) == address_of(given));
    place.store((!is_default).then_some(given), Ordering::Release);
}
