//! What both rules of sessions ask of them.

use crate::diagnosis::case::Case;
use crate::diagnosis::holding::Holding;
use crate::diagnosis::reading::{Reading, is_in_handshake};
use crate::diagnosis::unclaimed::Unclaimed;
use crate::objects::Object;

/// Whether functions have names, so that a session in a cache can be told from another: in a
/// stripped program that OpenSSL is linked into nothing says what puts it there.
pub(super) fn are_told_apart(case: &Case) -> bool {
    case.holdings.iter().any(|held| held.passes_function(&["SSL_CTX_new*"]))
}

/// What sessions hold of which so many outlive their connections. A session has its peer's chain:
/// it goes with the session, unless there are more of them.
pub(super) fn with_peers(unclaimed: &Unclaimed<'_>, outliving: i64) -> Vec<usize> {
    let [sessions, connections] =
        [Object::SslSession, Object::Ssl].map(|object| unclaimed.case.live(object));
    let peers = unclaimed.count(Object::X509, |held| held.reading == Some(Reading::Peer));
    let with_peers = connections < outliving && peers * 2 >= outliving && peers <= sessions;
    unclaimed.pick(|held| is_of_session(held) || (with_peers && is_of_handshake(held)))
}

pub(super) fn is_of_session(held: &Holding) -> bool {
    held.category == "tls.session"
        || held.object == Some(Object::CachedSession)
        || held.leaf().file == "ssl/ssl_sess.c"
        || held.passes_function(&["SSL_CTX_add_session", "SSL_SESSION_*", "ssl_session_dup*"])
}

/// What a handshake has made and its connection has not: certificates and keys of the peer, and
/// what of its messages was kept.
pub(super) fn is_of_handshake(held: &Holding) -> bool {
    /// Where certificates, keys and the containers of both are made.
    const FILES: [&str; 11] = [
        "crypto/asn1",
        "crypto/bn",
        "crypto/buffer",
        "crypto/ec",
        "crypto/evp/p_lib.c",
        "crypto/ex_data.c",
        "crypto/rsa",
        "crypto/stack",
        "crypto/threads",
        "crypto/x509",
        "ssl/statem/statem_",
    ];
    let leaf = held.leaf();
    held.reading == Some(Reading::Peer)
        || (held.reading.is_none()
            && FILES.iter().any(|file| leaf.file.starts_with(file))
            && is_in_handshake(&held.calls)
            && !held.passes_function(&["SSL_CTX_*", "SSL_new"]))
}

pub(super) fn is_of_client(held: &Holding) -> bool {
    held.calls.iter().any(|call| {
        call.file.ends_with("statem_clnt.c")
            || call.function == "SSL_connect"
            || call.function.starts_with("tls_process_new_session_ticket")
    })
}
