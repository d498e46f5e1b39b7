//! Records are compressed: zlib keeps its state for both directions of every connection.

use crate::diagnosis::finding::{Finding, Rule};
use crate::diagnosis::holding::Holding;
use crate::diagnosis::unclaimed::Unclaimed;

pub static RULE: Rule = Rule {
    id: "compression-negotiated",
    look,
    trade_off: "More bytes on the wire for text that is not compressed otherwise. TLS 1.3 has no \
                compression, and with it secrets can be guessed from lengths (CRIME).",
    link: "https://docs.openssl.org/master/man3/SSL_COMP_add_compression_method/",
    part_of: None,
};

fn look(unclaimed: &mut Unclaimed<'_>) -> Option<Finding> {
    /// Less than the smallest state of any method.
    const LEAST: f64 = 4_096.0;
    let case = unclaimed.case;
    let state = unclaimed.amount(|held| held.group() == "compression");
    if case.of_each(state.bytes)? < LEAST {
        return None;
    }
    let places = unclaimed.pick(is_of_compression);
    let title = "connections negotiate record compression";
    let finding = Finding::of_connections(&RULE, unclaimed, title, places);
    let blocks = case.per_connection(state.blocks)?;
    Some(finding.fact("blocks of compression for each connection", blocks))
}

/// The state, and the buffer into which records are decompressed.
fn is_of_compression(held: &Holding) -> bool {
    let leaf = held.leaf();
    held.group() == "compression"
        || leaf.file == "ssl/record/ssl3_record.c"
        || leaf.function.ends_with("do_uncompress")
}
