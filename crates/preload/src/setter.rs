//! A stand-in for OpenSSL's `CRYPTO_set_mem_functions`, for programs that call it themselves.
//!
//! While the recorder's functions are in OpenSSL, OpenSSL would let anybody replace them at any
//! time; without the recorder it refuses after its first allocation. A program that is refused by
//! itself must be refused under the recorder: its functions would free blocks that are not theirs.

use std::ffi::c_int;

use recorder::{FreeFn, MallocFn, ReallocFn, Setter};

use crate::dynamic_symbols::DynamicSymbols;
use crate::{object, scan};

/// What OpenSSL by itself would say, and do: before its first allocation the program's functions
/// are put into it, and it is recorded no more.
#[cfg(not(test))]
#[unsafe(no_mangle)]
unsafe extern "C" fn CRYPTO_set_mem_functions(
    malloc: Option<MallocFn>,
    realloc: Option<ReallocFn>,
    free: Option<FreeFn>,
) -> c_int {
    // SAFETY: the caller's functions, passed on.
    std::panic::catch_unwind(|| unsafe { set(malloc, realloc, free) }).unwrap_or(0)
}

#[cfg_attr(test, allow(dead_code))]
unsafe fn set(malloc: Option<MallocFn>, realloc: Option<ReallocFn>, free: Option<FreeFn>) -> c_int {
    let (objects, _) = object::loaded();
    // The one that the program would have reached without us: the first in the loader's order.
    let real = objects
        .iter()
        .filter(|object| !object.is_own())
        .find_map(|object| Some((object, DynamicSymbols::of(object)?.function(scan::SETTER)?)));
    let Some((object, real)) = real else { return 0 };
    let recorded = scan::is_recorded(real);
    if recorded && recorder::has_begun() {
        return 0;
    }
    // SAFETY: the address of the function of this name in an OpenSSL, which has this type.
    let set = unsafe { std::mem::transmute::<usize, Setter>(real) };
    // SAFETY: the caller's functions, passed on.
    let taken = unsafe { set(malloc, realloc, free) };
    if recorded && taken != 0 {
        scan::with_report(|report| report.replaced(&scan::name(object)));
    }
    taken
}
