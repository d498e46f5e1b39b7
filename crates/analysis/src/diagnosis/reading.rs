//! Who had certificates read: the peer of a handshake, a context for its own use, or the program.
//!
//! A stack tells it by what lies nearest to the certificate. Readers such as `d2i_X509` and
//! `PEM_read_bio_X509` end in tail calls, so that some of them are missing, and in a stripped
//! library what is not exported has no name; so functions are looked for, and not their order.

use crate::diagnosis::holding::is_one_of;
use crate::group::Call;
use crate::short_name::is_named;

/// Who had certificates read on a stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// A peer sent them in a handshake.
    Peer,
    /// They are a context's or a connection's own, with a key.
    Own,
    /// The program has them read, or loaded into a store: by the call at this place of the stack,
    /// counted from the innermost.
    Program {
        /// The outermost of the calls that read or load.
        entry: usize,
    },
}

/// Functions that read certificates, whoever wants them.
const READERS: [&str; 17] = [
    "ASN1_item_d2i",
    "ASN1_item_d2i_ex",
    "PEM_ASN1_read",
    "PEM_ASN1_read_bio",
    "PEM_X509_INFO_read",
    "PEM_X509_INFO_read_bio",
    "PEM_X509_INFO_read_bio_ex",
    "PEM_read_X509",
    "PEM_read_X509_AUX",
    "PEM_read_bio_X509",
    "PEM_read_bio_X509_AUX",
    "X509_new",
    "X509_new_ex",
    "d2i_X509",
    "d2i_X509_AUX",
    "d2i_X509_bio",
    "d2i_X509_fp",
];

/// Functions that load certificates into a store.
const LOADERS: [&str; 12] = [
    "SSL_CTX_load_verify_*",
    "SSL_CTX_set_default_verify_*",
    "X509_LOOKUP_*",
    "X509_STORE_add_*",
    "X509_STORE_load_*",
    "X509_STORE_set_default_*",
    "X509_load_cert_*",
    "X509_load_crl_*",
    "add_cert_dir",
    "by_file_ctrl*",
    "by_store_*",
    "x509_store_add",
];

/// Functions that give a context or a connection certificates of its own.
const OWNERS: [&str; 3] = ["SSL_CTX_use_*", "SSL_use_*", "use_certificate_chain_file"];

/// Functions in which a handshake goes on.
const HANDSHAKES: [&str; 13] = [
    "DTLSv1_listen",
    "SSL_accept",
    "SSL_connect",
    "SSL_do_handshake",
    "SSL_peek*",
    "SSL_read*",
    "SSL_write*",
    "ossl_statem_*",
    "read_state_machine",
    "state_machine",
    "tls_get_message_*",
    "tls_post_process_*",
    "tls_process_*",
];

/// What lies between a peer's certificate in a session and the handshake that resumes it.
const SESSIONS: [&str; 3] = ["d2i_SSL_SESSION*", "tls_decrypt_ticket", "tls_get_ticket_from_*"];

/// Who had certificates read on the stack `calls`, innermost first; `None` where none were.
pub fn reading(calls: &[Call]) -> Option<Reading> {
    if calls.iter().any(|call| is_one_of(&call.function, &OWNERS)) {
        return Some(Reading::Own);
    }
    // A handshake may call the program, which loads its store then: what is nearest decides.
    let handshake = calls.iter().position(|call| is_one_of(&call.function, &HANDSHAKES));
    let inside = &calls[..handshake.unwrap_or(calls.len())];
    let loader = inside.iter().rposition(|call| is_one_of(&call.function, &LOADERS));
    let entry = outermost_reader(inside).max(loader)?;
    let outside = &inside[entry + 1..];
    let by_handshake = if handshake.is_some() {
        outside.iter().all(is_of_handshake)
    } else {
        // In a stripped library only the jumps into the handshake may have had names.
        let has_read_text = inside.iter().any(|call| call.function.starts_with("PEM_"));
        !has_read_text && begins_in_handshake(outside)
    };
    let by_peer = by_handshake && loader.is_none();
    Some(if by_peer { Reading::Peer } else { Reading::Program { entry } })
}

/// Whether certificates are read by one of these calls.
pub fn reads_certificates(calls: &[Call]) -> bool {
    outermost_reader(calls).is_some()
}

/// Functions that read what they have written, or a part of a certificate that was read before:
/// what they call reads no certificate.
const PARTS: [&str; 7] = [
    "ASN1_item_dup",
    "X509V3_EXT_d2i",
    "X509V3_get_d2i",
    "X509_check_*",
    "X509_get_ext_d2i",
    "X509_verify*",
    "ossl_x509v3_cache_extensions",
];

/// The outermost reader.
fn outermost_reader(calls: &[Call]) -> Option<usize> {
    let part = calls.iter().rposition(|call| is_one_of(&call.function, &PARTS));
    let begin = part.map_or(0, |at| at + 1);
    let reader = calls[begin..].iter().rposition(|call| is_one_of(&call.function, &READERS))?;
    Some(begin + reader)
}

/// Whether the call may lie between a peer's certificate and the handshake: nothing of a program.
fn is_of_handshake(call: &Call) -> bool {
    let of_crypto = call.function.starts_with("libcrypto") && !is_named(&call.function);
    is_unnamed_in_ssl(call) || of_crypto || is_one_of(&call.function, &SESSIONS)
}

fn is_unnamed_in_ssl(call: &Call) -> bool {
    call.function.starts_with("libssl") && !is_named(&call.function)
}

