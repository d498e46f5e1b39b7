//! Puts the recorder in front of the allocator that Python's objects come from, where that is wanted.
//!
//! The interpreter exports a function for it, and takes it before it has begun: then there is no
//! object yet that comes from elsewhere, and no other thread. One that is loaded later, or told by
//! its environment to take another allocator (`PYTHONMALLOC`), is left alone.

use std::ffi::{CStr, c_int, c_void};
use std::mem::MaybeUninit;
use std::os::unix::ffi::OsStrExt;
use std::sync::atomic::{AtomicBool, Ordering};

use contract::environment;
use recorder::{PythonAllocator, function_at, python_allocator};

use crate::dlsym;

/// CPython's `PyMem_GetAllocator` and `PyMem_SetAllocator`, for one of its domains.
type Get = unsafe extern "C" fn(c_int, *mut PythonAllocator);
type Set = unsafe extern "C" fn(c_int, *mut PythonAllocator);

/// CPython's domains for what its code needs and for objects. The third one, 0, is malloc.
const DOMAINS: [c_int; 2] = [1, 2];

/// What `PYTHONMALLOC` begins with where the mimalloc in CPython is asked.
const MIMALLOC: &[u8] = b"mimalloc";

/// In a process that was attached to, the variables are not looked at.
static MAY_ASK_MIMALLOC: AtomicBool = AtomicBool::new(true);

/// At the start of the process.
pub(crate) fn read_environment() {
    let chosen = std::env::var_os("PYTHONMALLOC").unwrap_or_default();
    MAY_ASK_MIMALLOC.store(chosen.as_bytes().starts_with(MIMALLOC), Ordering::Relaxed);
}

/// Whether an ordinary build of CPython may take objects from the mimalloc that it has.
pub(crate) fn may_ask_mimalloc() -> bool {
    MAY_ASK_MIMALLOC.load(Ordering::Relaxed)
}

/// Whether Python's objects are to be recorded, if the program runs Python and more is recorded than
/// OpenSSL's memory.
pub(crate) fn is_wanted() -> bool {
    std::env::var_os(environment::PYTHON).is_some_and(|it| it == "1")
}

/// In the constructor of a program that runs Python, when its own code has not run yet: has what
/// counts called, which passes everything on at first.
pub(crate) fn get_ready_to_count() {
    if !is_wanted() {
        return;
    }
    // SAFETY: CPython's function of this name is not called.
    if unsafe { find::<Get>(c"PyMem_Calloc") }.is_none() {
        // Its allocators of before 3.5 have a field less.
        return;
    }
    // SAFETY: CPython's functions of these names have these types in every release since 3.5.
    let found = unsafe { (find::<Get>(c"PyMem_GetAllocator"), find::<Set>(c"PyMem_SetAllocator")) };
    let (Some(get), Some(set)) = found else { return };
    for domain in DOMAINS {
        let mut real = MaybeUninit::uninit();
        // SAFETY: the interpreter's own function, which stores five words for these domains, and may
        // be called before it has begun, as its documents say.
        let real = unsafe {
            get(domain, real.as_mut_ptr());
            real.assume_init()
        };
        // SAFETY: the interpreter's own allocator.
        let mut counting = unsafe { python_allocator(real) };
        // SAFETY: as for `get`; it copies what it is given.
        unsafe { set(domain, &raw mut counting) };
    }
}

/// The function that a program that runs Python exports under this name.
///
/// # Safety
///
/// It is of this type.
unsafe fn find<F: recorder::FunctionPointer>(name: &CStr) -> Option<F> {
    // SAFETY: a search among all objects, by a C string.
    let found: *mut c_void = unsafe { dlsym::real()(libc::RTLD_DEFAULT, name.as_ptr()) };
    // SAFETY: NULL or the function of this name: the caller's promise.
    unsafe { function_at(found as usize) }
}
