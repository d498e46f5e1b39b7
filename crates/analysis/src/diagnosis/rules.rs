//! One file for each rule.

pub mod asyncio_read_buffer;
pub mod bio_pairs;
pub mod bundle_parsed_again;
pub mod compression_allowed;
pub mod compression_negotiated;
pub mod context_per_connection;
mod contexts;
pub mod contexts_outlive;
pub mod crls_kept;
pub mod dtls_handshake_buffer_kept;
pub mod dtls_record_buffers_kept;
pub mod free_pages_after_close;
pub mod free_pages_kept;
pub mod haproxy_session_cache;
pub mod keys_outlive;
pub mod library_contexts;
pub mod mlkem_key_kept;
pub mod never_freed;
pub mod only_grows;
pub mod oversized_read_buffer;
pub mod peer_certificates_outlive;
pub mod peer_chains_kept;
pub mod record_buffers_kept;
pub mod session_cache_filling;
mod sessions;
pub mod sessions_outlive;
pub mod ssl_without_handshake;
pub mod stays_after_close;
pub mod thread_state;

use crate::diagnosis::case::Case;
use crate::diagnosis::holding::Holding;

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
