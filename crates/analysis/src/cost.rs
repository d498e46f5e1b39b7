//! What a connection costs altogether, and whether two costs differ by more than chance.

use std::num::NonZeroU64;

use profile::Metric;

use crate::counts::Counts;
use crate::per_connection::margin;
use crate::ratio::Estimated;

/// Bytes for each connection within which two recordings of one program differ by chance.
const BYTES_BY_CHANCE: f64 = 16.0;

/// Allocations for each handshake within which two recordings of one program differ by chance.
const ALLOCATIONS_BY_CHANCE: f64 = 10.0;

/// What the connections of a run added, for each of them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cost {
    /// Requested bytes.
    pub bytes: Estimated,
    /// Blocks.
    pub blocks: Estimated,
    /// Allocations from the load's start to the capture: handshake, welcome and echoes.
    pub allocations: Estimated,
}

/// What OpenSSL held at one moment, as its ledger and its profile have it.
#[derive(Clone, Copy, Debug)]
pub struct Held {
    /// The ledger's totals.
    pub totals: ledger::Counts,
    /// The totals of its profile, which know how far off they may be.
    pub openssl: Counts,
}

impl Cost {
    /// (At rest − baseline) / connections.
    pub fn per_connection(baseline: &Held, rest: &Held, connections: NonZeroU64) -> Cost {
        let growth = rest.openssl.minus(baseline.openssl);
        let share = |metric: Metric, now: u64, before: u64| Estimated {
            figure: (now as f64 - before as f64) / connections.get() as f64,
            margin: margin(&growth, metric, connections),
        };
        let (now, before) = (&rest.totals, &baseline.totals);
        Cost {
            bytes: share(Metric::InuseSpace, now.inuse_bytes, before.inuse_bytes),
            blocks: share(Metric::InuseObjects, now.inuse_blocks, before.inuse_blocks),
            allocations: share(Metric::AllocObjects, now.alloc_blocks, before.alloc_blocks),
        }
    }
}

/// Two figures of one kind, as far as both were measured.
#[derive(Clone, Copy, Debug)]
pub struct BeforeAndAfter {
    /// Without the change.
    pub before: Option<f64>,
    /// With the change.
    pub after: Option<f64>,
}

impl BeforeAndAfter {
    fn differ_by_at_most(self, most: f64) -> bool {
        self.before.zip(self.after).is_some_and(|(before, after)| (before - after).abs() <= most)
    }
}

/// Neither the bytes of a connection nor the allocations of a handshake differ by more than chance.
/// What was not measured is not known to be the same.
pub fn is_same(bytes_per_connection: BeforeAndAfter, allocs_per_handshake: BeforeAndAfter) -> bool {
    bytes_per_connection.differ_by_at_most(BYTES_BY_CHANCE)
        && allocs_per_handshake.differ_by_at_most(ALLOCATIONS_BY_CHANCE)
}

#[cfg(test)]
mod tests {
    use ledger::{Site, Snapshot};
    use profile::Sampling;

    use super::*;

    fn held(bytes: u64, blocks: u64, allocations: u64, sampling: Option<Sampling>) -> Held {
        let counts = ledger::Counts {
            inuse_bytes: bytes,
            inuse_blocks: blocks,
            alloc_blocks: allocations,
            ..ledger::Counts::default()
        };
        let site = Site { block_bytes: 100, counts, ..Site::default() };
        let ledger = Snapshot { sites: vec![site], sampling, ..Snapshot::default() };
        Held { totals: ledger.totals(), openssl: Counts::of_ledgers([&ledger]) }
    }

    #[test]
    fn what_was_there_before_is_taken_off_and_may_have_shrunk() {
        let four = NonZeroU64::new(4).expect("not zero");
        let cost = Cost::per_connection(&held(200, 9, 10, None), &held(1_000, 8, 50, None), four);
        let exact = |figure: f64| Estimated { figure, margin: None };
        let expected = Cost { bytes: exact(200.0), blocks: exact(-0.25), allocations: exact(10.0) };
        assert_eq!(cost, expected);
    }

    #[test]
    fn a_share_of_estimates_is_as_far_off_as_both_moments_divided() {
        let sampling = Sampling::every(1_000);
        let (before, rest) = (held(500, 5, 5, sampling), held(9_000, 90, 90, sampling));
        let cost = Cost::per_connection(&before, &rest, NonZeroU64::new(10).expect("not zero"));
        let growth = rest.openssl.minus(before.openssl);
        let tenth = |metric| growth.margin(metric).map(|margin| margin / 10.0);
        assert_eq!(cost.bytes.margin, tenth(Metric::InuseSpace));
        assert_eq!(cost.blocks.margin, tenth(Metric::InuseObjects));
        assert_eq!(cost.allocations.margin, tenth(Metric::AllocObjects));
        assert!(cost.allocations.margin > Some(0.0));
    }

    #[test]
    fn costs_are_the_same_where_both_figures_are_near_and_known() {
        let pair =
            |before: f64, after: f64| BeforeAndAfter { before: Some(before), after: Some(after) };
        assert!(is_same(pair(1_000.0, 1_016.0), pair(100.0, 90.0)));
        assert!(!is_same(pair(1_000.0, 1_016.5), pair(100.0, 90.0)));
        assert!(!is_same(pair(1_000.0, 1_016.0), pair(100.0, 110.5)));
        let unknown = BeforeAndAfter { before: Some(100.0), after: None };
        assert!(!is_same(pair(1_000.0, 1_000.0), unknown));
    }
}
