//! When a recording is to be captured by itself.

use std::time::{Duration, Instant};

use crate::watch::Sight;

/// How long the number of SSL objects and OpenSSL's bytes must not change for a program to be
/// called at rest.
const REST: Duration = Duration::from_secs(1);

/// How long only the number of SSL objects must not change, where the bytes never stand still.
const RESTLESS: Duration = Duration::from_secs(10);

/// What to wait for before the capture; the first that is reached counts. Without any, the capture
/// is made when the program has ended or is interrupted.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct Goals {
    /// So long after the program's start.
    pub time: Option<Duration>,
    /// At least so many SSL objects, and neither their number nor OpenSSL's bytes move.
    pub at_rest: Option<u64>,
    /// No allocation for so long, after the first.
    pub idle: Option<Duration>,
}

/// How near the goals are.
#[derive(Debug)]
pub(crate) struct Waiting {
    goals: Goals,
    /// What was seen last, and since when each figure has been the same.
    live: Since<i64>,
    in_use: Since<u64>,
    allocated: Since<u64>,
}

/// The goal that was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reached {
    /// So many SSL objects, and nothing moves.
    Rest {
        /// SSL objects that were live.
        live: u64,
    },
    /// So many SSL objects, but OpenSSL's bytes do not stand still.
    Restless {
        /// SSL objects that were live.
        live: u64,
    },
    /// Nothing was allocated for so long.
    Idle(Duration),
    /// The time is over.
    Time,
    /// SSL objects were to be waited for, and none would be recognised.
    Unrecognisable,
}

/// Why SSL objects were not waited for: [`Reached::Unrecognisable`] as a sentence.
pub const UNRECOGNISABLE: &str = "--at-rest waits for SSL objects, and none would be recognised \
    here: this OpenSSL was built without the names of its files, and its functions have no names; \
    --for and --until-idle do not ask for them, and neither does a capture by SIGINT";

impl Reached {
    /// To be read after "captured after 3 s,".
    pub fn in_words(self) -> String {
        match self {
            Reached::Rest { live } => format!("with {live} SSL objects at rest"),
            Reached::Restless { live } => {
                format!("with {live} SSL objects, OpenSSL's bytes still moving")
            }
            Reached::Idle(time) => format!("with no allocation for {} s", time.as_secs_f64()),
            Reached::Time => "as --for says".to_owned(),
            Reached::Unrecognisable => "for SSL objects cannot be recognised in it".to_owned(),
        }
    }
}

/// A figure, and since when it has been so.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Since<T> {
    figure: T,
    since: Instant,
}

impl<T: PartialEq> Since<T> {
    pub fn new(figure: T, since: Instant) -> Since<T> {
        Since { figure, since }
    }

    /// How long it has been so.
    pub fn lasts(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.since)
    }

    pub fn update(&mut self, figure: T, now: Instant) {
        if figure != self.figure {
            *self = Since { figure, since: now };
        }
    }

    fn has_been_for(&self, time: Duration, now: Instant) -> bool {
        self.lasts(now) >= time
    }
}

impl Goals {
    /// Whether there is anything to wait for.
    pub fn any(&self) -> bool {
        self.time.is_some() || self.at_rest.is_some() || self.idle.is_some()
    }
}

impl Waiting {
    /// At the program's start.
    pub fn new(goals: Goals, now: Instant) -> Waiting {
        let since = Since { figure: 0, since: now };
        Waiting { goals, live: Since { figure: 0, since: now }, in_use: since, allocated: since }
    }

    /// What is waited for.
    pub fn goals(&self) -> Goals {
        self.goals
    }

