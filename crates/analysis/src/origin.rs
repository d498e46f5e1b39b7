//! Where a frame comes from: OpenSSL, the program, a binding between the two, or a runtime.

use profile::Frame;

use crate::category;
use crate::interpreter;
use crate::short_name::{c_name, is_named, root_crate};

/// Who wrote the function of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// OpenSSL.
    OpenSsl,
    /// A library under OpenSSL, such as zlib.
    BelowOpenSsl,
    /// A wrapper around OpenSSL, such as the crate `openssl`.
    Binding,
    /// The standard library, an async runtime, an interpreter, the C library's thread and process
    /// start.
    Runtime,
    /// The profiled program.
    Program,
    /// Neither name nor file is known.
    Unknown,
}

impl Origin {
    /// Judges by the source file where it is known, else by the name.
    pub fn of(frame: &Frame<'_>) -> Origin {
        if frame.function.is_empty() && frame.file.is_empty() {
            return Origin::Unknown;
        }
        if category::of_source(frame.file, frame.function).is_some() {
            return Origin::OpenSsl;
        }
        if interpreter::carries(frame) {
            return Origin::Runtime;
        }
        // What has no name is the library's that it lies in.
        if lies_in_openssl(frame.function) {
            return Origin::OpenSsl;
        }
        // The file is the better witness: names of inlined functions may have lost their paths.
        match crate_of_file(frame.file).as_deref().or_else(|| root_crate(frame.function)) {
            Some(root) if BINDINGS.contains(&root) => Origin::Binding,
            Some(root) if RUNTIMES.contains(&root) => Origin::Runtime,
            Some(_) => Origin::Program,
            None => of_c_function(c_name(frame.function), frame.file),
        }
    }
}

/// The crate that a Rust source file belongs to, where its path says so:
/// `tokio-1.54.1/src/x.rs` and `library/std/src/x.rs`; the first folder for the program's own
/// files.
fn crate_of_file(file: &str) -> Option<String> {
    let path = file.strip_suffix(".rs")?;
    if path.starts_with("library/") {
        return Some("std".to_owned());
    }
    let folder = path.split('/').next().unwrap_or(path);
    let version = folder
        .match_indices('-')
        .find(|(at, _)| folder[at + 1..].starts_with(|next: char| next.is_ascii_digit()));
    Some(version.map_or(folder, |(at, _)| &folder[..at]).replace('-', "_"))
}

/// A C function whose file is not one of OpenSSL's.
fn of_c_function(function: &str, file: &str) -> Origin {
    let begins = |list: &[&str]| list.iter().any(|beginning| function.starts_with(beginning));
    if function.starts_with('[') {
        // `[truncated]` and `[dropped sites]` stand for what is not known.
        return Origin::Unknown;
    }
    // Go's own has that name as its package.
    if RUNTIME_FUNCTIONS.contains(&function)
        || begins(&["__rust", "__libc_start", "rust_", "runtime."])
    {
        return Origin::Runtime;
    }
    if ["zlib", "zstd", "brotli"].iter().any(|library| file.contains(library))
        || begins(&["deflate", "inflate", "ZSTD_", "Brotli"])
    {
        return Origin::BelowOpenSsl;
    }
    // Without debug information the name is all there is.
    if file.is_empty() && begins(OPENSSL_PREFIXES) {
        return Origin::OpenSsl;
    }
    Origin::Program
}

/// Whether it is a place in an OpenSSL, without a name.
fn lies_in_openssl(function: &str) -> bool {
    !is_named(function) && OPENSSL_LIBRARIES.iter().any(|file| function.starts_with(file))
}

/// How the files begin that an OpenSSL lies in.
const OPENSSL_LIBRARIES: [&str; 2] = ["libcrypto.", "libssl."];

/// Crates that only carry calls from a program to OpenSSL.
const BINDINGS: &[&str] = &[
    "foreign_types",
    "foreign_types_shared",
    "hyper_openssl",
    "native_tls",
    "openssl",
    "openssl_sys",
    "postgres_openssl",
    "tokio_native_tls",
    "tokio_openssl",
];

/// Crates that run a program without saying anything about it.
const RUNTIMES: &[&str] = &[
    "alloc",
    "async_std",
    "backtrace",
    "core",
    "futures",
    "futures_channel",
    "futures_core",
    "futures_executor",
    "futures_util",
    "hashbrown",
    "mio",
    "parking_lot",
    "pin_project_lite",
    "rayon",
    "rayon_core",
    "smol",
    "std",
    "tikv_jemallocator",
    "tokio",
    "tokio_util",
];

