//! Memory that came with the connections and is still there when the last of them is closed.

use super::session_cache_filling;
use crate::diagnosis::finding::{Finding, Rule, grown_sites};
use crate::diagnosis::holding::Holding;
use crate::diagnosis::unclaimed::Unclaimed;

pub static RULE: Rule = Rule {
    id: "stays-after-close",
    look,
    trade_off: "What is kept on purpose, as a cache is, will be made again by the next connection.",
    link: "https://docs.openssl.org/master/man3/SSL_free/",
    part_of: None,
};

/// What caches of OpenSSL's own take once, whoever connects.
const LEAST: i64 = 64 * 1024;

fn look(unclaimed: &mut Unclaimed<'_>) -> Option<Finding> {
    let case = unclaimed.case;
    let closed = case.closed.as_ref()?;
    let sessions = unclaimed.has_found(&session_cache_filling::RULE);
    let is_left =
        |held: &&Holding| held.bytes != 0 && !(sessions && held.category == "tls.session");
    let kept = || closed.holdings.iter().filter(is_left);
    let left: i64 = kept().fold(0, |sum, held| sum.saturating_add(held.bytes));
    let grown = case.grown().bytes;
    if left < LEAST || left.saturating_mul(20) < grown {
        return None;
    }
    let title = "memory stays when the connections are closed";
    let finding = Finding {
        bytes_per_connection: case.per_connection(left),
        sites: grown_sites(kept()),
        ..Finding::about(&RULE, title, [])
    };
    let share = left as f64 / grown.max(1) as f64;
    Some(finding.saving(left).fact("share of what came with the connections", share))
}
