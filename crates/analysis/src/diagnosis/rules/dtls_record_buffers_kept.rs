//! Idle DTLS connections keep their record buffers, whatever the mode says.

use super::{is_dtls, is_record_buffer};
use crate::diagnosis::case::Case;
use crate::diagnosis::finding::{Ecosystem, Finding, Rule, remedy};

pub static RULE: Rule = Rule {
    id: "dtls-record-buffers-kept",
    look,
    remedies: &[remedy(
        Ecosystem::C,
        "SSL_free_buffers(ssl) on a connection that is going to be idle, and \
         SSL_alloc_buffers(ssl) before it is used again: OpenSSL 3.0 crashes when it writes \
         without one. SSL_MODE_RELEASE_BUFFERS does not do it: with DTLS, 3.0 gives no buffer \
         back, and 4.0 the write buffer only.",
    )],
    trade_off: "The program has to know when a connection is idle, and that no record of it has \
                arrived in part.",
    link: "https://docs.openssl.org/master/man3/SSL_alloc_buffers/",
    part_of: None,
};

fn look(case: &Case) -> Option<Finding> {
    if !is_dtls(case) {
        return None;
    }
    let blocks = case.per_connection(case.amount(is_record_buffer).blocks)?;
    if blocks < 0.5 {
        return None;
    }
    let held = case.holdings.iter().filter(|held| is_record_buffer(held) && held.bytes > 0);
    let finding =
        Finding::of_holdings(&RULE, case, held, "idle DTLS connections keep their record buffers");
    Some(finding.fact("record buffers for each connection", blocks))
}