/// So many calls without a name are what handles a message, and the machine that has called it.
const MACHINE: usize = 2;

/// Whether the calls begin with functions of a handshake that have no names: what handles a
/// message, and the machine that has called it. One such call alone may be anything.
fn begins_in_handshake(calls: &[Call]) -> bool {
    calls.len() >= MACHINE && calls[..MACHINE].iter().all(is_unnamed_in_ssl)
}

/// Whether the stack has made a part of a peer's certificate after it was read, such as an
/// extension that verifying it asks for.
pub fn is_part_of_peers(calls: &[Call]) -> bool {
    let part = calls.iter().any(|call| is_one_of(&call.function, &PARTS));
    part && is_in_handshake(calls) && reading(calls).is_none()
}

/// Whether a handshake goes on at the stack.
pub fn is_in_handshake(calls: &[Call]) -> bool {
    if calls.iter().any(|call| is_one_of(&call.function, &HANDSHAKES)) {
        return true;
    }
    // What an exported function that is none of a handshake's has called is none either.
    let run = calls.windows(MACHINE).position(|run| run.iter().all(is_unnamed_in_ssl));
    let outside = run.map(|at| calls[at..].iter().find(|call| is_named(&call.function)));
    let is_exported = |call: &Call| call.function.starts_with("SSL_");
    outside.is_some_and(|call| !call.is_some_and(is_exported))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(functions: &[&str]) -> Option<Reading> {
        let call = |function: &&str| Call { function: (*function).to_owned(), ..Call::default() };
        reading(&functions.iter().map(call).collect::<Vec<_>>())
    }

    const UNNAMED: &str = "libcrypto.so.3+0xfe073";
    const OF_SSL: &str = "libssl.so.3+0x4f0a1";

    #[test]
    fn a_peers_certificate_is_read_by_the_handshake_itself() {
        for stack in [
            &[UNNAMED, "d2i_X509", "tls_process_server_certificate", "SSL_connect"][..],
            // A stripped library, whose reader has ended in a tail call.
            &[UNNAMED, "ASN1_item_d2i", OF_SSL, OF_SSL, "SSL_do_handshake", "main"],
            &[UNNAMED, "X509_new_ex", OF_SSL, "SSL_read", "main"],
            // Even the way into the handshake was a tail call.
            &[UNNAMED, "ASN1_item_d2i_ex", OF_SSL, OF_SSL, "main"],
            &[UNNAMED, "d2i_X509", "d2i_SSL_SESSION", OF_SSL, "SSL_accept", "main"],
        ] {
            assert_eq!(of(stack), Some(Reading::Peer), "{stack:?}");
        }
    }

    #[test]
    fn what_the_program_loads_is_no_peers_even_in_the_middle_of_a_handshake() {
        for (stack, entry) in [
            (&[UNNAMED, "d2i_X509", "PEM_ASN1_read_bio", "load_roots", "main"][..], 2),
            (&[UNNAMED, "PEM_ASN1_read_bio", "choose_host", OF_SSL, "SSL_accept", "main"], 1),
            // The program's own function has no name either.
            (&[UNNAMED, "PEM_ASN1_read_bio", "server+0x1200", OF_SSL, "SSL_accept"], 1),
            (
                &[
                    UNNAMED,
                    "PEM_X509_INFO_read_bio",
                    "X509_STORE_load_locations",
                    "libcurl.so.4+0x6a0",
                    "BIO_read",
                    OF_SSL,
                    "SSL_connect",
                ],
                2,
            ),
            (&["CRYPTO_strdup", "X509_STORE_add_cert", "SSL_CTX_load_verify_file", "main"], 2),
        ] {
            assert_eq!(of(stack), Some(Reading::Program { entry }), "{stack:?}");
        }
    }

    #[test]
    fn a_contexts_own_certificate_is_no_bundle() {
        let stack = [UNNAMED, "PEM_ASN1_read_bio", OF_SSL, "SSL_CTX_use_certificate_file", "main"];
        assert_eq!(of(&stack), Some(Reading::Own));
        // The exported function has ended in a tail call: the program's, for all that is known.
        let chain_file = [UNNAMED, "PEM_ASN1_read_bio", OF_SSL, "load_key", "main"];
        assert_eq!(of(&chain_file), Some(Reading::Program { entry: 1 }));
        assert_eq!(of(&["SSL_new", "main"]), None);
        assert_eq!(of(&["SSL_do_handshake", "main"]), None);
        assert_eq!(of(&[]), None);
    }

    #[test]
    fn a_name_that_is_copied_is_no_certificate_that_is_read() {
        let copied = [UNNAMED, "ASN1_item_d2i_ex", "ASN1_item_dup", "SSL_CTX_add_client_CA"];
        assert_eq!(of(&copied), None);
        let extension = [UNNAMED, "ASN1_item_d2i_ex", "X509_verify_cert", OF_SSL, OF_SSL, "main"];
        assert_eq!(of(&extension), None);
        let in_handshake = |stack: &[&str]| {
            let call = |name: &&str| Call { function: (*name).to_owned(), ..Call::default() };
            is_in_handshake(&stack.iter().map(call).collect::<Vec<_>>())
        };
        assert!(in_handshake(&extension) && !in_handshake(&copied));
        assert!(!in_handshake(&[UNNAMED, OF_SSL, OF_SSL, "SSL_new", "main"]));
    }
}
