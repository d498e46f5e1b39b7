//! Memory that came with the connections and is still there when the last of them is closed.

use super::session_cache_filling;
use crate::diagnosis::case::{Case, amount};
use crate::diagnosis::finding::{Ecosystem, Finding, Rule, remedy};
use crate::diagnosis::holding::Holding;

pub static RULE: Rule = Rule {
    id: "stays-after-close",
    look,
    remedies: &[remedy(
        Ecosystem::C,
        "Look at the stacks: what outlives SSL_free is referenced by somebody else. A session, \
             a certificate or a key taken with a get1 function has to be freed by who took it.",
    )],
    trade_off: "What is kept on purpose, as a cache is, will be made again by the next connection.",
    link: "https://docs.openssl.org/master/man3/SSL_free/",
    part_of: None,
};

/// What caches of OpenSSL's own take once, whoever connects.
const LEAST: i64 = 64 * 1024;

fn look(case: &Case) -> Option<Finding> {
    let closed = case.closed.as_ref()?;
    let sessions = (session_cache_filling::RULE.look)(case).is_some();
    let is_left = |held: &Holding| held.bytes != 0 && !(sessions && held.category == "tls.session");
    let left = amount(&closed.holdings, is_left).bytes;
    let grown = case.grown().bytes;
    if left < LEAST || left * 20 < grown {
        return None;
    }
    let each = case.per_connection(left);
    Some(
        Finding {
            bytes_per_connection: each,
            bytes_total: left,
            ..Finding::about(
                &RULE,
                "memory stays when the connections are closed",
                closed.holdings.iter().filter(|held| is_left(held)).cloned(),
            )
        }
        .fact("share of what came with the connections", left as f64 / grown.max(1) as f64),
    )
}
