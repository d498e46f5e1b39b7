//! Each connection has an SSL_CTX of its own.

use super::is_of_trust_store;
use crate::diagnosis::case::Case;
use crate::diagnosis::finding::{Ecosystem, Finding, Rule, remedy};
use crate::diagnosis::holding::Holding;
use crate::objects::Object;

pub static RULE: Rule = Rule {
    id: "context-per-connection",
    look,
    remedies: &[
        remedy(
            Ecosystem::C,
            "Make one SSL_CTX for all connections of the same settings, and SSL_new(ctx) for each \
             connection.",
        ),
        remedy(
            Ecosystem::Rust,
            "Build one SslContext or SslAcceptor and clone it: a clone is a reference to the same \
             SSL_CTX.",
        ),
        remedy(Ecosystem::Python, "Share one ssl.SSLContext between connections."),
        remedy(
            Ecosystem::Node,
            "Make one tls.createSecureContext() and pass it as secureContext, or keep \
             connections alive.",
        ),
        remedy(Ecosystem::Nginx, "nginx makes one for each server block, not for each connection."),
        remedy(
            Ecosystem::Haproxy,
            "HAProxy makes one for each bind line, not for each connection.",
        ),
    ],
    trade_off: "Connections with a shared context share its settings, its session cache and its \
                tickets' keys.",
    link: "https://docs.openssl.org/master/man3/SSL_CTX_new/",
    part_of: None,
};

fn look(case: &Case) -> Option<Finding> {
    let contexts = case.objects.live(Object::SslCtx);
    let each = case.each(Object::SslCtx);
    if contexts.count < 2 || each < 0.5 {
        return None;
    }
    let held = case.holdings.iter().filter(|held| is_of_context(held));
    let finding =
        Finding::of_holdings(&RULE, case, held, "each connection has an SSL_CTX of its own");
    Some(finding.fact("SSL_CTX for each connection", each))
}

/// Made with a context or set on it; what it trusts is another matter.
fn is_of_context(held: &Holding) -> bool {
    held.passes_function(&["SSL_CTX_*"]) && !is_of_trust_store(held)
}
