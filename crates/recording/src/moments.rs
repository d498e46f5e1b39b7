//! The moments that are kept of a recording: before the first connection, and at the capture.

use std::time::Duration;

use crate::watch::{Ledgers, Sight};

/// One moment.
#[derive(Clone, Debug)]
pub struct Moment {
    /// After the program's start.
    pub after: Duration,
    /// What was so then, as "with 50 SSL objects at rest"; may be empty.
    pub how: String,
    pub ledgers: Ledgers,
    /// What is not OpenSSL's, where it is recorded.
    pub heap: Ledgers,
}

/// What is kept.
#[derive(Clone, Debug, Default)]
pub struct Moments {
    /// The last one before the capture at which OpenSSL was in use, no SSL object was there, and
    /// nothing had changed since the look before.
    pub baseline: Option<Moment>,
    /// The capture, where it was made while the program ran.
    pub captured: Option<Moment>,
    /// After the connections of the capture were closed, where they were.
    pub closed: Option<Moment>,
    /// Bytes and blocks in use at the last look.
    last: Option<(u64, u64)>,
}

impl Moment {
    /// What is seen, as a moment.
    pub fn new(sight: &Sight, after: Duration, how: &str) -> Moment {
        let (ledgers, heap) = (sight.ledgers.clone(), sight.heap.clone());
        Moment { after, how: how.to_owned(), ledgers, heap }
    }
}

impl Moments {
    /// Keeps what is seen if it is a baseline.
    pub fn consider(&mut self, sight: &Sight, after: Duration) {
        let now = (sight.totals.inuse_bytes, sight.totals.inuse_blocks);
        let still = self.last.replace(now) == Some(now);
        if self.captured.is_none() && still && sight.ssl.live == 0 && now.1 > 0 {
            self.baseline = Some(Moment::new(sight, after, ""));
        }
    }

    /// Makes the capture, if there is none: the first one counts.
    pub fn capture(&mut self, sight: &Sight, after: Duration, how: &str) {
        if self.captured.is_none() {
            self.captured = Some(Moment::new(sight, after, how));
        }
    }
}

#[cfg(test)]
mod tests {
    use ledger::Counts;

    use super::*;
    use crate::watch::SslObjects;

    fn sight(live: i64, bytes: u64) -> Sight {
        let totals = Counts { inuse_bytes: bytes, inuse_blocks: bytes, ..Counts::default() };
        Sight { totals, ssl: SslObjects { live, made: live }, ..Sight::default() }
    }

    fn baseline_after(seen: &[(i64, u64)]) -> Option<u64> {
        let mut moments = Moments::default();
        for (second, (live, bytes)) in (0..).zip(seen) {
            moments.consider(&sight(*live, *bytes), Duration::from_secs(second));
        }
        moments.baseline.map(|moment| moment.after.as_secs())
    }

    #[test]
    fn the_baseline_is_the_last_still_moment_without_connections() {
        assert_eq!(baseline_after(&[(0, 0), (0, 0), (0, 7), (0, 9), (0, 9), (3, 60)]), Some(4));
        // Another, after connections that have gone.
        assert_eq!(baseline_after(&[(0, 9), (0, 9), (3, 60), (0, 12), (0, 12), (3, 60)]), Some(4));
        // Nothing stood still before the first connection.
        assert_eq!(baseline_after(&[(0, 0), (0, 7), (3, 60), (3, 60)]), None);
    }

    #[test]
    fn the_first_capture_counts_and_ends_the_search_for_a_baseline() {
        let mut moments = Moments::default();
        let after = Duration::from_secs;
        moments.capture(&sight(3, 60), after(1), "first");
        moments.capture(&sight(4, 80), after(2), "second");
        moments.consider(&sight(0, 9), after(3));
        moments.consider(&sight(0, 9), after(4));
        assert!(moments.baseline.is_none());
        assert_eq!(moments.captured.map(|moment| moment.how).as_deref(), Some("first"));
    }
}
