//! A sign of life for what takes longer than a second, on standard error if that is a terminal.
//!
//! Most captures are read in a moment, and then nothing is shown. The sign goes away before
//! anything else is written.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use indicatif::ProgressBar;

use crate::medium;

/// Nobody wonders for that long.
const AFTER: Duration = Duration::from_secs(1);
const TICK: Duration = Duration::from_millis(100);

/// What is going on.
enum Work {
    Nothing,
    /// For less than [`AFTER`]; the number tells one work from the next.
    Begun(u64, &'static str),
    Shown(ProgressBar),
}

static WORK: Mutex<Work> = Mutex::new(Work::Nothing);
static NEXT: AtomicU64 = AtomicU64::new(0);

/// Something begins that may take long, such as `reading`. It lasts until [`end`].
pub fn begin(what: &'static str) {
    if !medium::can_be_drawn_on(&std::io::stderr()) {
        return;
    }
    end();
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    *work() = Work::Begun(number, what);
    // Ends by itself, with the process at the latest; where no thread can be had, nothing is shown.
    let _ = std::thread::Builder::new().name("progress".to_owned()).spawn(move || {
        std::thread::sleep(AFTER);
        let mut work = work();
        if let Work::Begun(begun, what) = *work
            && begun == number
        {
            let spinner = ProgressBar::new_spinner().with_message(what);
            spinner.enable_steady_tick(TICK);
            *work = Work::Shown(spinner);
        }
    });
}

/// The work is done, or something else is to be written.
pub fn end() {
    if let Work::Shown(spinner) = std::mem::replace(&mut *work(), Work::Nothing) {
        spinner.finish_and_clear();
    }
}

fn work() -> MutexGuard<'static, Work> {
    // Whole between any two statements.
    WORK.lock().unwrap_or_else(PoisonError::into_inner)
}
