//! The few functions of a stack that tell its story.

use profile::Frame;

use crate::category;
use crate::origin::Origin;
use crate::short_name::short_name;

/// At most this many functions make a story.
pub const MOST_FUNCTIONS: usize = 4;

/// Picks at most [`MOST_FUNCTIONS`] short names of the stack `frames` (innermost first), and
/// returns them outermost first.
///
/// The leaf is always among them. Then come, as far as there is room: the program's function
/// nearest to OpenSSL, OpenSSL's function that it called, the program's outermost function, and
/// the owner of the leaf's memory. Runtimes, bindings and closures are left out.
///
/// ```text
/// serve_connection › build_trust_store › X509_STORE_add_cert › asn1_item_embed_new
/// outermost          nearest             entry                 leaf
/// ```
pub fn telling(frames: &[Frame<'_>]) -> Vec<String> {
    // Of a deep stack only few are asked for.
    let origin = |at: usize| Origin::of(&frames[at]);
    let has_name = |at: &usize| !short_name(frames[*at].function).is_empty();
    let program = |at: &usize| origin(*at) == Origin::Program && has_name(at);
    let openssl = |at: &usize| origin(*at) == Origin::OpenSsl && !is_wrapper(&frames[*at]);
    let nearest = (0..frames.len()).find(program);
    let outermost = (0..frames.len()).rfind(program);
    // What the program called; without a program, the call that came from outside.
    let inner = nearest.unwrap_or(frames.len());
    let entry = (0..inner).rfind(openssl);
    // A container's leaf is explained by the next owner, zlib's by the library's own function.
    let generic = frames.first().is_some_and(is_generic);
    let owner = (1..inner).find(|at| match origin(*at) {
        Origin::BelowOpenSsl => true,
        Origin::OpenSsl => generic && !is_generic(&frames[*at]),
        _ => false,
    });

    let mut chosen: Vec<usize> = Vec::new();
    let mut names: Vec<String> = Vec::new();
    for at in [(!frames.is_empty()).then_some(0), nearest, entry, outermost, owner] {
        let Some(at) = at.filter(|at| !chosen.contains(at)) else { continue };
        let name = short_name(frames[at].function);
        if chosen.len() < MOST_FUNCTIONS && !name.is_empty() && !names.contains(&name) {
            chosen.push(at);
            names.push(name);
        }
    }
    let mut story: Vec<(usize, String)> = chosen.into_iter().zip(names).collect();
    story.sort_by_key(|(at, _)| std::cmp::Reverse(*at));
    story.into_iter().map(|(_, name)| name).collect()
}

/// A frame that says nothing about whose memory it is.
fn is_generic(frame: &Frame<'_>) -> bool {
    is_wrapper(frame)
        || category::of_source(frame.file, frame.function)
            .is_some_and(category::Category::is_generic)
}

/// OpenSSL's own allocation functions, in profiles whose writer has not taken them out.
fn is_wrapper(frame: &Frame<'_>) -> bool {
    let Some(name) = frame.function.strip_prefix("CRYPTO_") else { return false };
    name.contains("alloc") || name.contains("dup")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample_profile::{self, stack};

    fn story(frames: &[(&str, &str)]) -> String {
        telling(&stack(frames)).join(" › ")
    }

    #[test]
    fn a_certificate_in_a_store_is_told_from_the_connection_down() {
        assert_eq!(
            story(&sample_profile::CERTIFICATE),
            "serve_connection › build_trust_store › PEM_read_bio_X509 › asn1_item_embed_new"
        );
    }

    #[test]
    fn zlib_in_a_handshake_is_told_with_zlibs_own_function() {
        assert_eq!(
            story(&sample_profile::DEFLATE),
            "serve_connection › SSL_do_handshake › deflateInit2_ › zlib_zalloc"
        );
    }

    #[test]
    fn a_leaf_that_speaks_for_itself_needs_no_owner() {
        assert_eq!(
            story(&[
                ("tls_setup_read_buffer", "ssl/record/methods/tls_common.c"),
                ("state_machine", "ssl/statem/statem.c"),
                ("SSL_do_handshake", "ssl/ssl_lib.c"),
                ("echo_server::serve_connection", "crates/echo-server/src/connection.rs"),
            ]),
            "serve_connection › SSL_do_handshake › tls_setup_read_buffer"
        );
    }

    #[test]
    fn a_containers_leaf_is_told_with_its_owner() {
        assert_eq!(
            story(&[
                ("sk_reserve", "crypto/stack/stack.c"),
                ("OPENSSL_sk_push", "crypto/stack/stack.c"),
                ("X509_STORE_new", "crypto/x509/x509_lu.c"),
                ("SSL_CTX_new_ex", "ssl/ssl_lib.c"),
                ("serve", "src/server.c"),
            ]),
            "serve › SSL_CTX_new_ex › X509_STORE_new › sk_reserve"
        );
    }

    #[test]
    fn a_callback_of_the_program_is_the_nearest_function() {
        assert_eq!(
            story(&[
                ("SSL_CTX_new_ex", "ssl/ssl_lib.c"),
                ("choose_host", "src/hosts.c"),
                ("final_server_name", "ssl/statem/extensions.c"),
                ("SSL_accept", "ssl/ssl_lib.c"),
                ("accept_loop", "src/server.c"),
                ("main", "src/server.c"),
            ]),
            "accept_loop › choose_host › SSL_CTX_new_ex"
        );
    }

    #[test]
    fn without_a_program_the_outermost_call_into_openssl_is_kept() {
        assert_eq!(
            story(&[
                ("CRYPTO_zalloc", "crypto/mem.c"),
                ("OPENSSL_sk_new_null", "crypto/stack/stack.c"),
                ("SSL_CTX_new_ex", "ssl/ssl_lib.c"),
                ("openssl::ssl::SslContextBuilder::new", ""),
                ("std::rt::lang_start", ""),
            ]),
            "SSL_CTX_new_ex › CRYPTO_zalloc"
        );
    }

    #[test]
    fn closures_that_have_lost_their_path_are_passed_over() {
        let file = "crates/echo-server/src/connection.rs";
        assert_eq!(
            story(&[
                ("SSL_new", "ssl/ssl_lib.c"),
                ("{closure#0}", file),
                ("serve_connection", file),
                ("{closure#0}", file),
                ("poll<core::pin::Pin<()>>", "tokio-1.54.1/src/runtime/task/core.rs"),
            ]),
            "serve_connection › SSL_new"
        );
    }

    #[test]
    fn one_frame_and_none_are_their_own_story() {
        assert_eq!(story(&[("alloc::raw_vec::grow", "")]), "grow");
        assert_eq!(story(&[("", "")]), "");
        assert_eq!(story(&[]), "");
    }
}
