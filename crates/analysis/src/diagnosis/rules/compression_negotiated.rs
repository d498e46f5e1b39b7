//! Records are compressed: zlib keeps its state for both directions of every connection.

use crate::diagnosis::case::Case;
use crate::diagnosis::finding::{Ecosystem, Finding, Rule, remedy};
use crate::diagnosis::holding::Holding;

pub static RULE: Rule = Rule {
    id: "compression-negotiated",
    look,
    remedies: &[
        remedy(
            Ecosystem::C,
            "SSL_CTX_set_options(ctx, SSL_OP_NO_COMPRESSION); where that does not exist, empty \
             the stack of SSL_COMP_get_compression_methods() before the first connection.",
        ),
        remedy(
            Ecosystem::Rust,
            "SslContextBuilder::set_options(SslOptions::NO_COMPRESSION). SslAcceptor and \
             SslConnector set it by themselves.",
        ),
        remedy(Ecosystem::Node, "Node empties the stack of methods at its start."),
        remedy(Ecosystem::Nginx, "nginx sets the option by itself."),
        remedy(Ecosystem::Haproxy, "HAProxy sets the option by itself."),
        remedy(
            Ecosystem::OpensslCnf,
            "Options = -Compression in the section of the SSL_CONF module.",
        ),
    ],
    trade_off: "More bytes on the wire for text that is not compressed otherwise. TLS 1.3 has no \
                compression, and with it secrets can be guessed from lengths (CRIME).",
    link: "https://docs.openssl.org/master/man3/SSL_COMP_add_compression_method/",
    part_of: None,
};

fn look(case: &Case) -> Option<Finding> {
    /// Less than the smallest state of any method.
    const LEAST: f64 = 4_096.0;
    let state = case.amount(|held| held.group() == "compression");
    if case.per_connection(state.bytes)? < LEAST {
        return None;
    }
    let held = case.holdings.iter().filter(|held| is_of_compression(held));
    let finding =
        Finding::of_holdings(&RULE, case, held, "connections negotiate record compression");
    Some(
        finding
            .fact("blocks of compression for each connection", case.per_connection(state.blocks)?),
    )
}

/// The state, and the buffer into which records are decompressed.
fn is_of_compression(held: &Holding) -> bool {
    let leaf = held.leaf();
    held.group() == "compression"
        || leaf.file == "ssl/record/ssl3_record.c"
        || leaf.function.ends_with("do_uncompress")
}
