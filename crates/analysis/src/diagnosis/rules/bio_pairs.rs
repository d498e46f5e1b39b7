//! Connections talk through BIO pairs, whose two halves have a buffer each.

use crate::diagnosis::finding::{Finding, Rule};
use crate::diagnosis::holding::Holding;
use crate::diagnosis::unclaimed::Unclaimed;

pub static RULE: Rule = Rule {
    id: "bio-pairs",
    look,
    trade_off: "A smaller buffer takes more calls to move a record; a memory BIO grows to the \
                largest flight and does not shrink.",
    link: "https://docs.openssl.org/master/man3/BIO_s_bio/",
    part_of: None,
};

fn look(unclaimed: &mut Unclaimed<'_>) -> Option<Finding> {
    let places = unclaimed.pick(is_half);
    let each = unclaimed.case.of_each(unclaimed.amount_at(&places).blocks)?;
    if each < 0.5 {
        return None;
    }
    let title = "connections talk through BIO pairs";
    let finding = Finding::of_connections(&RULE, unclaimed, title, places);
    Some(finding.fact("buffers of BIO pairs for each connection", each))
}

/// A buffer, not the struct of some hundred bytes beside it.
fn is_half(held: &Holding) -> bool {
    held.leaf().file == "crypto/bio/bss_bio.c" && held.block_size().is_some_and(|size| size >= 512)
}
