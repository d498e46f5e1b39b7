//! One file for each rule.

pub mod bio_pairs;
pub mod compression_allowed;
pub mod compression_negotiated;
pub mod context_per_connection;
pub mod dtls_handshake_buffer_kept;
pub mod dtls_record_buffers_kept;
pub mod mlkem_key_kept;
pub mod only_grows;
pub mod oversized_read_buffer;
pub mod peer_chains_kept;
pub mod record_buffers_kept;
pub mod session_cache_filling;
pub mod stays_after_close;
pub mod thread_state;
pub mod trust_store_parsed_again;

use crate::diagnosis::case::Case;
use crate::diagnosis::holding::{Holding, is_one_of};

/// A read or write buffer of the record layer, but not the buffer of decompressed records.
fn is_record_buffer(held: &Holding) -> bool {
    let leaf = held.leaf();
    held.category == "tls.record_buffers"
        && leaf.file != "ssl/record/ssl3_record.c"
        && !leaf.function.ends_with("do_uncompress")
}

/// The connections speak DTLS: each has state that only DTLS has.
fn is_dtls(case: &Case) -> bool {
    let states = case.amount(|held| held.leaf().file == "ssl/d1_lib.c");
    case.per_connection(states.blocks).is_some_and(|each| each >= 0.5)
}

/// Functions that read certificates, a store's or a peer's.
const CERTIFICATE_READERS: [&str; 4] = ["d2i_X509", "d2i_X509_*", "X509_new*", "X509_dup"];

/// Functions under which certificates come from files or programs, not from a handshake.
const LOADERS: [&str; 8] = [
    "PEM_*",
    "SSL_CTX_*",
    "X509_LOOKUP_*",
    "X509_STORE_add_*",
    "X509_STORE_load_*",
    "X509_STORE_set_default_*",
    "X509_load_*",
    "d2i_X509_bio",
];

/// Functions in which a handshake goes on.
const HANDSHAKES: [&str; 13] = [
    "SSL_accept",
    "SSL_connect",
    "SSL_do_handshake",
    "SSL_peek*",
    "SSL_read*",
    "SSL_write*",
    "state_machine",
    "tls_post_process_*",
    "tls_process_*",
    "tls_get_message_*",
    "DTLSv1_listen",
    "ssl3_get_*certificate",
    "ossl_statem_*",
];

/// Whether the holding belongs to a certificate that a peer sent: between the certificate and the
/// handshake nothing loads certificates.
fn is_of_peer_certificate(held: &Holding) -> bool {
    let Some(reader) = held.first_of(&CERTIFICATE_READERS) else { return false };
    let outside = &held.calls[reader..];
    let at = |names: &[&str]| outside.iter().position(|call| is_one_of(&call.function, names));
    match (at(&HANDSHAKES), at(&LOADERS)) {
        (Some(handshake), Some(loader)) => handshake < loader,
        (handshake, None) => handshake.is_some(),
        (None, Some(_)) => false,
    }
}

/// Whether the holding belongs to a trust store or to a certificate read for one: not to a peer's
/// certificate, and not to the server's own.
fn is_of_trust_store(held: &Holding) -> bool {
    const STORES: [&str; 8] = [
        "SSL_CTX_load_verify_*",
        "SSL_CTX_set_default_verify_*",
        "X509_LOOKUP_*",
        "X509_STORE_add_*",
        "X509_STORE_load_*",
        "X509_STORE_new",
        "X509_STORE_set_default_*",
        "X509_load_*",
    ];
    const OWN: [&str; 4] =
        ["SSL_CTX_use_*", "SSL_use_*", "SSL_CTX_add*_chain_cert", "SSL_add*_chain_cert"];
    const READERS: [&str; 5] =
        ["d2i_X509", "d2i_X509_*", "PEM_read_bio_X509*", "PEM_X509_INFO_*", "PEM_read_X509*"];
    if held.passes_function(&OWN) || is_of_peer_certificate(held) {
        return false;
    }
    // The store that every context is born with is the context's.
    let born = held.passes_function(&["X509_STORE_new"]) && held.passes_function(&["SSL_CTX_new*"]);
    !born && (held.passes_function(&STORES) || held.passes_function(&READERS))
}
