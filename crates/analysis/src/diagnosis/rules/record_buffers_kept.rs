//! Idle connections keep their record buffers.

use super::{is_dtls, is_record_buffer};
use crate::diagnosis::finding::{Finding, Rule};
use crate::diagnosis::holding::Holding;
use crate::diagnosis::unclaimed::Unclaimed;

pub static RULE: Rule = Rule {
    id: "record-buffers-kept",
    look,
    trade_off: "One malloc and free of 16.5 KB for each record that is read or written: more \
                allocations, some processor time. A record that has arrived in part keeps its \
                buffer.",
    link: "https://docs.openssl.org/master/man3/SSL_CTX_set_mode/",
    part_of: None,
};

fn look(unclaimed: &mut Unclaimed<'_>) -> Option<Finding> {
    let case = unclaimed.case;
    let places = unclaimed.pick(is_record_buffer);
    let each = case.of_each(unclaimed.amount_at(&places).blocks)?;
    // Connections in the middle of a record have a buffer at any time.
    if each < 0.5 || is_dtls(case) {
        return None;
    }
    let [reading, writing] = [Direction::Read, Direction::Write].map(|way| {
        let blocks = unclaimed.amount(|held| direction(held) == Some(way)).blocks;
        case.per_connection(blocks).unwrap_or_default()
    });
    // Whoever gives no buffer back has both of them.
    if let Some(why) = why_not_both(reading, writing) {
        unclaimed.note(&RULE, why);
        return None;
    }
    let title = "idle connections keep their record buffers";
    let finding = Finding::of_connections(&RULE, unclaimed, title, places);
    Some(finding.fact("record buffers for each connection", each))
}

/// What a buffer is for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Direction {
    Read,
    Write,
}

/// Told by the function; where it has no name, by the size: the read buffer has room for what a
/// cipher may add to a record, and is larger.
fn direction(held: &Holding) -> Option<Direction> {
    const LEAST_READ: i64 = 16_650;
    if !is_record_buffer(held) {
        return None;
    }
    let function = held.leaf().function.as_str();
    Some(match () {
        () if function.contains("read") => Direction::Read,
        () if function.contains("write") => Direction::Write,
        () if held.block_size()? >= LEAST_READ => Direction::Read,
        () => Direction::Write,
    })
}

/// Why buffers are there although connections give them back.
fn why_not_both(reading: f64, writing: f64) -> Option<&'static str> {
    const FEW: f64 = 0.1;
    match (reading < FEW, writing < FEW) {
        (true, false) => Some(
            "each connection has a write buffer and no read buffer: SSL_MODE_RELEASE_BUFFERS is \
             on already, and a ticket after the handshake has brought the write buffer back",
        ),
        (false, true) => Some(
            "each connection has a read buffer and no write buffer: SSL_MODE_RELEASE_BUFFERS is \
             on already, and a thread waits in SSL_read with its buffer",
        ),
        _ => None,
    }
}
