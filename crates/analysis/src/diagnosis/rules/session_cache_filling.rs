//! Sessions stay in the context's cache when their connections are gone.

use crate::diagnosis::case::{Case, amount};
use crate::diagnosis::finding::{Ecosystem, Finding, Rule, remedy};
use crate::diagnosis::holding::Holding;
use crate::objects::Object;

pub static RULE: Rule = Rule {
    id: "session-cache-filling",
    look,
    remedies: &[
        remedy(
            Ecosystem::C,
            "SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF) where tickets are enough, or \
             SSL_CTX_sess_set_cache_size(ctx, n) to bound it.",
        ),
        remedy(
            Ecosystem::Rust,
            "SslContextBuilder::set_session_cache_mode(SslSessionCacheMode::OFF), or \
             set_session_cache_size.",
        ),
        remedy(
            Ecosystem::Nginx,
            "ssl_session_cache none (the default) or shared; builtin is OpenSSL's own cache.",
        ),
        remedy(Ecosystem::Node, "Node does not use OpenSSL's own cache."),
        remedy(Ecosystem::Haproxy, "HAProxy has a cache of its own: tune.ssl.cachesize."),
    ],
    trade_off: "A client whose session is not there any more does a full handshake, unless it has \
                a ticket.",
    link: "https://docs.openssl.org/master/man3/SSL_CTX_sess_set_cache_size/",
    part_of: None,
};

/// What a context keeps unless told otherwise.
const USUAL_SIZE: f64 = 20_480.0;

fn look(case: &Case) -> Option<Finding> {
    let connections = case.connections?.get() as f64;
    // At rest a session more than one for each connection is in the cache.
    let live = case.objects.live(Object::SslSession).count as f64;
    let own = case.objects.live(Object::Ssl).count as f64;
    let at_rest = amount(&case.holdings, is_of_session);
    let extra = (live - own).max(0.0);
    let extra_bytes = if live > 0.0 { at_rest.bytes as f64 * extra / live } else { 0.0 };

    // After the last connection was closed, every session is.
    let (left, bytes, held) = match &case.closed {
        Some(closed) => {
            let left = closed.objects.live(Object::SslSession).count as f64;
            (left, amount(&closed.holdings, is_of_session).bytes, &closed.holdings)
        }
        None => (extra, extra_bytes as i64, &case.holdings),
    };
    if left < 2.0 || left / connections < 0.5 {
        return None;
    }
    let each = bytes as f64 / left;
    Some(
        Finding {
            bytes_per_connection: Some(bytes as f64 / connections),
            bytes_total: bytes,
            at_rest_per_connection: Some(extra_bytes / connections),
            most: most(case, each),
            ..Finding::about(
                &RULE,
                "sessions stay in the context's cache when connections are gone",
                held.iter().filter(|held| is_of_session(held)).cloned(),
            )
        }
        .fact("SSL_SESSION left by each connection", left / connections)
        .fact("bytes of each SSL_SESSION", each)
        .fact("bytes of a full cache of 20,480 sessions, for each SSL_CTX", each * USUAL_SIZE),
    )
}

/// All caches full; no bound where each connection brings a context, and with it a cache.
fn most(case: &Case, each_session: f64) -> Option<f64> {
    let contexts = case.all_objects.live(Object::SslCtx).count.max(1);
    (case.each(Object::SslCtx) < 0.5).then_some(each_session * USUAL_SIZE * contexts as f64)
}

fn is_of_session(held: &Holding) -> bool {
    held.category == "tls.session"
}
