//! Connections talk through BIO pairs, whose two halves have a buffer each.

use crate::diagnosis::case::Case;
use crate::diagnosis::finding::{Ecosystem, Finding, Rule, remedy};
use crate::diagnosis::holding::Holding;

pub static RULE: Rule = Rule {
    id: "bio-pairs",
    look,
    remedies: &[remedy(
        Ecosystem::C,
        "Ask for smaller buffers (BIO_new_bio_pair(&a, n, &b, m), BIO_set_write_buf_size), or \
             use a socket BIO or memory BIOs. Free both halves.",
    )],
    trade_off: "A smaller buffer takes more calls to move a record; a memory BIO grows to the \
                largest flight and does not shrink.",
    link: "https://docs.openssl.org/master/man3/BIO_s_bio/",
    part_of: None,
};

fn look(case: &Case) -> Option<Finding> {
    let buffers = case.amount(is_half);
    let each = case.per_connection(buffers.blocks)?;
    if each < 0.5 {
        return None;
    }
    let held = case.holdings.iter().filter(|held| is_half(held));
    let finding = Finding::of_holdings(&RULE, case, held, "connections talk through BIO pairs");
    Some(finding.fact("buffers of BIO pairs for each connection", each))
}

/// A buffer, not the struct of some hundred bytes beside it.
fn is_half(held: &Holding) -> bool {
    held.leaf().file == "crypto/bio/bss_bio.c" && held.block_size().is_some_and(|size| size >= 512)
}
