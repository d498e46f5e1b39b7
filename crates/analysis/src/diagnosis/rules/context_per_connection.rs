//! Each connection has an SSL_CTX of its own.

use super::contexts::{are_configured, places};
use crate::diagnosis::finding::{Finding, Rule};
use crate::diagnosis::unclaimed::Unclaimed;
use crate::objects::Object;

pub static RULE: Rule = Rule {
    id: "context-per-connection",
    look,
    trade_off: "Connections with a shared context share its settings, its session cache and its \
                tickets' keys.",
    link: "https://docs.openssl.org/master/man3/SSL_CTX_new/",
    part_of: None,
};

fn look(unclaimed: &mut Unclaimed<'_>) -> Option<Finding> {
    let case = unclaimed.case;
    let contexts = case.live(Object::SslCtx);
    let each = case.each(Object::SslCtx);
    // Who makes one for each connection has made as many as connections.
    let made = case.ever_made(Object::SslCtx) * 5 >= case.ever_made(Object::Ssl) * 2;
    if contexts < 2 || !(0.5..=2.0).contains(&each) || !made || are_configured(unclaimed) {
        return None;
    }
    let places = places(unclaimed);
    let bytes = unclaimed.amount_at(&places).bytes;
    let title = "each connection has an SSL_CTX of its own";
    let finding = Finding::claiming(&RULE, case, title, places)
        .saving(bytes - bytes / contexts)
        .for_each_connection(case);
    Some(finding.fact("SSL_CTX for each connection", each))
}
