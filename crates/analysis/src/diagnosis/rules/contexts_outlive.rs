//! Contexts were made for connections, and are still there when these are gone.

use super::context_per_connection;
use super::contexts::{are_configured, have_keys, places};
use crate::diagnosis::finding::{Finding, Rule};
use crate::diagnosis::unclaimed::Unclaimed;
use crate::objects::Object;

pub static RULE: Rule = Rule {
    id: "contexts-outlive",
    look,
    trade_off: "Connections with a shared context share its settings, its session cache and its \
                tickets' keys.",
    link: "https://docs.openssl.org/master/man3/SSL_CTX_free/",
    part_of: None,
};

/// Fewer are no reason to look.
const MANY: i64 = 8;

fn look(unclaimed: &mut Unclaimed<'_>) -> Option<Finding> {
    let case = unclaimed.case;
    let [contexts, connections] = [Object::SslCtx, Object::Ssl].map(|object| case.live(object));
    let found = unclaimed.has_found(&context_per_connection::RULE);
    if found || contexts < MANY || contexts < 2 * connections || are_configured(unclaimed) {
        return None;
    }
    let growth = case.series.growth_of(Object::SslCtx);
    let is_still = case.series.is_long() && growth.is_none();
    // About as many as connections were made; or none of them could serve anybody.
    let ever = [Object::SslCtx, Object::Ssl].map(|object| case.ever_made(object));
    let for_connections = ever[1] >= MANY && ever[0] / 2 <= ever[1] && ever[1] / 2 <= ever[0];
    if is_still || !(growth.is_some() || for_connections || !have_keys(unclaimed)) {
        return None;
    }
    let places = places(unclaimed);
    let bytes = unclaimed.amount_at(&places).bytes;
    let title = format!("{contexts} SSL_CTX are live for {connections} SSL");
    let mut finding = Finding::claiming(&RULE, case, title, places)
        .saving(bytes - bytes / contexts)
        .fact("SSL_CTX", contexts as f64)
        .fact("SSL_CTX ever made", ever[0] as f64)
        .fact("SSL ever made", ever[1] as f64)
        .fact("bytes of each SSL_CTX", bytes as f64 / contexts as f64);
    if let Some(growth) = growth {
        finding = finding.fact("SSL_CTX more than at first", growth.grown as f64);
    }
    Some(finding)
}
