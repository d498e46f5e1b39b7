//! The capture of a program that takes its time to end: kept before that, in case that whoever
//! waits for this process does not wait as long.

use std::time::{Duration, Instant};

use crate::gathering::gather;
use crate::observer::Observer;
use crate::place::Place;
use crate::running::Ended;
use crate::{Options, coverage, processes};

/// How long the program may take to end after the capture before that is kept without it: most end
/// at once, and then it is written once.
const BEFORE_KEEPING: Duration = Duration::from_secs(1);

/// Has the capture kept of a program that goes on, once.
pub struct Keeper<'a> {
    /// The program.
    pid: u32,
    /// When it was started.
    started: &'a str,
    /// When to do it; `None` while there is no capture.
    at: Option<Instant>,
    has_kept: bool,
}

impl<'a> Keeper<'a> {
    /// Of the program with this process, which was started at that time.
    pub fn of(pid: u32, started: &'a str) -> Keeper<'a> {
        Keeper { pid, started, at: None, has_kept: false }
    }

    /// Looks whether it is time, and has the capture kept if so.
    pub fn attend(&mut self, options: &Options, place: &Place, observer: &mut Observer<'_>) {
        let Some(keeping) = options.keep.keeping() else { return };
        if self.has_kept || !observer.has_captured() {
            return;
        }
        if Instant::now() < *self.at.get_or_insert_with(|| Instant::now() + BEFORE_KEEPING) {
            return;
        }
        self.has_kept = true;
        let (pid, started, lasted) = (self.pid, self.started.to_owned(), observer.elapsed());
        let ended = Ended {
            pid,
            started,
            lasted,
            status: None,
            by_us: false,
            killed: None,
            attached: None,
        };
        let mut seen = observer.so_far();
        // What cannot be read is said at the end.
        if let Ok(now) = processes::read(place.ledgers(), &seen.refused, options.scope)
            && coverage::anything_recorded(&now)
        {
            keeping(&gather(options, &ended, &mut seen, &now, None));
        }
        observer.take_back(seen.symbols);
    }
}
