//! DTLS keeps the buffer of handshake messages as long as the connection.

use super::is_dtls;
use crate::diagnosis::case::Case;
use crate::diagnosis::finding::{Ecosystem, Finding, Rule, remedy};
use crate::diagnosis::holding::Holding;

pub static RULE: Rule = Rule {
    id: "dtls-handshake-buffer-kept",
    look,
    remedies: &[remedy(
        Ecosystem::C,
        "OpenSSL has no switch for it: the buffer is kept on purpose, for retransmissions. \
             TLS frees it after the handshake.",
    )],
    trade_off: "There is nothing to trade: it is a cost of DTLS to be counted with.",
    link: "https://github.com/openssl/openssl/issues/13242",
    part_of: None,
};

fn look(case: &Case) -> Option<Finding> {
    // In TLS the buffer lives during the handshake only.
    let buffers = case.amount(is_handshake_buffer);
    if !is_dtls(case) || case.per_connection(buffers.blocks)? < 0.5 {
        return None;
    }
    let held = case.holdings.iter().filter(|held| is_handshake_buffer(held));
    Some(Finding::of_holdings(
        &RULE,
        case,
        held,
        "DTLS connections keep the buffer of handshake messages",
    ))
}

/// A stripped libssl has no names for what its exported functions jump to.
const UNNAMED: &str = "libssl.so*";

/// 16,384 bytes, rounded up by a third.
fn is_handshake_buffer(held: &Holding) -> bool {
    held.leaf().file == "crypto/buffer/buffer.c"
        && held.block_size().is_some_and(|size| (16_384..=22_000).contains(&size))
        && held.passes_function(&["SSL_*", "state_machine", "DTLS*", "dtls1_*", UNNAMED])
}
