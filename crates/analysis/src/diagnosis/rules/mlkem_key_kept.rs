//! The peer's ML-KEM key stays after the handshake, which nothing needs any more.

use crate::diagnosis::case::Case;
use crate::diagnosis::finding::{Ecosystem, Finding, Rule, remedy};
use crate::diagnosis::holding::Holding;

pub static RULE: Rule = Rule {
    id: "mlkem-key-kept",
    look,
    remedies: &[
        remedy(
            Ecosystem::C,
            "SSL_CTX_set1_groups_list(ctx, \"X25519:P-256\"): a list without ML-KEM.",
        ),
        remedy(Ecosystem::Rust, "SslContextBuilder::set_groups_list(\"X25519:P-256\")."),
        remedy(
            Ecosystem::Node,
            "The option ecdhCurve: 'X25519:P-256' of tls.createServer() and \
             tls.createSecureContext().",
        ),
        remedy(Ecosystem::Nginx, "ssl_ecdh_curve X25519:prime256v1;"),
        remedy(Ecosystem::Haproxy, "curves X25519:P-256 on the bind line."),
        remedy(
            Ecosystem::OpensslCnf,
            "Groups = X25519:P-256 in the section of the SSL_CONF module.",
        ),
    ],
    trade_off: "Gives the post-quantum key exchange up: what is recorded today could be read by a \
                quantum computer later. For most servers 6.5 KB a connection are not worth that.",
    link: "https://docs.openssl.org/master/man3/SSL_CTX_set1_curves/",
    part_of: None,
};

fn look(case: &Case) -> Option<Finding> {
    /// A quarter of the smallest key (ML-KEM-512), so that every second connection is enough.
    const LEAST: f64 = 1_024.0;
    let keys = case.amount(|held| held.category == "pkey.mlkem");
    if case.per_connection(keys.bytes)? < LEAST {
        return None;
    }
    let held = case.holdings.iter().filter(|held| is_of_key(held) && held.bytes > 0);
    let finding = Finding::of_holdings(
        &RULE,
        case,
        held,
        "connections keep the peer's ML-KEM key after the handshake",
    );
    Some(
        finding
            .fact("blocks of ML-KEM keys for each connection", case.per_connection(keys.blocks)?),
    )
}

/// The key, and the struct of the hybrid key around it.
fn is_of_key(held: &Holding) -> bool {
    held.category == "pkey.mlkem" || held.passes_function(&["mlx_kem_*", "ossl_ml_kem_*"])
}
