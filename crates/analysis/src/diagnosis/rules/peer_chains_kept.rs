//! Each connection keeps the certificates that its peer has sent.

use super::is_of_peer_certificate;
use crate::diagnosis::case::Case;
use crate::diagnosis::finding::{Ecosystem, Finding, Rule, remedy};
use crate::diagnosis::holding::Holding;

pub static RULE: Rule = Rule {
    id: "peer-chains-kept",
    look,
    remedies: &[remedy(
        Ecosystem::C,
        "OpenSSL has no switch for it: whatever the peer sends is kept as long as the \
             connection. Have peers send short chains.",
    )],
    trade_off: "A peer that leaves intermediate certificates out can only be verified by who has \
                them already.",
    link: "https://docs.openssl.org/master/man3/SSL_get_peer_cert_chain/",
    part_of: None,
};

fn look(case: &Case) -> Option<Finding> {
    let held = || case.holdings.iter().filter(|held| is_of_peer_certificate(held));
    let certificates = case.amount(|held| is_of_peer_certificate(held) && is_certificate(held));
    let each = case.per_connection(certificates.blocks)?;
    if each < 0.5 {
        return None;
    }
    let finding = Finding::of_holdings(
        &RULE,
        case,
        held(),
        "connections keep the chains that their peers sent",
    );
    Some(finding.fact("certificates of the peer for each connection", each))
}

/// The struct itself, which is by far the largest that decoding a certificate allocates.
fn is_certificate(held: &Holding) -> bool {
    held.leaf().file == "crypto/asn1/tasn_new.c"
        && held.block_size().is_some_and(|size| size >= 256)
}
