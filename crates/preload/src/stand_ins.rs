//! Stand-ins for OpenSSL's `CRYPTO_set_mem_functions` and `CRYPTO_get_mem_functions`, for programs
//! that have memory functions of their own.
//!
//! While the recorder's functions are in OpenSSL, OpenSSL would let anybody replace them at any
//! time; without the recorder it refuses after its first allocation. The stand-ins answer as
//! OpenSSL would by itself: a program that is refused by itself is refused under the recorder, as
//! its functions would free blocks that are not theirs; and functions that are taken are called
//! below the recorder's.

use std::ffi::{c_int, c_void};
use std::panic::catch_unwind;

use recorder::{
    FreeFn, Getter, MOST_OPENSSLS, MallocFn, MemoryFunctions, OpensslNumber, ReallocFn, Setter,
    function_at,
};

use crate::openssl::{GETTER, SETTER};
use crate::reached::{Reached, reached_from};
use crate::scan;

/// `CRYPTO_set_mem_functions` of the OpenSSL that the caller means; who that is tells its return
/// address, which goes along as a fourth argument.
#[cfg(not(test))]
#[unsafe(no_mangle)]
#[unsafe(naked)]
unsafe extern "C" fn CRYPTO_set_mem_functions(
    malloc: Option<MallocFn>,
    realloc: Option<ReallocFn>,
    free: Option<FreeFn>,
) -> c_int {
    #[cfg(target_arch = "x86_64")]
    core::arch::naked_asm!("mov rcx, [rsp]", "jmp {set}", set = sym set);
    #[cfg(target_arch = "aarch64")]
    core::arch::naked_asm!("mov x3, x30", "b {set}", set = sym set);
}

/// `CRYPTO_get_mem_functions`, in the same way.
#[cfg(not(test))]
#[unsafe(no_mangle)]
#[unsafe(naked)]
unsafe extern "C" fn CRYPTO_get_mem_functions(
    malloc: *mut Option<MallocFn>,
    realloc: *mut Option<ReallocFn>,
    free: *mut Option<FreeFn>,
) {
    #[cfg(target_arch = "x86_64")]
    core::arch::naked_asm!("mov rcx, [rsp]", "jmp {get}", get = sym get);
    #[cfg(target_arch = "aarch64")]
    core::arch::naked_asm!("mov x3, x30", "b {get}", get = sym get);
}

#[cfg_attr(test, allow(dead_code))]
unsafe extern "C" fn set(
    malloc: Option<MallocFn>,
    realloc: Option<ReallocFn>,
    free: Option<FreeFn>,
    caller: usize,
) -> c_int {
    let functions = MemoryFunctions { malloc, realloc, free };
    let answer = catch_unwind(|| match reached_from(caller, SETTER) {
        Some(Reached::Recorded(number)) => c_int::from(set_below(number, functions)),
        Some(Reached::Other(real)) => {
            // SAFETY: the address of the function of this name in an OpenSSL, which has this type.
            let real = unsafe { function_at::<Setter>(real) };
            // SAFETY: the caller's functions, passed on.
            real.map_or(0, |real| unsafe { real(malloc, realloc, free) })
        }
        None => 0,
    });
    answer.unwrap_or(0)
}

fn set_below(number: OpensslNumber, functions: MemoryFunctions) -> bool {
    let taken = number.set_below(functions);
    if taken {
        scan::chained(number);
    }
    taken
}

#[cfg_attr(test, allow(dead_code))]
unsafe extern "C" fn get(
    malloc: *mut Option<MallocFn>,
    realloc: *mut Option<ReallocFn>,
    free: *mut Option<FreeFn>,
    caller: usize,
) {
    let _ = catch_unwind(|| match reached_from(caller, GETTER) {
        // SAFETY: the caller's places, as OpenSSL takes them.
        Some(Reached::Recorded(number)) => unsafe { tell(number, malloc, realloc, free) },
        Some(Reached::Other(real)) => {
            // SAFETY: the address of the function of this name in an OpenSSL, which has this type.
            let real = unsafe { function_at::<Getter>(real) };
            if let Some(real) = real {
                // SAFETY: the caller's places, passed on.
                unsafe { real(malloc, realloc, free) };
            }
        }
        None => {}
    });
}

/// Stores what would be in the OpenSSL without the recorder.
///
/// # Safety
///
/// Each place is NULL or may be stored to.
unsafe fn tell(
    number: OpensslNumber,
    malloc: *mut Option<MallocFn>,
    realloc: *mut Option<ReallocFn>,
    free: *mut Option<FreeFn>,
) {
    let functions = number.below();
    // SAFETY: the caller's promise.
    unsafe {
        if let Some(place) = malloc.as_mut() {
            *place = functions.malloc;
        }
        if let Some(place) = realloc.as_mut() {
            *place = functions.realloc;
        }
        if let Some(place) = free.as_mut() {
            *place = functions.free;
        }
    }
}

/// What to do in place of `dlsym`, which has found the function at `found`: when that is the setter
/// or getter of a recorded OpenSSL, a function of the same type that answers with our stand-in.
pub(crate) fn answer(found: usize) -> Option<*mut c_void> {
    let (number, name) = scan::recorded_function(found)?;
    let number = usize::from(number.get());
    let answers = if name == SETTER { &SETTERS } else { &GETTERS };
    answers.get(number).map(|answer| *answer as *mut c_void)
}

type Answer = extern "C" fn() -> *mut c_void;

/// For each OpenSSL of a process, by number.
const SETTERS: [Answer; MOST_OPENSSLS] = [
    setter_of::<0>,
    setter_of::<1>,
    setter_of::<2>,
    setter_of::<3>,
    setter_of::<4>,
    setter_of::<5>,
    setter_of::<6>,
    setter_of::<7>,
];
const GETTERS: [Answer; MOST_OPENSSLS] = [
    getter_of::<0>,
    getter_of::<1>,
    getter_of::<2>,
    getter_of::<3>,
    getter_of::<4>,
    getter_of::<5>,
    getter_of::<6>,
    getter_of::<7>,
];

extern "C" fn setter_of<const N: u8>() -> *mut c_void {
    unsafe extern "C" fn set<const N: u8>(
        malloc: Option<MallocFn>,
        realloc: Option<ReallocFn>,
        free: Option<FreeFn>,
    ) -> c_int {
        let functions = MemoryFunctions { malloc, realloc, free };
        let set = || OpensslNumber::new(N).is_some_and(|number| set_below(number, functions));
        c_int::from(catch_unwind(set).unwrap_or(false))
    }
    set::<N> as *mut c_void
}

extern "C" fn getter_of<const N: u8>() -> *mut c_void {
    unsafe extern "C" fn get<const N: u8>(
        malloc: *mut Option<MallocFn>,
        realloc: *mut Option<ReallocFn>,
        free: *mut Option<FreeFn>,
    ) {
        if let Some(number) = OpensslNumber::new(N) {
            // SAFETY: the caller's places, as OpenSSL takes them.
            unsafe { tell(number, malloc, realloc, free) };
        }
    }
    get::<N> as *mut c_void
}
