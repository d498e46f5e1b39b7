//! DTLS keeps the buffer of handshake messages as long as the connection.

use super::is_dtls;
use crate::diagnosis::finding::{Finding, Rule};
use crate::diagnosis::holding::Holding;
use crate::diagnosis::unclaimed::Unclaimed;

pub static RULE: Rule = Rule {
    id: "dtls-handshake-buffer-kept",
    look,
    trade_off: "There is nothing to trade: it is a cost of DTLS to be counted with.",
    link: "https://github.com/openssl/openssl/issues/13242",
    part_of: None,
};

fn look(unclaimed: &mut Unclaimed<'_>) -> Option<Finding> {
    // In TLS the buffer lives during the handshake only.
    let places = unclaimed.pick(is_handshake_buffer);
    let each = unclaimed.case.of_each(unclaimed.amount_at(&places).blocks)?;
    if !is_dtls(unclaimed.case) || each < 0.5 {
        return None;
    }
    let title = "DTLS connections keep the buffer of handshake messages";
    Some(Finding::of_connections(&RULE, unclaimed, title, places))
}

/// A stripped libssl has no names for what its exported functions jump to.
const UNNAMED: &str = "libssl.so*";

/// 16,384 bytes, rounded up by a third.
fn is_handshake_buffer(held: &Holding) -> bool {
    held.leaf().file == "crypto/buffer/buffer.c"
        && held.block_size().is_some_and(|size| (16_384..=22_000).contains(&size))
        && held.passes_function(&["SSL_*", "state_machine", "DTLS*", "dtls1_*", UNNAMED])
}
