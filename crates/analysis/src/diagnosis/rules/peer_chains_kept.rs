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

fn look(unclaimed: &mut Unclaimed<'_>) -> Option<Finding> {
    let is_of_peer = |held: &Holding| held.reading == Some(Reading::Peer);
    let each = unclaimed.case.of_each(unclaimed.count(Object::X509, is_of_peer))?;
    if each < 0.5 {
        return None;
    }
    let places = unclaimed.pick(|held| is_of_peer(held) || is_part_of_peers(&held.calls));
    let title = "connections keep the chains that their peers sent";
    let finding = Finding::of_connections(&RULE, unclaimed, title, places);
    Some(finding.fact("certificates of the peer for each connection", each))
}
