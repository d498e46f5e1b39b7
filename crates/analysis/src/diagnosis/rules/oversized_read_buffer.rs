//! The read buffer is larger than a record.

use super::is_record_buffer;
use crate::diagnosis::finding::{Finding, Rule};
use crate::diagnosis::holding::Holding;
use crate::diagnosis::unclaimed::Unclaimed;

pub static RULE: Rule = Rule {
    id: "oversized-read-buffer",
    look,
    trade_off: "With read-ahead on, a large buffer saves calls of read() while much data arrives.",
    link: "https://docs.openssl.org/master/man3/SSL_CTX_set_split_send_fragment/",
    part_of: Some("record-buffers-kept"),
};

/// What OpenSSL takes by itself for a record of 16 KB: 16,709 to 16,716 bytes by version.
const USUAL: i64 = 16_716;

/// With room for compression it is larger by 1,024.
const LARGEST_USUAL: i64 = 17_900;

fn look(unclaimed: &mut Unclaimed<'_>) -> Option<Finding> {
    let case = unclaimed.case;
    let large = |held: &Holding| {
        is_record_buffer(held) && held.block_size().is_some_and(|size| size > LARGEST_USUAL)
    };
    let all = case.amount(large);
    if case.of_each(all.blocks)? < 0.5 {
        return None;
    }
    let held = case.holdings.iter().filter(|held| large(held));
    Some(
        Finding::about(&RULE, "read buffers are larger than a record", held)
            .saving(all.bytes.saturating_sub(all.blocks.saturating_mul(USUAL)))
            .for_each_connection(case)
            .fact("bytes of each of these buffers", all.bytes as f64 / all.blocks as f64),
    )
}
