//! Mozilla's root certificates, as PEM text and as an `X509_STORE`.

use std::ffi::c_void;
use std::fmt::Write as _;

use foreign_types::ForeignType;
use openssl::error::ErrorStack;
use openssl::ssl::SslContextBuilder;
use openssl::x509::X509;
use openssl::x509::store::{X509Store, X509StoreBuilder};

unsafe extern "C" {
    fn SSL_CTX_set1_cert_store(context: *mut openssl_sys::SSL_CTX, store: *mut c_void);
}

/// All of Mozilla's roots as PEM text, the form in which programs are handed them. Made by hand:
/// OpenSSL need not parse each certificate only to write it down again.
pub(crate) fn mozilla_roots_pem() -> String {
    let mut text = String::new();
    for certificate in webpki_root_certs::TLS_SERVER_ROOT_CERTS {
        let encoded = openssl::base64::encode_block(certificate);
        text.push_str("-----BEGIN CERTIFICATE-----\n");
        for line in encoded.as_bytes().chunks(64) {
            let line = std::str::from_utf8(line).expect("base64 is ASCII");
            writeln!(text, "{line}").expect("a String takes everything");
        }
        text.push_str("-----END CERTIFICATE-----\n");
    }
    text
}

/// Parses certificates from PEM text into a new store. Named, and kept out of line, because this
/// is the function that a profile of `node-0.4` has to show.
#[inline(never)]
pub(crate) fn build_trust_store(
    roots_pem: &str,
    more: Option<&X509>,
) -> Result<X509Store, ErrorStack> {
    let mut store = X509StoreBuilder::new()?;
    for certificate in X509::stack_from_pem(roots_pem.as_bytes())? {
        store.add_cert(certificate)?;
    }
    if let Some(certificate) = more {
        store.add_cert(certificate.clone())?;
    }
    Ok(store.build())
}

/// Makes a context use a store that others use too.
pub(crate) fn share_store(context: &mut SslContextBuilder, store: &X509Store) {
    // SAFETY: both pointers are live. `set1` takes a reference of its own to the store and drops
    // that to the context's previous one. Nobody changes the store after this: `X509Store` offers
    // no way to.
    unsafe { SSL_CTX_set1_cert_store(context.as_ptr(), store.as_ptr().cast()) };
}
