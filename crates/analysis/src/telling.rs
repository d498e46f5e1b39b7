//! The few functions of a stack that tell its story.

use std::cell::OnceCell;
use std::sync::Arc;

use foldhash::HashMap;
use profile::Frame;

use crate::category;
use crate::group::Call;
use crate::origin::Origin;
use crate::short_name::{is_named, short_name};

/// At most this many functions make a story.
pub const MOST_FUNCTIONS: usize = 4;

/// Picks at most [`MOST_FUNCTIONS`] short names of the stack `frames` (innermost first), and
/// returns them outermost first.
///
/// The leaf is among them if it has a name. Then come, as far as there is room: the program's
/// function nearest to OpenSSL, OpenSSL's function that it called, the program's outermost
/// function, and the owner of the leaf's memory. Runtimes, bindings and closures are left out, and
/// so is what has no name while anything has one. A program without any name is told by the file
/// that called OpenSSL.
///
/// ```text
/// serve_connection › build_trust_store › X509_STORE_add_cert › asn1_item_embed_new
/// outermost          nearest             entry                 leaf
/// ```
pub fn telling(frames: &[Frame<'_>]) -> Vec<String> {
    // Of a deep stack only few are asked for, and those several times.
    told(&Origins::of(frames))
}

/// Tells many stacks that have most calls in common: each of those is judged once.
#[derive(Debug, Default)]
pub struct Teller {
    /// By where the call lies, which is kept there.
    known: HashMap<usize, (Arc<Call>, Origin)>,
}

impl Teller {
    /// As [`telling`] does, of calls that stacks share.
    pub fn telling(&mut self, stack: &[Arc<Call>]) -> Vec<String> {
        let frames: Vec<Frame<'_>> = stack.iter().map(|call| call.frame()).collect();
        let mut origin = |call: &Arc<Call>, frame: &Frame<'_>| {
            let known = self.known.entry(Arc::as_ptr(call).addr());
            known.or_insert_with(|| (Arc::clone(call), Origin::of(frame))).1
        };
        let known = stack.iter().zip(&frames).map(|(call, frame)| origin(call, frame).into());
        told(&Origins { frames: &frames, known: known.collect() })
    }
}

fn told(origins: &Origins<'_>) -> Vec<String> {
    let frames = origins.frames;
    let origin = |at: usize| origins.at(at);
    let has_name = |at: &usize| is_telling(&frames[*at]);
    let program = |at: &usize| origin(*at) == Origin::Program && has_name(at);
    let nearest = (0..frames.len()).find(program);
    let outermost = (0..frames.len()).rfind(program);
    let entry = entry(origins, nearest);
    let nearest = nearest.or_else(|| unnamed_program(origins));
    let inner = nearest.unwrap_or(frames.len());
    let leaf = (0..frames.len()).find(has_name).filter(|at| *at == 0 || *at < inner);
    // A container's leaf is explained by the next owner, zlib's by the library's own function.
    let generic = leaf == Some(0) && is_generic(&frames[0]);
    let owner = (1..inner).filter(has_name).find(|at| match origin(*at) {
        Origin::BelowOpenSsl => true,
        Origin::OpenSsl => generic && !is_generic(&frames[*at]),
        _ => false,
    });

    let mut chosen: Vec<usize> = Vec::new();
    let mut names: Vec<String> = Vec::new();
    for at in [leaf, nearest, entry, outermost, owner] {
        let Some(at) = at.filter(|at| !chosen.contains(at)) else { continue };
        let name = name_or_file(&frames[at]);
        if chosen.len() < MOST_FUNCTIONS && !names.contains(&name) {
            chosen.push(at);
            names.push(name);
        }
    }
    if chosen.is_empty() {
        return frames.first().map(|leaf| vec![name_or_file(leaf)]).unwrap_or_default();
    }
    let mut story: Vec<(usize, String)> = chosen.into_iter().zip(names).collect();
    story.sort_by_key(|(at, _)| std::cmp::Reverse(*at));
    story.into_iter().map(|(_, name)| name).collect()
}

/// Who asked for the memory of a stack: OpenSSL's function that was called from outside, and who
/// called it, as `SSL_CTX_load_verify_locations ← load_roots`.
pub fn asked_by(frames: &[Frame<'_>]) -> String {
    let origins = Origins::of(frames);
    let program = |at: &usize| origins.at(*at) == Origin::Program && is_telling(&frames[*at]);
    let nearest = (0..frames.len()).find(program);
    let entry = entry(&origins, nearest);
    let caller = nearest.or_else(|| unnamed_program(&origins)).map(|at| name_or_file(&frames[at]));
    let entry = entry.map(|at| short_name(frames[at].function));
    match (entry, caller) {
        (Some(entry), Some(caller)) => format!("{entry} ← {caller}"),
        (Some(name), None) | (None, Some(name)) => name,
        (None, None) => "[unknown]".to_owned(),
    }
}

/// Where the frames of a stack come from: each is judged when it is asked for first.
struct Origins<'a> {
    frames: &'a [Frame<'a>],
    known: Vec<OnceCell<Origin>>,
}

impl<'a> Origins<'a> {
    fn of(frames: &'a [Frame<'a>]) -> Origins<'a> {
        Origins { frames, known: vec![OnceCell::new(); frames.len()] }
    }

    fn at(&self, at: usize) -> Origin {
        *self.known[at].get_or_init(|| Origin::of(&self.frames[at]))
    }
}

