//! What a run took.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::clock::process_time;

/// Times of a run.
#[derive(Clone, Copy, Debug)]
pub struct Took {
    /// Processor time of the process.
    pub processor: Duration,
    /// Time on the wall.
    pub wall: Duration,
}

/// Times for each time that the work was done, as one process tells another.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Each {
    /// Processor time, in microseconds.
    pub processor_us: f64,
    /// Time on the wall, in microseconds.
    pub wall_us: f64,
    /// The most memory that was resident, in KiB.
    pub peak_kib: u64,
    /// What the OpenSSL calls itself.
    pub version: String,
}

impl Took {
    /// What the process takes for `work`.
    pub fn of(work: impl FnOnce()) -> Took {
        let (processor, wall) = (process_time(), Instant::now());
        work();
        Took { processor: process_time().saturating_sub(processor), wall: wall.elapsed() }
    }

    /// The longer of both, in each time.
    #[must_use]
    pub fn longest(self, other: Took) -> Took {
        Took { processor: self.processor.max(other.processor), wall: self.wall.max(other.wall) }
    }

    /// Divided by how often the work was done.
    pub fn each(self, count: u32, version: String) -> Each {
        let each = |time: Duration| time.as_secs_f64() * 1e6 / f64::from(count);
        Each {
            processor_us: each(self.processor),
            wall_us: each(self.wall),
            peak_kib: peak_kib(),
            version,
        }
    }
}

/// The most memory of this process that was resident; 0 where the kernel does not say.
fn peak_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or_default()
}
