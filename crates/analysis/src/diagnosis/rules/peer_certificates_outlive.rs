//! Certificates of peers are live whose connections and sessions are gone.

use super::sessions::is_of_handshake;
use crate::diagnosis::finding::{Finding, Rule};
use crate::diagnosis::reading::Reading;
use crate::diagnosis::unclaimed::Unclaimed;
use crate::objects::Object;

pub static RULE: Rule = Rule {
    id: "peer-certificates-outlive",
    look,
    trade_off: "None: what nobody uses any more is freed.",
    link: "https://docs.openssl.org/master/man3/SSL_get_peer_certificate/",
    part_of: None,
};

/// A connection or a session keeps a chain of so many certificates at most.
const LONGEST_CHAIN: i64 = 4;

/// So many more than that are no chance.
const MANY: i64 = 64;

fn look(unclaimed: &mut Unclaimed<'_>) -> Option<Finding> {
    let case = unclaimed.case;
    let certificates = unclaimed.count(Object::X509, |held| held.reading == Some(Reading::Peer));
    let [connections, sessions] = [Object::Ssl, Object::SslSession].map(|object| case.live(object));
    if certificates < LONGEST_CHAIN * (connections + sessions) + MANY {
        return None;
    }
    let places = unclaimed.pick(is_of_handshake);
    let bytes = unclaimed.amount_at(&places).bytes;
    let title = format!("{certificates} certificates of peers outlive their connections");
    let mut finding = Finding::claiming(&RULE, case, title, places)
        .saving(bytes)
        .fact("certificates of peers", certificates as f64)
        .fact("SSL", connections as f64)
        .fact("SSL_SESSION", sessions as f64)
        .fact("bytes of each certificate", bytes as f64 / certificates as f64);
    if let Some(growth) = case.series.growth_of(Object::X509) {
        finding = finding.fact("X509 more than at first", growth.grown as f64);
    }
    Some(finding)
}
