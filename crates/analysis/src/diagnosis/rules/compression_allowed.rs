//! Compression is not used but allowed: every record buffer has room for what it might add.

use super::is_record_buffer;
use crate::diagnosis::finding::{Finding, Rule};
use crate::diagnosis::holding::Holding;
use crate::diagnosis::unclaimed::Unclaimed;

pub static RULE: Rule = Rule {
    id: "compression-allowed",
    look,
    trade_off: "None while no connection negotiates compression.",
    link: "https://docs.openssl.org/master/man3/SSL_CTX_set_options/",
    part_of: Some("record-buffers-kept"),
};

/// `SSL3_RT_MAX_COMPRESSED_OVERHEAD`: by so much a record may grow, and each buffer does.
const OVERHEAD: i64 = 1_024;

fn look(unclaimed: &mut Unclaimed<'_>) -> Option<Finding> {
    let case = unclaimed.case;
    let compresses = case.amount(|held| held.group() == "compression");
    if case.of_each(compresses.bytes)? >= 4_096.0 {
        return None;
    }
    // The write buffer may be smaller by far, but has the same room once the read buffer has it.
    let read = case.amount(has_room);
    if case.per_connection(read.blocks)? < 0.5 {
        return None;
    }
    let buffers = case.holdings.iter().filter(|held| is_record_buffer(held));
    let blocks = case.amount(is_record_buffer).blocks;
    let title = "record compression is allowed, and buffers have room for it";
    Some(
        Finding::about(&RULE, title, buffers)
            .saving(blocks.saturating_mul(OVERHEAD))
            .for_each_connection(case)
            .fact("bytes of room in each buffer", OVERHEAD as f64)
            .fact("record buffers for each connection", case.per_connection(blocks)?),
    )
}

/// A buffer for records of 16 KB, and with this room. Without it, it has 16.5 to 16.8 KB.
fn has_room(held: &Holding) -> bool {
    const SIZES: std::ops::RangeInclusive<i64> = 17_408..=17_900;
    is_record_buffer(held) && held.block_size().is_some_and(|size| SIZES.contains(&size))
}
