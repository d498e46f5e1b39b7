//! Memory that was freed, and that the allocator keeps.

use crate::diagnosis::finding::{Finding, Rule};
use crate::diagnosis::unclaimed::Unclaimed;

pub static RULE: Rule = Rule {
    id: "free-pages-kept",
    look,
    trade_off: "Pages that were given back have to be fetched again, zeroed, when they are next \
                needed.",
    link: "https://man7.org/linux/man-pages/man3/malloc_trim.3.html",
    part_of: None,
};

/// Less is a program's usual slack.
const LEAST: u64 = 4_000_000;

/// Whether free pages are worth a word: a quarter of all that the processes have.
pub(super) fn are_many(free: u64, resident: u64) -> bool {
    free >= LEAST && free.saturating_mul(4) >= resident
}

fn look(unclaimed: &mut Unclaimed<'_>) -> Option<Finding> {
    let whole = unclaimed.case.whole.as_ref()?;
    let free = whole.free_pages_bytes;
    if !are_many(free, whole.resident_bytes) {
        return None;
    }
    let title = "the allocator keeps memory that was freed";
    let bytes = i64::try_from(free).unwrap_or(i64::MAX);
    let share = free as f64 / whole.resident_bytes.max(1) as f64;
    let finding = Finding::about(&RULE, title, []).saving(bytes);
    Some(finding.fact("share of the memory that is resident and in no file", share))
}
