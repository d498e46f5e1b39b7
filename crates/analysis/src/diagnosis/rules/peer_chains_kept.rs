//! Each connection keeps the certificates that its peer has sent.

use crate::diagnosis::finding::{Finding, Rule};
use crate::diagnosis::holding::Holding;
use crate::diagnosis::reading::{Reading, is_part_of_peers};
use crate::diagnosis::unclaimed::Unclaimed;
use crate::objects::Object;

pub static RULE: Rule = Rule {
    id: "peer-chains-kept",
    look,
    trade_off: "A peer that leaves intermediate certificates out can only be verified by who has \
                them already.",
    link: "https://docs.openssl.org/master/man3/SSL_get_peer_cert_chain/",
    part_of: None,
};

/// So many certificates for each connection are more than one.
const A_CHAIN: f64 = 1.5;

/// Functions in which a client reads what its server has sent.
const CLIENTS: [&str; 2] = ["SSL_connect", "tls_process_server_certificate"];

fn look(unclaimed: &mut Unclaimed<'_>) -> Option<Finding> {
    let is_of_peer = |held: &Holding| held.reading == Some(Reading::Peer);
    let each = unclaimed.case.of_each(unclaimed.count(Object::X509, is_of_peer))?;
    if each < 0.5 {
        return None;
    }
    // A client has to verify its server, and nobody sends less than one certificate.
    let of_servers = unclaimed.amount(|held| is_of_peer(held) && held.passes_function(&CLIENTS));
    if each < A_CHAIN || of_servers.blocks > 0 {
        unclaimed.note(&RULE, "connections keep the certificates of their peers, as they have to");
        return None;
    }
    let places = unclaimed.pick(|held| is_of_peer(held) || is_part_of_peers(&held.calls));
    let title = "connections keep the chains that their peers sent";
    let finding = Finding::of_connections(&RULE, unclaimed, title, places);
    Some(finding.fact("certificates of the peer for each connection", each))
}