    /// Takes note of what is seen, and says whether a goal is reached by it.
    pub fn reached(&mut self, sight: &Sight, elapsed: Duration, now: Instant) -> Option<Reached> {
        self.live.update(sight.ssl.live, now);
        self.in_use.update(sight.totals.inuse_bytes, now);
        self.allocated.update(sight.totals.alloc_blocks, now);
        let live = u64::try_from(sight.ssl.live).unwrap_or_default();
        if self.goals.at_rest.is_some_and(|wanted| live >= wanted) {
            if self.live.has_been_for(REST, now) && self.in_use.has_been_for(REST, now) {
                return Some(Reached::Rest { live });
            }
            if self.live.has_been_for(RESTLESS, now) {
                return Some(Reached::Restless { live });
            }
        }
        if self.goals.at_rest.is_some() && sight.unrecognisable {
            return Some(Reached::Unrecognisable);
        }
        let begun = sight.totals.alloc_blocks > 0;
        if let Some(idle) = self.goals.idle
            && begun
            && self.allocated.has_been_for(idle, now)
        {
            return Some(Reached::Idle(idle));
        }
        self.goals.time.filter(|time| elapsed >= *time).map(|_| Reached::Time)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::watch::SslObjects;
    use ledger::Counts;

    /// What is seen each second: live SSL objects, bytes in use, blocks ever allocated.
    fn first_reached(
        goals: Goals,
        start: Instant,
        seen: &[(i64, u64, u64)],
    ) -> Option<(u64, Reached)> {
        let mut waiting = Waiting::new(goals, start);
        (0..).zip(seen).find_map(|(second, (live, bytes, blocks))| {
            let elapsed = Duration::from_secs(second);
            let sight = Sight {
                ssl: SslObjects { live: *live, made: *live },
                totals: Counts { inuse_bytes: *bytes, alloc_blocks: *blocks, ..Counts::default() },
                ..Sight::default()
            };
            waiting.reached(&sight, elapsed, start + elapsed).map(|goal| (second, goal))
        })
    }

    #[test]
    fn at_rest_is_when_neither_connections_nor_bytes_change() {
        let start = Instant::now();
        let goals = Goals { at_rest: Some(5), ..Goals::default() };
        let seen = [(0, 1, 1), (4, 40, 2), (5, 50, 3), (5, 51, 4), (5, 52, 5), (5, 52, 6)];
        assert_eq!(first_reached(goals, start, &seen), Some((5, Reached::Rest { live: 5 })));
    }

    #[test]
    fn bytes_that_never_rest_do_not_keep_the_capture_away() {
        let start = Instant::now();
        let goals = Goals { at_rest: Some(5), ..Goals::default() };
        let seen: Vec<_> = (0..20).map(|second| (6, second, second)).collect();
        assert_eq!(first_reached(goals, start, &seen), Some((10, Reached::Restless { live: 6 })));
    }

    #[test]
    fn fewer_connections_than_wanted_are_no_rest() {
        let start = Instant::now();
        let goals = Goals { time: Some(Duration::from_secs(9)), at_rest: Some(5), idle: None };
        assert_eq!(first_reached(goals, start, &[(4, 1, 1); 20]), Some((9, Reached::Time)));
    }

    #[test]
    fn objects_that_are_never_recognised_are_not_waited_for() {
        let start = Instant::now();
        let sight = Sight { unrecognisable: true, ..Sight::default() };
        let reached = |goals| Waiting::new(goals, start).reached(&sight, Duration::ZERO, start);
        let at_rest = Goals { at_rest: Some(5), ..Goals::default() };
        assert_eq!(reached(at_rest), Some(Reached::Unrecognisable));
        let time = Goals { time: Some(Duration::from_secs(9)), ..Goals::default() };
        assert_eq!(reached(time), None);
    }

    #[test]
    fn idle_is_after_the_first_allocation() {
        let start = Instant::now();
        let idle = Some(Duration::from_secs(2));
        let seen = [(0, 0, 0), (0, 0, 0), (0, 0, 0), (0, 9, 1), (0, 0, 2), (0, 0, 2), (0, 0, 2)];
        let goals = Goals { idle, ..Goals::default() };
        let expected = Reached::Idle(Duration::from_secs(2));
        assert_eq!(first_reached(goals, start, &seen), Some((6, expected)));
    }
}
