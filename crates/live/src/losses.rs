//! What recorders say of themselves, of several processes together.

use ledger::Statistics;

/// Adds up what recorders say.
pub(crate) fn together<'a>(each: impl IntoIterator<Item = &'a Statistics>) -> Statistics {
    let mut sum = Statistics::default();
    for one in each {
        sum.dropped.add(&one.dropped);
        let figures = [
            (&mut sum.untracked_blocks, one.untracked_blocks),
            (&mut sum.untracked_bytes, one.untracked_bytes),
            (&mut sum.foreign_frees, one.foreign_frees),
            (&mut sum.stale_blocks, one.stale_blocks),
            (&mut sum.nested_calls, one.nested_calls),
            (&mut sum.truncated_stacks, one.truncated_stacks),
            (&mut sum.sites, one.sites),
            (&mut sum.site_capacity, one.site_capacity),
            (&mut sum.ledger_bytes, one.ledger_bytes),
            (&mut sum.private_bytes, one.private_bytes),
            (&mut sum.unrecorded_children, one.unrecorded_children),
            (&mut sum.unsettled_events, one.unsettled_events),
            (&mut sum.earlier_blocks, one.earlier_blocks),
            (&mut sum.broken_stacks, one.broken_stacks),
        ];
        for (sum, more) in figures {
            *sum = sum.saturating_add(more);
        }
        sum.hook_replaced |= one.hook_replaced;
        sum.sandboxed |= one.sandboxed;
    }
    sum
}
