//! Workload (e): loading the distribution's trust anchors into a store, and freeing it: more than
//! forty thousand small allocations each time.

use std::ffi::CStr;
use std::path::Path;
use std::ptr::null;

use crate::openssl::Openssl;

/// Mozilla's roots, as Debian installs them.
pub const FILE: &CStr = c"/etc/ssl/certs/ca-certificates.crt";

/// The file is there.
pub fn are_installed() -> bool {
    FILE.to_str().is_ok_and(|file| Path::new(file).exists())
}

/// Loads them once.
#[inline(never)]
pub fn load(openssl: &Openssl) {
    // SAFETY: OpenSSL's functions, called as it documents them.
    unsafe {
        let store = (openssl.X509_STORE_new)();
        let loaded = (openssl.X509_STORE_load_locations)(store, FILE.as_ptr(), null());
        assert_eq!(loaded, 1, "{FILE:?} holds certificates");
        (openssl.X509_STORE_free)(store);
        (openssl.ERR_clear_error)();
    }
}
