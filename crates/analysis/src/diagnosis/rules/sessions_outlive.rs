//! The program keeps sessions whose connections are gone, outside of a cache.

use super::session_cache_filling;
use super::sessions::{are_told_apart, is_of_client, with_peers};
use crate::diagnosis::finding::{Finding, Rule};
use crate::diagnosis::unclaimed::Unclaimed;
use crate::objects::Object;

pub static RULE: Rule = Rule {
    id: "sessions-outlive",
    look,
    trade_off: "Who resumes a session that is not there any more does a full handshake.",
    link: "https://docs.openssl.org/master/man3/SSL_CTX_sess_set_get_cb/",
    part_of: None,
};

/// Fewer sessions are kept for good reasons: one for each server that is known.
const MANY: i64 = 64;

fn look(unclaimed: &mut Unclaimed<'_>) -> Option<Finding> {
    let case = unclaimed.case;
    let [sessions, cached, connections] =
        [Object::SslSession, Object::CachedSession, Object::Ssl].map(|object| case.live(object));
    // Each connection has one itself; a handshake that goes on has two.
    let kept = sessions - cached - connections;
    let found = unclaimed.has_found(&session_cache_filling::RULE);
    if found || !are_told_apart(case) || kept < MANY || kept < 2 * connections || kept < cached {
        return None;
    }
    let places = with_peers(unclaimed, kept);
    let of_client = places.iter().any(|at| is_of_client(&case.holdings[*at]));
    let bytes = unclaimed.amount_at(&places).bytes;
    let saved = (bytes as f64 * kept as f64 / sessions as f64) as i64;
    let who = if of_client { "client" } else { "server" };
    let title = format!("the program keeps {kept} sessions of a {who} outside of a cache");
    let mut finding = Finding::claiming(&RULE, case, title, places)
        .saving(saved)
        .fact("SSL_SESSION", sessions as f64)
        .fact("of them in a cache", cached as f64)
        .fact("SSL", connections as f64)
        .fact("bytes of each session", bytes as f64 / sessions as f64);
    if let Some(growth) = case.series.growth_of(Object::SslSession) {
        finding = finding.fact("SSL_SESSION more than at first", growth.grown as f64);
    }
    Some(finding)
}
