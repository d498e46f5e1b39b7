//! What runs in the place of OpenSSL's `SSL_new` and `SSL_CTX_new`: the object is OpenSSL's, the
//! settings are ours. One of each for every OpenSSL of a process, by its place.

use std::ffi::c_void;
use std::panic::catch_unwind;

use recorder::function_at;

use crate::fixes::openssl::{MOST, New, Openssl};
use crate::fixes::reached::reached;
use crate::fixes::settings;
use crate::fixes::wanted::wanted;

type Made = unsafe extern "C" fn(*mut c_void) -> *mut c_void;

const CONNECTIONS: [Made; MOST] = [
    connection::<0>,
    connection::<1>,
    connection::<2>,
    connection::<3>,
    connection::<4>,
    connection::<5>,
    connection::<6>,
    connection::<7>,
];

const CONTEXTS: [Made; MOST] = [
    context::<0>,
    context::<1>,
    context::<2>,
    context::<3>,
    context::<4>,
    context::<5>,
    context::<6>,
    context::<7>,
];

/// The address of the stand-in for `SSL_new` of the OpenSSL at this place.
pub(super) fn new(at: usize) -> usize {
    CONNECTIONS[at] as usize
}

/// The address of the stand-in for `SSL_CTX_new`.
pub(super) fn context_new(at: usize) -> usize {
    CONTEXTS[at] as usize
}

/// Stands in for `SSL_new`.
unsafe extern "C" fn connection<const AT: usize>(context: *mut c_void) -> *mut c_void {
    // Slots lead here only once this is set.
    let Some(openssl) = reached(AT) else { return std::ptr::null_mut() };
    let _ = catch_unwind(|| before(openssl, context));
    // SAFETY: the address of SSL_new in an OpenSSL, which has this type.
    let Some(new) = (unsafe { function_at::<New>(openssl.new) }) else {
        return std::ptr::null_mut();
    };
    // SAFETY: the caller's argument, passed on.
    let made = unsafe { new(context) };
    let _ = catch_unwind(|| after(openssl, made));
    made
}

/// Stands in for `SSL_CTX_new`, which from 3.0 on is `SSL_CTX_new_ex` of OpenSSL's own library
/// context without properties.
unsafe extern "C" fn context<const AT: usize>(method: *mut c_void) -> *mut c_void {
    // The jump is written only once this is set.
    let openssl = reached(AT);
    let Some((openssl, new)) = openssl.and_then(|openssl| Some((openssl, openssl.new_context?)))
    else {
        return std::ptr::null_mut();
    };
    // SAFETY: the caller's method, with what SSL_CTX_new itself passes.
    let made = unsafe { new(std::ptr::null_mut(), std::ptr::null(), method) };
    let _ = catch_unwind(|| after(openssl, made));
    made
}

/// Settings of the context and of the process.
fn before(openssl: &Openssl, context: *mut c_void) {
    let Some(wanted) = wanted() else { return };
    for fix in &wanted.fixes {
        if let Some(result) = settings::before_connection(*fix, openssl, context) {
            wanted.report.tried(openssl, *fix, result);
        }
    }
}

/// Settings of what was made, if anything was.
fn after(openssl: &Openssl, made: *mut c_void) {
    let Some(wanted) = wanted().filter(|_| !made.is_null()) else { return };
    for fix in &wanted.fixes {
        if let Some(result) = settings::apply(*fix, openssl, made) {
            wanted.report.tried(openssl, *fix, result);
        }
    }
}
