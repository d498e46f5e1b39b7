//! A stand-in for `pthread_getattr_np`, which asks malloc for memory while it holds the lock of the
//! thread that it is asked about. That is mostly the calling one, as at the start of every thread of
//! Rust's, and its first block would have the recorder ask the same: so it asks before.

use std::ffi::c_int;
use std::panic::catch_unwind;
use std::sync::atomic::Ordering;

use recorder::{AtomicFn, function_at};

use crate::dlsym;

type Get = unsafe extern "C" fn(libc::pthread_t, *mut libc::pthread_attr_t) -> c_int;

static REAL: AtomicFn<Get> = AtomicFn::none();

/// The C library's, after the recorder's turn.
#[cfg(not(test))]
#[unsafe(no_mangle)]
unsafe extern "C" fn pthread_getattr_np(
    thread: libc::pthread_t,
    attributes: *mut libc::pthread_attr_t,
) -> c_int {
    // SAFETY: the caller's arguments, passed on.
    unsafe { get(thread, attributes) }
}

/// The same for slots that are led here.
pub(crate) unsafe extern "C" fn stand_in(
    thread: libc::pthread_t,
    attributes: *mut libc::pthread_attr_t,
) -> c_int {
    // SAFETY: the caller's arguments, passed on.
    unsafe { get(thread, attributes) }
}

unsafe fn get(thread: libc::pthread_t, attributes: *mut libc::pthread_attr_t) -> c_int {
    let ready = catch_unwind(recorder::prepare_thread).unwrap_or(false);
    let find = || {
        // SAFETY: a search behind this library, by a C string.
        let found = unsafe { dlsym::real()(libc::RTLD_NEXT, c"pthread_getattr_np".as_ptr()) };
        // SAFETY: the C library's function of this name, which has this type.
        let found = unsafe { function_at::<Get>(found as usize) };
        REAL.store(found, Ordering::Relaxed);
        found
    };
    let Some(real) = REAL.load(Ordering::Relaxed).or_else(find) else { return libc::ENOSYS };
    // SAFETY: the caller's arguments, passed on.
    let ask = || unsafe { real(thread, attributes) };
    if ready { ask() } else { recorder::own_work(ask) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_is_the_c_librarys() {
        // SAFETY: the calling thread, and a place that is destroyed once.
        unsafe {
            let mut attributes: libc::pthread_attr_t = std::mem::zeroed();
            assert_eq!(get(libc::pthread_self(), &raw mut attributes), 0);
            let (mut low, mut bytes) = (std::ptr::null_mut(), 0);
            libc::pthread_attr_getstack(&raw const attributes, &raw mut low, &raw mut bytes);
            libc::pthread_attr_destroy(&raw mut attributes);
            let here = (&raw const low) as usize;
            assert!((low as usize..low as usize + bytes).contains(&here));
        }
    }
}
