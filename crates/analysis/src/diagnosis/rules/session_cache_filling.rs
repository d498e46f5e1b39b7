//! Sessions stay in the context's cache when their connections are gone.

use super::sessions::{are_told_apart, is_of_client, is_of_session, with_peers};
use crate::diagnosis::case::Case;
use crate::diagnosis::finding::{Finding, Rule};
use crate::diagnosis::holding::Holding;
use crate::diagnosis::unclaimed::Unclaimed;
use crate::objects::Object;

pub static RULE: Rule = Rule {
    id: "session-cache-filling",
    look,
    trade_off: "Who resumes a session that is not there any more does a full handshake, unless \
                it has a ticket.",
    link: "https://docs.openssl.org/master/man3/SSL_CTX_sess_set_cache_size/",
    part_of: None,
};

/// What a context keeps unless told otherwise.
const USUAL_SIZE: f64 = 20_480.0;

/// Fewer sessions are no cache that anybody would look for.
const MANY: i64 = 64;

fn look(unclaimed: &mut Unclaimed<'_>) -> Option<Finding> {
    // What is left when the last connection is closed says most, where that is known.
    if unclaimed.case.closed.is_some() {
        return left_behind(unclaimed).or_else(|| in_caches(unclaimed));
    }
    in_caches(unclaimed).or_else(|| left_behind(unclaimed))
}

/// More sessions are in caches than connections could explain.
fn in_caches(unclaimed: &Unclaimed<'_>) -> Option<Finding> {
    let case = unclaimed.case;
    let [cached, sessions, connections] =
        [Object::CachedSession, Object::SslSession, Object::Ssl].map(|object| case.live(object));
    if cached < MANY || cached < 2 * connections || sessions < 1 {
        return None;
    }
    let places = with_peers(unclaimed, cached);
    let of_client = places.iter().any(|at| is_of_client(&case.holdings[*at]));
    let bytes = unclaimed.amount_at(&places).bytes;
    // Each live connection has a session too.
    let own = connections.clamp(0, sessions);
    let saved = bytes - (bytes as f64 * own as f64 / sessions as f64) as i64;
    let each = bytes as f64 / sessions as f64;
    let who = if of_client { "client" } else { "server" };
    let title = format!("{cached} sessions of a {who} are in the cache of its SSL_CTX");
    let finding = Finding::claiming(&RULE, case, title, places)
        .saving(saved)
        .fact("sessions in a cache", cached as f64)
        .fact("SSL", connections as f64)
        .fact("bytes of each session", each)
        .fact(FULL_CACHE, each * USUAL_SIZE);
    Some(finding)
}

const FULL_CACHE: &str = "bytes of a full cache of 20,480 sessions, for each SSL_CTX";

/// The last connection was closed, and its session is still there; or there are sessions at rest
/// that no connection has.
fn left_behind(unclaimed: &Unclaimed<'_>) -> Option<Finding> {
    let case = unclaimed.case;
    let connections = case.connections.filter(|_| case.has_connections())?.get() as f64;
    // At rest a session more than one for each connection is in the cache.
    let live = case.objects.live(Object::SslSession).count as f64;
    let own = case.objects.live(Object::Ssl).count as f64;
    let at_rest: i64 = sum(case.holdings.iter().filter(|held| is_of_session(held)));
    let extra = (live - own).max(0.0);
    let extra_bytes = if live > 0.0 { at_rest as f64 * extra / live } else { 0.0 };

    // After the last connection was closed, every session is.
    let (objects, left, bytes, held): (_, f64, i64, Vec<&Holding>) =
        if let Some(closed) = &case.closed {
            let left = closed.objects.live(Object::SslSession).count as f64;
            let sessions = || closed.holdings.iter().filter(|held| is_of_session(held));
            (&closed.objects, left, sum(sessions()), sessions().collect())
        } else {
            let sessions = case.holdings.iter().filter(|held| is_of_session(held));
            (&case.objects, extra, extra_bytes as i64, sessions.collect())
        };
    // Who keeps sessions outside of a cache is another finding.
    let cached = objects.live(Object::CachedSession).count as f64;
    if left < 2.0 || left / connections < 0.5 || (are_told_apart(case) && cached * 2.0 < left) {
        return None;
    }
    let each = bytes as f64 / left;
    let title = "sessions stay in the context's cache when connections are gone";
    Some(
        Finding {
            bytes_per_connection: Some(bytes as f64 / connections),
            bytes_total: bytes,
            at_rest_per_connection: Some(extra_bytes / connections),
            most: most(case, each),
            ..Finding::about(&RULE, title, held)
        }
        .fact("SSL_SESSION left by each connection", left / connections)
        .fact("bytes of each SSL_SESSION", each)
        .fact(FULL_CACHE, each * USUAL_SIZE),
    )
}

/// Less the baseline.
fn sum<'a>(holdings: impl Iterator<Item = &'a Holding>) -> i64 {
    holdings.fold(0, |sum, held| sum.saturating_add(held.bytes))
}

/// All caches full; no bound where each connection brings a context, and with it a cache.
fn most(case: &Case, each_session: f64) -> Option<f64> {
    let contexts = case.live(Object::SslCtx).max(1);
    (case.each(Object::SslCtx) < 0.5).then_some(each_session * USUAL_SIZE * contexts as f64)
}
