//! The fixes, as OpenSSL's headers number the settings.

use std::ffi::{CStr, c_int, c_long, c_void};

use contract::Fix;

use crate::fixes::openssl::{Openssl, Way};

const SSL_CTRL_MODE: c_int = 33;
const SSL_MODE_RELEASE_BUFFERS: c_long = 0x10;
const SSL_CTRL_SET_SESS_CACHE_MODE: c_int = 44;
const SSL_SESS_CACHE_OFF: c_long = 0;
const SSL_CTRL_SET_MAX_SEND_FRAGMENT: c_int = 52;
const SMALL: c_long = 4_096;
const SSL_CTRL_SET_GROUPS_LIST: c_int = 92;
const GROUPS: &CStr = c"X25519:P-256";
const SSL_OP_NO_COMPRESSION: u64 = 1 << 17;

/// A linker leaves out what a program does not call.
const MISSING: &str = "the function that sets it is not in this OpenSSL";

/// Applies the fix before `context` makes its next connection, if it is one of the context's or the
/// process's settings.
pub(super) fn before_connection(
    fix: Fix,
    openssl: &Openssl,
    context: *mut c_void,
) -> Option<Result<(), &'static str>> {
    match fix {
        Fix::NoSessionCache if !context.is_null() => Some(no_session_cache(openssl, context)),
        Fix::EmptyCompressionMethods => Some(empty_compression_methods(openssl)),
        _ => None,
    }
}

/// Applies the fix to the connection or context that was just made; which one depends on the way.
/// `None` when it is a setting of another.
pub(super) fn apply(
    fix: Fix,
    openssl: &Openssl,
    made: *mut c_void,
) -> Option<Result<(), &'static str>> {
    let control = |number: c_int, value: c_long, pointer: *mut c_void| match openssl.control {
        // SAFETY: what was just made, and a control with the argument that it takes.
        Some(control) => Ok(unsafe { control(made, number, value, pointer) }),
        None => Err(MISSING),
    };
    let taken = |answer: c_long| if answer > 0 { Ok(()) } else { Err("OpenSSL refused it") };
    let nothing = std::ptr::null_mut();
    Some(match fix {
        Fix::ReleaseBuffers => {
            let bits = control(SSL_CTRL_MODE, SSL_MODE_RELEASE_BUFFERS, nothing);
            bits.and_then(|bits| taken(bits & SSL_MODE_RELEASE_BUFFERS))
        }
        Fix::NoCompression => match openssl.set_options {
            Some(set) => {
                // SAFETY: what was just made.
                unsafe { set(made, SSL_OP_NO_COMPRESSION) };
                Ok(())
            }
            None => Err(MISSING),
        },
        Fix::NoMlkem => {
            let groups = GROUPS.as_ptr().cast_mut().cast();
            control(SSL_CTRL_SET_GROUPS_LIST, 0, groups).and_then(taken)
        }
        Fix::SmallFragments => {
            control(SSL_CTRL_SET_MAX_SEND_FRAGMENT, SMALL, nothing).and_then(taken)
        }
        Fix::NoTickets => match openssl.set_tickets {
            // SAFETY: what was just made.
            Some(set) => taken(c_long::from(unsafe { set(made, 0) })),
            None => Err(MISSING),
        },
        Fix::NoSessionCache if openssl.way == Way::Jump => no_session_cache(openssl, made),
        Fix::EmptyCompressionMethods if openssl.way == Way::Jump => {
            empty_compression_methods(openssl)
        }
        // Of the context, or of the process; the last two, which nothing reaches from outside, are
        // never asked for here.
        Fix::NoSessionCache
        | Fix::EmptyCompressionMethods
        | Fix::SharedContext
        | Fix::SharedStore
        | Fix::OneArena
        | Fix::EarlyTrim => return None,
    })
}

fn no_session_cache(openssl: &Openssl, context: *mut c_void) -> Result<(), &'static str> {
    let control = openssl.control_context.ok_or(MISSING)?;
    let (number, off) = (SSL_CTRL_SET_SESS_CACHE_MODE, SSL_SESS_CACHE_OFF);
    // SAFETY: a live context, and a control that takes a number.
    unsafe { control(context, number, off, std::ptr::null_mut()) };
    Ok(())
}

fn empty_compression_methods(openssl: &Openssl) -> Result<(), &'static str> {
    let (Some(methods), Some(empty)) = (openssl.compression_methods, openssl.empty_stack) else {
        return Err(MISSING);
    };
    // SAFETY: OpenSSL's own stack or NULL, which is passed over.
    unsafe { empty(methods()) };
    Ok(())
}