/// The innermost place in the program of which at least the file is known that it lies in.
fn unnamed_program(origins: &Origins<'_>) -> Option<usize> {
    let is_unnamed = |at: usize| origins.frames[at].function.contains("+0x");
    (0..origins.frames.len()).find(|at| is_unnamed(*at) && origins.at(*at) == Origin::Program)
}

/// The short name of a frame; of one without a name, the file that its code lies in.
fn name_or_file(frame: &Frame<'_>) -> String {
    match frame.function.split_once("+0x") {
        Some((file, _)) => file.to_owned(),
        None => short_name(frame.function),
    }
}

/// OpenSSL's function that was called from outside: by the program's function at `nearest`, or by
/// one without a name that lies further in. Without a program, the outermost.
fn entry(origins: &Origins<'_>, nearest: Option<usize>) -> Option<usize> {
    let frames = origins.frames;
    let inner = nearest.unwrap_or(frames.len());
    let unnamed = (0..inner).find(|at| origins.at(*at) == Origin::Program);
    let outermost_within = |end: usize| {
        (0..end).rfind(|at| {
            let frame = &frames[*at];
            origins.at(*at) == Origin::OpenSsl && is_telling(frame) && !is_wrapper(frame)
        })
    };
    unnamed.and_then(outermost_within).or_else(|| outermost_within(inner))
}

/// Whether the name of the frame says anything.
fn is_telling(frame: &Frame<'_>) -> bool {
    is_named(frame.function)
        && frame.function != ANONYMOUS
        && !short_name(frame.function).is_empty()
}

/// How V8 calls functions without a name of their own.
const ANONYMOUS: &str = "(anonymous)";

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
    fn what_has_no_name_is_passed_over_while_anything_has_one() {
        let stack = [
            ("libcrypto.so.3+0xfe073", "crypto/asn1/tasn_new.c"),
            ("libcrypto.so.3+0xfd112", ""),
            ("X509_load_cert_crl_file_ex", ""),
            ("libcrypto.so.3+0x1b9321", ""),
            ("SSL_CTX_load_verify_locations", ""),
            ("_ssl__SSLContext_load_verify_locations", "Modules/_ssl.c"),
            ("python3.11+0x579226", ""),
        ];
        let expected = "_ssl__SSLContext_load_verify_locations › SSL_CTX_load_verify_locations › \
                        X509_load_cert_crl_file_ex";
        assert_eq!(story(&stack), expected);
        let asked = asked_by(&sample_profile::stack(&stack));
        let expected = "SSL_CTX_load_verify_locations ← _ssl__SSLContext_load_verify_locations";
        assert_eq!(asked, expected);
        // The program has no names, but the library in between has.
        let curl = [
            ("libssl.so.3+0x10", "ssl/ssl_lib.c"),
            ("SSL_CTX_new", ""),
            ("libcurl.so.4+0x6a0", ""),
            ("BIO_read", ""),
            ("curl_easy_perform", ""),
            ("curl+0xbab0", ""),
        ];
        assert_eq!(story(&curl), "curl_easy_perform › SSL_CTX_new");
        assert_eq!(asked_by(&sample_profile::stack(&curl)), "SSL_CTX_new ← curl_easy_perform");
        let nobody = sample_profile::stack(&curl[..3]);
        assert_eq!(asked_by(&nobody), "SSL_CTX_new ← libcurl.so.4");
        assert_eq!(story(&curl[..3]), "libcurl.so.4 › SSL_CTX_new");
    }

    #[test]
    fn a_caller_without_a_name_is_told_by_its_file() {
        let python = [
            ("libcrypto.so.3+0xfe073", "crypto/asn1/tasn_new.c"),
            ("ASN1_item_new_ex", ""),
            ("X509_STORE_set_default_paths_ex", ""),
            ("_ssl.cpython-311-x86_64-linux-gnu.so+0x1b747", ""),
            ("python3.11+0x55cd9f", ""),
            ("PyObject_Vectorcall", ""),
        ];
        let expected = "_ssl.cpython-311-x86_64-linux-gnu.so › X509_STORE_set_default_paths_ex › \
                        ASN1_item_new_ex";
        assert_eq!(story(&python), expected);
        // Nothing has a name: a library with its version, which a name would lose.
        assert_eq!(story(&python[..1]), "libcrypto.so.3");
    }

    #[test]
    fn a_script_is_told_by_its_own_functions() {
        let node = [
            ("SSL_CTX_new_ex", "ssl/ssl_lib.c"),
            ("node::crypto::SecureContext::Init(v8::FunctionCallbackInfo<v8::Value> const&)", ""),
            ("SecureContext", "node:_tls_common"),
            ("keepContexts", "/srv/contexts.js"),
            ("(anonymous)", "/srv/contexts.js"),
            ("Module._compile", "node:internal/modules/cjs/loader"),
            ("node::Realm::ExecuteBootstrapper(char const*)", ""),
        ];
        assert_eq!(story(&node), "keepContexts › SecureContext::Init › SSL_CTX_new_ex");
    }

    #[test]
    fn a_function_of_an_engine_is_no_program() {
        let engine = [
            ("CRYPTO_THREAD_run_once", ""),
            ("ENGINE_pkey_asn1_find_str", ""),
            ("EVP_PKEY_asn1_find_str", ""),
            ("load", "src/keys.c"),
        ];
        let asked = asked_by(&stack(&engine));
        assert_eq!(asked, "EVP_PKEY_asn1_find_str ← load");
    }

    #[test]
    fn one_frame_and_none_are_their_own_story() {
        assert_eq!(story(&[("alloc::raw_vec::grow", "")]), "grow");
        assert_eq!(story(&[("", "")]), "");
        assert_eq!(story(&[]), "");
    }
}
