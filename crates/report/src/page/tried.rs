//! What the page says of fixes that were tried one by one.

use analysis::notation::{human, rounded};
use capture::records::what_if::{Cost, Tried as Record, WhatIf};

use crate::html::Tried;

/// The fixes, in the order of the record.
pub(super) fn fixes(outcome: &WhatIf) -> Vec<Tried> {
    outcome.fixes.iter().map(|fix| tried(fix, &outcome.as_it_is)).collect()
}

fn tried(fix: &Record, before: &Cost) -> Tried {
    let not_applied = fix.not_applied.iter().map(|why| format!("Not applied: {why}."));
    let rate = |cost: &Cost| cost.handshakes_per_second.filter(|rate| *rate > 0.0);
    let faster = fix.cost.as_ref().and_then(rate).zip(rate(before));
    Tried {
        name: fix.name.clone(),
        saved: fix.saved_bytes_per_connection.map(|saved| match before.bytes_per_connection {
            Some(all) if all > 0.0 => {
                format!("{} ({:.1} %)", rounded(saved), 100.0 * saved / all)
            }
            _ => rounded(saved),
        }),
        predicted: fix.predicted_bytes_per_connection.map(rounded),
        saved_resident: fix.saved_resident_bytes.map(human),
        handshakes: faster.map(|(now, then)| format!("{:+.0} %", 100.0 * (now / then - 1.0))),
        said: not_applied.chain(fix.remarks.iter().cloned()).collect(),
    }
}
