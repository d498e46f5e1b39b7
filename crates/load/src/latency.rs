//! How long things took.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// How long something took, in microseconds. All zero when it never happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Latency {
    /// How often it happened.
    pub count: u64,
    /// Half of them took no longer.
    pub p50_us: u64,
    /// Nine in ten took no longer.
    pub p90_us: u64,
    /// 99 in a hundred took no longer.
    pub p99_us: u64,
    /// 999 in a thousand took no longer.
    pub p999_us: u64,
    /// The longest.
    pub max_us: u64,
}

/// The longest time that is told apart; longer ones count as this long.
const LONGEST: Duration = Duration::from_secs(3_600);

/// Latencies while they are gathered, to three significant digits.
#[derive(Debug)]
pub(crate) struct Latencies(Histogram<u64>);

impl Latencies {
    pub(crate) fn new() -> Latencies {
        // With its bounds said: one that grows by itself does not when it saturates.
        let longest = LONGEST.as_micros() as u64;
        Latencies(Histogram::new_with_bounds(1, longest, 3).expect("the bounds are literals"))
    }

    pub(crate) fn record(&mut self, took: Duration) {
        self.0.saturating_record(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
    }

    pub(crate) fn summary(&self) -> Latency {
        if self.0.is_empty() {
            return Latency::default();
        }
        Latency {
            count: self.0.len(),
            p50_us: self.0.value_at_quantile(0.5),
            p90_us: self.0.value_at_quantile(0.9),
            p99_us: self.0.value_at_quantile(0.99),
            p999_us: self.0.value_at_quantile(0.999),
            max_us: self.0.max(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_took_no_time() {
        assert_eq!(Latencies::new().summary(), Latency::default());
    }

    #[test]
    fn percentiles_are_those_of_what_was_recorded() {
        let mut latencies = Latencies::new();
        for microseconds in 1..=1000 {
            latencies.record(Duration::from_micros(microseconds));
        }
        let summary = latencies.summary();
        assert_eq!((summary.count, summary.p50_us, summary.p90_us), (1000, 500, 900));
        assert_eq!((summary.p99_us, summary.p999_us, summary.max_us), (990, 999, 1000));
    }

    #[test]
    fn long_times_are_long() {
        let mut latencies = Latencies::new();
        latencies.record(Duration::from_millis(1500));
        assert_eq!(latencies.summary().p50_us / 10_000, 150);
        latencies.record(Duration::from_secs(90_000));
        assert_eq!(latencies.summary().max_us / 1_000_000, 3_600);
    }
}
