//! The few functions of OpenSSL that the workloads call: of the OpenSSL that is linked, or of the
//! distribution's libssl. The latter is loaded by name, so that building needs no headers.

use std::ffi::{CStr, c_char, c_int, c_long, c_void};

use libz_sys as _; // OpenSSL's static libcrypto calls it
use openssl_sys as _; // brings the vendored OpenSSL
use recorder::{FreeFn, MallocFn, ReallocFn};

/// The distribution's library.
const LIBSSL: &CStr = c"libssl.so.3";

/// Declares the functions once, for both ways to reach them.
macro_rules! functions {
    ($($name:ident: fn($($argument:ty),*) $(-> $answer:ty)?;)*) => {
        mod linked {
            #[allow(clippy::wildcard_imports)]
            use super::*;
            // The types are those of OpenSSL's headers, with opaque pointers.
            #[allow(clashing_extern_declarations)]
            unsafe extern "C" {
                $(pub fn $name($(_: $argument),*) $(-> $answer)?;)*
            }
        }

        /// OpenSSL's functions, under OpenSSL's names.
        #[derive(Clone, Copy)]
        #[allow(non_snake_case, missing_docs)]
        pub struct Openssl {
            $(pub $name: unsafe extern "C" fn($($argument),*) $(-> $answer)?,)*
        }

        impl Openssl {
            /// The one that this program links.
            pub fn vendored() -> Openssl {
                Openssl { $($name: linked::$name,)* }
            }

            /// The distribution's; an error says why there is none.
            pub fn distribution() -> Result<Openssl, String> {
                // SAFETY: loads a library whose constructors do nothing to others.
                let library = unsafe { libc::dlopen(LIBSSL.as_ptr(), libc::RTLD_NOW) };
                if library.is_null() {
                    return Err(format!("{LIBSSL:?} is not installed (Debian: libssl3)"));
                }
                Ok(Openssl { $($name: {
                    let name = concat!(stringify!($name), "\0");
                    // SAFETY: an open library and a C string.
                    let address = unsafe { libc::dlsym(library, name.as_ptr().cast()) };
                    if address.is_null() {
                        return Err(format!("{LIBSSL:?} has no {}", stringify!($name)));
                    }
                    // SAFETY: OpenSSL's function of this name, which has this type.
                    unsafe {
                        std::mem::transmute::<
                            *mut c_void,
                            unsafe extern "C" fn($($argument),*) $(-> $answer)?,
                        >(address)
                    }
                },)* })
            }
        }
    };
}

functions! {
    BIO_new_bio_pair: fn(*mut *mut c_void, usize, *mut *mut c_void, usize) -> c_int;
    CRYPTO_set_mem_functions: fn(Option<MallocFn>, Option<ReallocFn>, Option<FreeFn>) -> c_int;
    ERR_clear_error: fn();
    OpenSSL_version: fn(c_int) -> *const c_char;
    SSL_CTX_ctrl: fn(*mut c_void, c_int, c_long, *mut c_void) -> c_long;
    SSL_CTX_free: fn(*mut c_void);
    SSL_CTX_new: fn(*const c_void) -> *mut c_void;
    SSL_CTX_set_num_tickets: fn(*mut c_void, usize) -> c_int;
    SSL_CTX_use_PrivateKey_file: fn(*mut c_void, *const c_char, c_int) -> c_int;
    SSL_CTX_use_certificate_file: fn(*mut c_void, *const c_char, c_int) -> c_int;
    SSL_do_handshake: fn(*mut c_void) -> c_int;
    SSL_free: fn(*mut c_void);
    SSL_new: fn(*mut c_void) -> *mut c_void;
    SSL_read: fn(*mut c_void, *mut c_void, c_int) -> c_int;
    SSL_set_accept_state: fn(*mut c_void);
    SSL_set_bio: fn(*mut c_void, *mut c_void, *mut c_void);
    SSL_set_connect_state: fn(*mut c_void);
    SSL_write: fn(*mut c_void, *const c_void, c_int) -> c_int;
    TLS_client_method: fn() -> *const c_void;
    TLS_server_method: fn() -> *const c_void;
    X509_STORE_free: fn(*mut c_void);
    X509_STORE_load_locations: fn(*mut c_void, *const c_char, *const c_char) -> c_int;
    X509_STORE_new: fn() -> *mut c_void;
}

impl Openssl {
    /// What it calls itself, such as "OpenSSL 3.6.3 …".
    pub fn version(&self) -> String {
        // SAFETY: 0 asks for the version's text, a literal.
        let text = unsafe { CStr::from_ptr((self.OpenSSL_version)(0)) };
        text.to_string_lossy().into_owned()
    }
}
