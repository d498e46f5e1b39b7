//! What memory the processes have to themselves, read as seldom as it takes the kernel long.

use std::time::{Duration, Instant};

use analysis::footprint::{Footprint, RecorderParts};
use recording::memory::of_process;

/// Reading it takes at most one part in so many of the time: while the kernel adds up a process's
/// pages, that one cannot change its memory map.
const SHARE: u32 = 100;

/// The longest time between two readings.
const MOST_BETWEEN: Duration = Duration::from_secs(30);

/// What was read last.
#[derive(Debug, Default)]
pub struct Resident {
    last: Option<Footprint>,
    next: Option<Instant>,
}

impl Resident {
    /// The processes' resident memory by parts, where the kernel says it: as of now, or where
    /// reading takes long, as of up to 30 s ago.
    pub(crate) fn of(
        &mut self,
        processes: &[u32],
        recorder: &RecorderParts<'_>,
    ) -> Option<Footprint> {
        if self.next.is_none_or(|next| Instant::now() >= next) {
            let began = Instant::now();
            let each = processes.iter().map(|pid| of_process(*pid, recorder));
            self.last = each.sum::<Option<Footprint>>().filter(|_| !processes.is_empty());
            self.next = began.checked_add((SHARE * began.elapsed()).min(MOST_BETWEEN));
        }
        self.last
    }
}
