//! Idle connections keep their record buffers.

use super::{is_dtls, is_record_buffer};
use crate::diagnosis::case::Case;
use crate::diagnosis::finding::{Ecosystem, Finding, Rule, remedy};

pub static RULE: Rule = Rule {
    id: "record-buffers-kept",
    look,
    remedies: &[
        remedy(
            Ecosystem::C,
            "SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS); or SSL_free_buffers(ssl) on a \
             connection that is going to be idle.",
        ),
        remedy(
            Ecosystem::Rust,
            "SslContextBuilder::set_mode(SslMode::RELEASE_BUFFERS). SslAcceptor and SslConnector \
             set it by themselves, SslContextBuilder::new does not.",
        ),
        remedy(
            Ecosystem::Python,
            "pyOpenSSL (and Twisted, which uses it): Context.set_mode(SSL.MODE_RELEASE_BUFFERS). \
             The standard module ssl sets it by itself.",
        ),
        remedy(Ecosystem::Node, "Node sets it by itself for each connection."),
        remedy(Ecosystem::Nginx, "nginx sets it by itself."),
        remedy(Ecosystem::Haproxy, "HAProxy sets it by itself."),
    ],
    trade_off: "One malloc and free of 16.5 KB for each record that is read or written: more \
                allocations, some processor time. A record that has arrived in part keeps its \
                buffer.",
    link: "https://docs.openssl.org/master/man3/SSL_CTX_set_mode/",
    part_of: None,
};

fn look(case: &Case) -> Option<Finding> {
    let kept = case.amount(is_record_buffer);
    let blocks = case.per_connection(kept.blocks)?;
    // Connections in the middle of a record have a buffer at any time.
    if blocks < 0.5 || is_dtls(case) {
        return None;
    }
    let held = case.holdings.iter().filter(|held| is_record_buffer(held) && held.bytes > 0);
    let finding =
        Finding::of_holdings(&RULE, case, held, "idle connections keep their record buffers");
    Some(finding.fact("record buffers for each connection", blocks))
}
