//! zlib in OpenSSL: whether it is there, and the two ways of not using it.

use std::ffi::c_int;

use openssl::ssl::{SslContextBuilder, SslOptions};
use openssl_sys::{COMP_METHOD, COMP_get_type, OPENSSL_STACK};

use crate::configuration::Compression;

unsafe extern "C" {
    fn COMP_zlib() -> *const COMP_METHOD;
    fn SSL_COMP_get_compression_methods() -> *mut OPENSSL_STACK;
    fn OPENSSL_sk_zero(stack: *mut OPENSSL_STACK);
    fn OPENSSL_sk_num(stack: *const OPENSSL_STACK) -> c_int;
}

/// Compression needs security level 1 or lower; OpenSSL's default has been 2 since 3.2.
const SECURITY_LEVEL: u32 = 1;

/// Whether this OpenSSL was built with zlib.
pub fn is_available() -> bool {
    openssl::init();
    // SAFETY: both take no ownership, and COMP_get_type takes the NULL that COMP_zlib may return.
    let kind = unsafe { COMP_get_type(COMP_zlib()) };
    kind != openssl::nid::Nid::UNDEF.as_raw()
}

/// How many compression methods OpenSSL's global stack has.
pub fn method_count() -> usize {
    openssl::init();
    // SAFETY: OpenSSL is initialised; the stack is its own, or NULL, for which -1 is returned.
    let count = unsafe { OPENSSL_sk_num(SSL_COMP_get_compression_methods()) };
    usize::try_from(count).unwrap_or(0)
}

/// Takes every method off OpenSSL's global stack, as programs did before `SSL_OP_NO_COMPRESSION`.
/// This cannot be undone, and must happen before the process makes its first connection: nothing
/// locks the stack.
pub(crate) fn empty_global_stack() {
    openssl::init();
    // SAFETY: OpenSSL is initialised, the stack is its own or NULL, which is passed over. The
    // methods are not freed: they are static, or stay with OpenSSL until the process ends.
    unsafe { OPENSSL_sk_zero(SSL_COMP_get_compression_methods()) };
}

/// Sets a context up.
pub(crate) fn apply(compression: Compression, context: &mut SslContextBuilder) {
    match compression {
        Compression::Off => {
            context.set_options(SslOptions::NO_COMPRESSION);
        }
        // With an empty stack the context is that of `zlib`: the stack alone must do it.
        Compression::Zlib | Compression::Zeroed => {
            context.clear_options(SslOptions::NO_COMPRESSION);
            context.set_security_level(SECURITY_LEVEL);
        }
    }
}
