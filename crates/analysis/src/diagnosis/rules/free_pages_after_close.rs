//! Memory that was freed when connections were closed, and that the allocator keeps.

use super::free_pages_kept;
use crate::diagnosis::finding::{Finding, Rule};
use crate::diagnosis::unclaimed::Unclaimed;

pub static RULE: Rule = Rule {
    id: "free-pages-after-close",
    look,
    trade_off: "Pages that were given back have to be fetched again, zeroed, for the next \
                connections.",
    link: "https://man7.org/linux/man-pages/man3/malloc_trim.3.html",
    part_of: None,
};

fn look(unclaimed: &mut Unclaimed<'_>) -> Option<Finding> {
    let whole = unclaimed.case.whole.as_ref()?;
    let closed = whole.after_close.as_ref()?;
    let told = unclaimed.has_found(&free_pages_kept::RULE);
    // What is kept with the connections open too is in that finding.
    let before = if told { whole.free_pages_bytes } else { 0 };
    let free = closed.free_pages_bytes.saturating_sub(before);
    if !free_pages_kept::are_many(free, closed.resident_bytes) {
        return None;
    }
    let title = "the allocator keeps the memory of connections that were closed";
    let bytes = i64::try_from(free).unwrap_or(i64::MAX);
    let share = free as f64 / closed.resident_bytes.max(1) as f64;
    let what = "share of the memory that is resident and in no file after the last was closed";
    Some(Finding::about(&RULE, title, []).saving(bytes).fact(what, share))
}
