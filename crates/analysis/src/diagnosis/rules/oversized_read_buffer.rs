//! The read buffer is larger than a record.

use super::is_record_buffer;
use crate::diagnosis::case::{Case, amount};
use crate::diagnosis::finding::{Ecosystem, Finding, Rule, remedy};
use crate::diagnosis::holding::Holding;

pub static RULE: Rule = Rule {
    id: "oversized-read-buffer",
    look,
    remedies: &[remedy(
        Ecosystem::C,
        "Leave SSL_CTX_set_default_read_buffer_len and SSL_set_default_read_buffer_len out, \
             or ask for less; and for fewer pipelines (SSL_CTX_set_max_pipelines).",
    )],
    trade_off: "With read-ahead on, a large buffer saves calls of read() while much data arrives.",
    link: "https://docs.openssl.org/master/man3/SSL_CTX_set_split_send_fragment/",
    part_of: Some("record-buffers-kept"),
};

/// What OpenSSL takes by itself for a record of 16 KB: 16,709 to 16,716 bytes by version.
const USUAL: i64 = 16_716;

/// With room for compression it is larger by 1,024.
const LARGEST_USUAL: i64 = 17_900;

fn look(case: &Case) -> Option<Finding> {
    let large = |held: &Holding| {
        is_record_buffer(held) && held.block_size().is_some_and(|size| size > LARGEST_USUAL)
    };
    let held: Vec<Holding> =
        case.holdings.iter().filter(|held| large(held) && held.bytes > 0).cloned().collect();
    let all = amount(&held, |_| true);
    if case.per_connection(all.blocks)? < 0.5 {
        return None;
    }
    let excess = all.bytes - all.blocks * USUAL;
    let each = case.per_connection(excess);
    Some(
        Finding {
            bytes_per_connection: each,
            bytes_total: excess,
            at_rest_per_connection: each,
            ..Finding::about(&RULE, "read buffers are larger than a record", held)
        }
        .fact("bytes of each of these buffers", all.bytes as f64 / all.blocks as f64),
    )
}