/// Functions with which every thread or process begins.
const RUNTIME_FUNCTIONS: &[&str] = &[
    "__clone",
    "__clone3",
    "__pthread_once_slow",
    "_start",
    "clone",
    "clone3",
    "main",
    "pthread_once",
    "start_thread",
];

/// How OpenSSL's functions begin.
const OPENSSL_PREFIXES: &[&str] = &[
    "ADMISSION",
    "ASN1_",
    "ASYNC_",
    "AUTHORITY_",
    "BASIC_CONSTRAINTS_",
    "BIO_",
    "BN_",
    "BUF_",
    "CERTIFICATEPOLICIES_",
    "CMAC_",
    "CMS_",
    "COMP_",
    "CONF_",
    "CRL_DIST_POINTS_",
    "CRYPTO_",
    "CTLOG_",
    "CT_POLICY_",
    "DH_",
    "DHparams_",
    "DIST_POINT_",
    "DSA_",
    "DSO_",
    "DTLS_",
    "DTLSv1_",
    "ECDH_",
    "ECDSA_",
    "ECPARAMETERS_",
    "ECPKPARAMETERS_",
    "EC_",
    "ENGINE_",
    "ERR_",
    "ESS_",
    "EVP_",
    "EXTENDED_KEY_USAGE_",
    "GENERAL_NAME",
    "GENERAL_SUBTREE_",
    "HMAC_",
    "NAME_CONSTRAINTS_",
    "NCONF_",
    "NETSCAPE_",
    "OBJ_",
    "OCSP_",
    "OPENSSL_",
    "OSSL_",
    "OpenSSL_",
    "PEM_",
    "PKCS",
    "POLICYINFO_",
    "RAND_",
    "RSA_",
    "SCT_",
    "SMIME_",
    "SRP_",
    "SSL_",
    "TLS_",
    "TLSv1_",
    "TXT_DB_",
    "X509",
    "a2i_",
    "asn1_",
    "b2i_",
    "bio_",
    "bn_",
    "d2i_",
    "decoder_",
    "drbg_",
    "dtls1_",
    "dtls_",
    "eckey_",
    "ecx_",
    "evp_",
    "i2a_",
    "i2b_",
    "i2d_",
    "i2s_",
    "i2v_",
    "inner_evp_",
    "o2i_",
    "ossl_",
    "put_evp_",
    "read_state_machine",
    "rsa_cb",
    "rsa_new_intern",
    "rsa_priv_",
    "rsa_pub_",
    "s2i_",
    "ssl3_",
    "ssl_",
    "state_machine",
    "tls1_",
    "tls_",
    "v2i_",
    "x509_",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_told_apart_by_file_and_by_name() {
        for (function, file, origin) in [
            ("SSL_new", "ssl/ssl_lib.c", Origin::OpenSsl),
            ("SSL_new", "", Origin::OpenSsl),
            ("deflateInit2_", "libz-sys-1.1.31/src/zlib/deflate.c", Origin::BelowOpenSsl),
            ("deflateInit2_", "", Origin::BelowOpenSsl),
            ("openssl::ssl::Ssl::new", "openssl-0.10.82/src/ssl/mod.rs", Origin::Binding),
            ("<tokio::io::Poll as core::future::Future>::poll", "", Origin::Runtime),
            ("std::rt::lang_start", "library/std/src/rt.rs", Origin::Runtime),
            ("{closure#0}", "library/std/src/rt.rs", Origin::Runtime),
            ("poll<F>", "tokio-1.54.1/src/task.rs", Origin::Runtime),
            ("accept<S>", "tokio-openssl-0.6.5/src/lib.rs", Origin::Binding),
            ("serve", "crates/echo-server/src/serve.rs", Origin::Program),
            ("start_thread", "", Origin::Runtime),
            ("__libc_start_call_main", "", Origin::Runtime),
            ("echo_server::serve::{{closure}}", "crates/x/src/serve.rs", Origin::Program),
            ("runtime.main", "/usr/lib/go-1.19/src/runtime/proc.go", Origin::Runtime),
            ("main.work", "/srv/main.go", Origin::Program),
            ("ngx_ssl_create_connection", "src/event/ngx_event_openssl.c", Origin::Program),
            ("[truncated]", "", Origin::Unknown),
            ("", "", Origin::Unknown),
        ] {
            let frame = Frame { function, file, line: 0, address: 0 };
            assert_eq!(Origin::of(&frame), origin, "{function} in {file:?}");
        }
    }
}
