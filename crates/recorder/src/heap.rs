//! The allocator below the recorder, and OpenSSL's functions above it.

use std::ffi::{c_char, c_int, c_void};
use std::ptr::null_mut;
use std::sync::atomic::{AtomicPtr, Ordering};

use crate::function::address_of;

/// The allocator that OpenSSL's blocks come from.
///
/// The functions follow C's malloc, realloc and free, for sizes above zero and, in `realloc` and
/// `free`, pointers that are not NULL. They must not call OpenSSL.
#[derive(Clone, Copy, Debug)]
pub struct Heap {
    /// Allocates `size` bytes, or returns NULL.
    pub malloc: unsafe extern "C" fn(size: usize) -> *mut c_void,
    /// Resizes a block, or returns NULL and leaves it as it was.
    pub realloc: unsafe extern "C" fn(block: *mut c_void, size: usize) -> *mut c_void,
    /// Frees a block.
    pub free: unsafe extern "C" fn(block: *mut c_void),
}

impl Heap {
    /// The C library's allocator, which is what OpenSSL uses by itself.
    pub fn libc() -> Heap {
        Heap { malloc: libc::malloc, realloc: libc::realloc, free: libc::free }
    }
}

static HEAP: AtomicPtr<Heap> = AtomicPtr::new(null_mut());

/// The heap below the hooks; `None` before the recorder is installed.
#[inline]
pub(crate) fn current() -> Option<&'static Heap> {
    let heap = HEAP.load(Ordering::Acquire);
    // SAFETY: NULL, or a leaked box that `publish` stored.
    unsafe { heap.as_ref() }
}

/// Makes `heap` the one below the hooks, before any OpenSSL calls them.
pub(crate) fn publish(heap: Heap) {
    HEAP.store(Box::leak(Box::new(heap)), Ordering::Release);
}

/// OpenSSL's `CRYPTO_malloc_fn`.
pub type MallocFn = unsafe extern "C" fn(usize, *const c_char, c_int) -> *mut c_void;
/// OpenSSL's `CRYPTO_realloc_fn`.
pub type ReallocFn = unsafe extern "C" fn(*mut c_void, usize, *const c_char, c_int) -> *mut c_void;
/// OpenSSL's `CRYPTO_free_fn`.
pub type FreeFn = unsafe extern "C" fn(*mut c_void, *const c_char, c_int);

/// OpenSSL's `CRYPTO_set_mem_functions`: 1 when it took the functions, 0 when it is too late.
pub type Setter =
    unsafe extern "C" fn(Option<MallocFn>, Option<ReallocFn>, Option<FreeFn>) -> c_int;
/// OpenSSL's `CRYPTO_get_mem_functions`.
pub type Getter =
    unsafe extern "C" fn(*mut Option<MallocFn>, *mut Option<ReallocFn>, *mut Option<FreeFn>);

/// Functions for OpenSSL's memory, as its setter takes them.
#[derive(Clone, Copy, Debug, Default)]
pub struct MemoryFunctions {
    /// malloc.
    pub malloc: Option<MallocFn>,
    /// realloc.
    pub realloc: Option<ReallocFn>,
    /// free.
    pub free: Option<FreeFn>,
}

impl MemoryFunctions {
    /// The functions that are in an OpenSSL now.
    ///
    /// # Safety
    ///
    /// `get` is the `CRYPTO_get_mem_functions` of an OpenSSL that is loaded.
    pub unsafe fn of(get: Getter) -> MemoryFunctions {
        let (mut malloc, mut realloc, mut free) = (None, None, None);
        // SAFETY: the caller's promise; it stores three function pointers.
        unsafe { get(&raw mut malloc, &raw mut realloc, &raw mut free) };
        MemoryFunctions { malloc, realloc, free }
    }

    /// Where they are, in the order malloc, realloc, free; NULL for none.
    pub fn pointers(&self) -> [*mut (); 3] {
        [
            self.malloc.map_or(null_mut(), address_of),
            self.realloc.map_or(null_mut(), address_of),
            self.free.map_or(null_mut(), address_of),
        ]
    }
}

/// The functions of one OpenSSL through which its allocator is changed and asked for.
#[derive(Clone, Copy, Debug)]
pub struct OpensslFunctions {
    /// `CRYPTO_set_mem_functions`.
    pub set: Setter,
    /// `CRYPTO_get_mem_functions`.
    pub get: Getter,
}
