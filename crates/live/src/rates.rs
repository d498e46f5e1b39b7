//! How fast things happen: what was counted between two looks.

use std::time::Duration;

use ledger::Counts;

/// What happens in a second, on average since an earlier look.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rates {
    /// Over so long.
    pub over: Duration,
    /// Blocks allocated.
    pub allocations: f64,
    /// Blocks freed.
    pub frees: f64,
    /// Bytes allocated.
    pub bytes: f64,
    /// SSL objects made; `None` where they are not counted.
    pub connections: Option<f64>,
}

impl Rates {
    /// From what was counted at two looks, and the SSL objects ever made at each.
    pub(crate) fn between(
        before: (&Counts, Option<u64>),
        after: (&Counts, Option<u64>),
        over: Duration,
    ) -> Option<Rates> {
        let seconds = over.as_secs_f64();
        if seconds <= 0.0 {
            return None;
        }
        let (old, new) = (before.0, after.0);
        let freed = |counts: &Counts| counts.alloc_blocks.saturating_sub(counts.inuse_blocks);
        // A process that has ended takes its counts along: nothing has happened backwards.
        let each = |old: u64, new: u64| new.saturating_sub(old) as f64 / seconds;
        Some(Rates {
            over,
            allocations: each(old.alloc_blocks, new.alloc_blocks),
            frees: each(freed(old), freed(new)),
            bytes: each(old.alloc_bytes, new.alloc_bytes),
            connections: before.1.zip(after.1).map(|(old, new)| each(old, new)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_what_was_counted_by_the_time_it_took() {
        let before = Counts { alloc_blocks: 10, inuse_blocks: 4, ..Counts::default() };
        let after =
            Counts { alloc_blocks: 30, inuse_blocks: 14, alloc_bytes: 400, ..Counts::default() };
        let rates = Rates::between((&before, Some(1)), (&after, Some(6)), Duration::from_secs(2));
        let rates = rates.expect("time has passed");
        assert_eq!((rates.allocations, rates.frees, rates.bytes), (10.0, 5.0, 200.0));
        assert_eq!(rates.connections, Some(2.5));
        assert_eq!(Rates::between((&before, None), (&after, None), Duration::ZERO), None);
    }
}
