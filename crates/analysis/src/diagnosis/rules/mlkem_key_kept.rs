//! The peer's ML-KEM key stays after the handshake, which nothing needs any more.

use crate::diagnosis::finding::{Finding, Rule};
use crate::diagnosis::holding::Holding;
use crate::diagnosis::unclaimed::Unclaimed;

pub static RULE: Rule = Rule {
    id: "mlkem-key-kept",
    look,
    trade_off: "Gives the post-quantum key exchange up: what is recorded today could be read by a \
                quantum computer later. For most servers 6.5 KB a connection are not worth that.",
    link: "https://docs.openssl.org/master/man3/SSL_CTX_set1_curves/",
    part_of: None,
};

fn look(unclaimed: &mut Unclaimed<'_>) -> Option<Finding> {
    /// A quarter of the smallest key (ML-KEM-512), so that every second connection is enough.
    const LEAST: f64 = 1_024.0;
    let case = unclaimed.case;
    let keys = unclaimed.amount(|held| held.category == "pkey.mlkem");
    if case.of_each(keys.bytes)? < LEAST {
        return None;
    }
    let places = unclaimed.pick(is_of_key);
    let title = "connections keep the peer's ML-KEM key after the handshake";
    let finding = Finding::of_connections(&RULE, unclaimed, title, places);
    let blocks = case.per_connection(keys.blocks)?;
    Some(finding.fact("blocks of ML-KEM keys for each connection", blocks))
}

/// The key, and the struct of the hybrid key around it.
fn is_of_key(held: &Holding) -> bool {
    held.category == "pkey.mlkem" || held.passes_function(&["mlx_kem_*", "ossl_ml_kem_*"])
}
