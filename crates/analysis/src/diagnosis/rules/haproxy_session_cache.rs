//! HAProxy maps its cache of TLS sessions once, as large as it is told.

use crate::diagnosis::finding::{Finding, Rule, Site};
use crate::diagnosis::unclaimed::Unclaimed;

pub static RULE: Rule = Rule {
    id: "haproxy-session-cache",
    look,
    trade_off: "Sessions that do not fit are forgotten, and their clients make full handshakes; \
                with tickets, clients keep their sessions themselves.",
    link: "https://docs.haproxy.org/3.2/configuration.html#3.2-tune.ssl.cachesize",
    part_of: None,
};

/// The cache with 20,000 sessions, as HAProxy has it where nobody says more.
const USUAL: f64 = 4_960_256.0;

fn look(unclaimed: &mut Unclaimed<'_>) -> Option<Finding> {
    let whole = unclaimed.case.whole.as_ref()?;
    let cache = whole.requested.iter().find(|it| it.passes(&["shctx_init"]))?;
    if cache.bytes < 2.0 * USUAL {
        return None;
    }
    let title = "HAProxy's cache of TLS sessions is mapped as a whole, whoever connects";
    let finding = Finding::about(&RULE, title, []).saving((cache.bytes - USUAL) as i64);
    Some(Finding {
        sites: vec![Site {
            file: String::new(),
            line: 0,
            function: cache.function.clone(),
            bytes: cache.bytes as i64,
            blocks: cache.blocks.unwrap_or_default() as i64,
            telling: cache.through.clone(),
        }],
        ..finding.fact("bytes of the cache", cache.bytes)
    })
}
