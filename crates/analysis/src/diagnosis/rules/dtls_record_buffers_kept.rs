//! Idle DTLS connections keep their record buffers, whatever the mode says.

use super::{is_dtls, is_record_buffer};
use crate::diagnosis::finding::{Finding, Rule};
use crate::diagnosis::unclaimed::Unclaimed;

pub static RULE: Rule = Rule {
    id: "dtls-record-buffers-kept",
    look,
    trade_off: "The program has to know when a connection is idle, and that no record of it has \
                arrived in part.",
    link: "https://docs.openssl.org/master/man3/SSL_alloc_buffers/",
    part_of: None,
};

fn look(unclaimed: &mut Unclaimed<'_>) -> Option<Finding> {
    if !is_dtls(unclaimed.case) {
        return None;
    }
    let places = unclaimed.pick(is_record_buffer);
    let each = unclaimed.case.of_each(unclaimed.amount_at(&places).blocks)?;
    if each < 0.5 {
        return None;
    }
    let title = "idle DTLS connections keep their record buffers";
    let finding = Finding::of_connections(&RULE, unclaimed, title, places);
    Some(finding.fact("record buffers for each connection", each))
}
