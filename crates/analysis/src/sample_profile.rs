//! Stacks and profiles for tests, shaped like those of the echo server.

use proptest::prelude::*;

use profile::{Frame, Function, Line, Location, Profile, Sample};

use crate::category::{DOMAIN_LABEL, OPENSSL_DOMAIN, RUST_DOMAIN};

/// A certificate parsed into a connection's own trust store: function and file, innermost first.
pub const CERTIFICATE: [(&str, &str); 16] = [
    ("asn1_item_embed_new", "crypto/asn1/tasn_new.c"),
    ("ossl_asn1_item_ex_new_intern", "crypto/asn1/tasn_new.c"),
    ("asn1_item_embed_d2i", "crypto/asn1/tasn_dec.c"),
    ("asn1_item_ex_d2i_intern", "crypto/asn1/tasn_dec.c"),
    ("ASN1_item_d2i", "crypto/asn1/tasn_dec.c"),
    ("d2i_X509", "crypto/x509/x_x509.c"),
    ("d2i_X509_AUX", "crypto/x509/x_x509.c"),
    ("PEM_ASN1_read_bio", "crypto/pem/pem_oth.c"),
    ("PEM_read_bio_X509", "crypto/pem/pem_x509.c"),
    ("openssl::x509::X509::stack_from_pem", "openssl-0.10.82/src/x509/mod.rs"),
    ("echo_server::trust_store::build_trust_store", "crates/echo-server/src/trust_store.rs"),
    ("echo_server::context::build_context", "crates/echo-server/src/context.rs"),
    (
        "echo_server::connection::serve_connection::{{closure}}",
        "crates/echo-server/src/connection.rs",
    ),
    ("tokio::runtime::task::core::Core<T,S>::poll", "tokio-1.54.1/src/runtime/task/core.rs"),
    ("std::sys::backtrace::__rust_begin_short_backtrace", "library/std/src/sys/backtrace.rs"),
    ("start_thread", ""),
];

/// zlib's deflate state, made in a connection's handshake.
pub const DEFLATE: [(&str, &str); 12] = [
    ("zlib_zalloc", "crypto/comp/c_zlib.c"),
    ("deflateInit2_", "libz-sys-1.1.31/src/zlib/deflate.c"),
    ("zlib_stateful_init", "crypto/comp/c_zlib.c"),
    ("COMP_CTX_new", "crypto/comp/comp_lib.c"),
    ("tls_set_compression", "ssl/record/methods/tls_common.c"),
    ("tls1_change_cipher_state", "ssl/t1_enc.c"),
    ("state_machine", "ssl/statem/statem.c"),
    ("SSL_do_handshake", "ssl/ssl_lib.c"),
    ("openssl::ssl::SslStream<S>::do_handshake", "openssl-0.10.82/src/ssl/mod.rs"),
    ("tokio_openssl::SslStream<S>::poll_accept", "tokio-openssl-0.6.5/src/lib.rs"),
    (
        "echo_server::connection::serve_connection::{{closure}}",
        "crates/echo-server/src/connection.rs",
    ),
    ("tokio::runtime::task::core::Core<T,S>::poll", "tokio-1.54.1/src/runtime/task/core.rs"),
];

/// Frames of functions and files, innermost first; lines count from 100 upwards.
pub fn stack<'a>(calls: &[(&'a str, &'a str)]) -> Vec<Frame<'a>> {
    (100..)
        .zip(calls)
        .map(|(line, (function, file))| Frame { function, file, line, address: 0 })
        .collect()
}

/// Adds a sample of the given frames, all six columns made from the blocks and bytes in use.
pub fn push(profile: &mut Profile, domain: &str, frames: &[Frame<'_>], blocks: i64, bytes: i64) {
    let values = vec![blocks, bytes, 2 * blocks, 2 * bytes, blocks, bytes];
    push_values(profile, domain, frames, values);
}

/// Adds a sample of the given frames and values.
pub fn push_values(profile: &mut Profile, domain: &str, frames: &[Frame<'_>], values: Vec<i64>) {
    let stack = frames
        .iter()
        .map(|frame| {
            let function = profile.function(Function {
                name: frame.function.to_owned(),
                system_name: frame.function.to_owned(),
                file: frame.file.to_owned(),
            });
            let lines = vec![Line { function, line: frame.line }];
            profile.location(Location { mapping: None, address: 0, lines })
        })
        .collect();
    let mut sample = Sample { stack, values, labels: Vec::new() };
    sample.set_label(DOMAIN_LABEL, domain);
    profile.push(sample);
}

/// A small profile with a certificate, zlib, and a sample of the Rust side.
pub fn echo_server() -> Profile {
    let mut profile = Profile::of_heap();
    push(&mut profile, OPENSSL_DOMAIN, &stack(&CERTIFICATE), 10, 1_840);
    push(&mut profile, OPENSSL_DOMAIN, &stack(&DEFLATE), 13, 583_312);
    let rust = [("alloc::raw_vec::RawVec<T>::grow", "library/alloc/src/raw_vec.rs")];
    push(&mut profile, RUST_DOMAIN, &stack(&rust), 1, 4_096);
    profile
}

/// Profiles of up to forty samples over a few frames, so that keys meet again.
pub fn any() -> impl Strategy<Value = Profile> {
    let calls = prop::collection::vec(prop::sample::select(DEFLATE.to_vec()), 0..4);
    let values = prop::collection::vec(-1_000_000_000_i64..1_000_000_000, 6);
    let domain = prop::sample::select(vec![OPENSSL_DOMAIN, RUST_DOMAIN]);
    prop::collection::vec((domain, calls, values), 0..40).prop_map(|samples| {
        let mut profile = Profile::of_heap();
        for (domain, calls, values) in samples {
            push_values(&mut profile, domain, &stack(&calls), values);
        }
        profile
    })
}
