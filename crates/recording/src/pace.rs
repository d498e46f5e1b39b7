//! How far apart looks lie: close to each other while something moves, and further apart when
//! nothing has for a while, so that whoever rests is not looked at for nothing.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ledger::Snapshot;

use crate::watch::Sight;

/// Between two looks while something moves.
pub(crate) const CLOSE: Duration = Duration::from_millis(50);

/// Between two looks where nothing has moved for long. What begins then is seen so much later.
const FAR: Duration = Duration::from_millis(400);

/// Where nothing has moved for so long, looks begin to lie further apart.
const AWHILE: Duration = Duration::from_secs(2);

/// Between two looks, one part in so many of the time that a look takes is to pass.
const SHARE: u32 = 10;

/// When to look next.
#[derive(Debug)]
pub(crate) struct Pace {
    /// What was seen at the last look: the same where nothing was counted since.
    last: Vec<Arc<Snapshot>>,
    still_since: Instant,
    /// How long the last look took.
    looking: Duration,
}

impl Pace {
    /// Nothing was seen yet.
    pub fn start(now: Instant) -> Pace {
        Pace { last: Vec::new(), still_since: now, looking: Duration::ZERO }
    }

    /// How long to wait after a look that took so long.
    pub fn after(&mut self, sight: &Sight, now: Instant, looking: Duration) -> Duration {
        let all = || sight.ledgers.values().chain(sight.heap.values());
        let is_same = self.last.len() == all().count()
            && self.last.iter().zip(all()).all(|(last, now)| Arc::ptr_eq(last, now));
        if !is_same {
            self.last = all().map(Arc::clone).collect();
            self.still_since = now;
        }
        let pause = match now.saturating_duration_since(self.still_since) {
            still if still > AWHILE => (CLOSE * 2).max(still / 20).min(FAR),
            _ => CLOSE,
        };
        // A look at which many names are needed for the first time takes long once.
        let least = looking.min(self.looking) * SHARE;
        self.looking = looking;
        pause.max(least)
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn sight(snapshot: &Arc<Snapshot>) -> Sight {
        let ledgers = [(PathBuf::from("1.ledger"), Arc::clone(snapshot))];
        Sight { ledgers: ledgers.into(), ..Sight::default() }
    }

    #[test]
    fn where_nothing_moves_looks_lie_further_apart_until_something_does() {
        let now = Instant::now();
        let mut pace = Pace::start(now);
        let (first, second) = (Arc::<Snapshot>::default(), Arc::<Snapshot>::default());
        let after = |pace: &mut Pace, snapshot: &Arc<Snapshot>, seconds: u64| {
            pace.after(&sight(snapshot), now + Duration::from_secs(seconds), Duration::ZERO)
        };
        assert_eq!(after(&mut pace, &first, 0), CLOSE);
        assert_eq!(after(&mut pace, &first, 2), CLOSE, "it may be a moment at rest");
        let further = after(&mut pace, &first, 3);
        assert!(CLOSE < further && further < FAR, "{further:?}");
        assert_eq!(after(&mut pace, &first, 60), FAR);
        assert_eq!(after(&mut pace, &second, 61), CLOSE);
        // Slow looks take a part of the time, whatever they see.
        let slow = Duration::from_millis(100);
        pace.after(&sight(&second), now, slow);
        assert_eq!(pace.after(&sight(&second), now, slow), slow * SHARE);
    }
}
