//! A process that is attached to: how that is begun, and what it took.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use attach::Done;
use contract::Scope;

use crate::RecordingError;
use crate::kernel::{self, ProcessNow};
use crate::ledger_folder::is_mapped;
use crate::options::{Earlier, Options};
use crate::place::CONTENT;

/// A process that was attached to.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    pub process: ProcessNow,
    /// What it was handed to count in.
    pub ledger: PathBuf,
    /// The SSL objects that it had before; `None` where they were not to be counted, or could not
    /// be.
    pub earlier: Option<attach::Earlier>,
    /// When it was attached to, since the recording's begin.
    pub after: Duration,
    /// To attach to it.
    pub begin: Visit,
    /// To let it go; `None` where it had ended, or could not be.
    pub end: Option<Visit>,
}

/// What one visit took.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Visit {
    /// How long one of its threads stood still or did our work.
    pub stopped: Duration,
    /// Processor time of that thread meanwhile.
    pub processor: Duration,
}

impl From<&Done> for Visit {
    fn from(done: &Done) -> Visit {
        Visit { stopped: done.stopped, processor: done.processor }
    }
}

impl Member {
    /// The process is there, whatever program it is.
    pub(super) fn runs(&self) -> bool {
        let ProcessNow { pid, started, .. } = self.process;
        kernel::process(pid).is_some_and(|now| now.started == started)
    }

    /// It is the program that was attached to.
    pub(super) fn counts(&self) -> bool {
        is_mapped(&self.ledger, self.process.pid)
    }
}

/// How all of a recording's are begun.
#[derive(Clone, Debug)]
pub(super) struct Begin {
    scope: Scope,
    /// Where their ledgers are.
    ledgers: PathBuf,
    /// Time that is left for counting what was there before.
    counting: Duration,
}

/// As long it may take in one process, and in all together.
const LONGEST_COUNT: Duration = Duration::from_secs(5);
const LONGEST_COUNTS: Duration = Duration::from_secs(20);

impl Begin {
    pub(super) fn of(options: &Options, ledgers: &Path) -> Begin {
        let counting = match options.earlier {
            Earlier::LeftOut => Duration::ZERO,
            Earlier::Counted => LONGEST_COUNTS,
        };
        Begin { scope: options.scope, ledgers: ledgers.to_owned(), counting }
    }

    /// Where ledgers are.
    pub(super) fn ledgers(&self) -> &Path {
        &self.ledgers
    }

    /// Attaches to one.
    pub(super) fn with(&mut self, process: &ProcessNow) -> Result<Member, RecordingError> {
        let pid = process.pid;
        let ledger = self.ledgers.join(format!("{pid}-{}-0.ledger", now()));
        let file = new_file(&ledger).map_err(RecordingError::reading(&ledger))?;
        let earlier = self.count(pid);
        let done = match attach::attach(pid, CONTENT, self.scope, file.as_fd(), &self.ledgers) {
            Ok(done) => done,
            Err(error) => {
                // Nothing is in it; what cannot be removed is said to be no ledger.
                let _ = fs::remove_file(&ledger);
                return Err(error.into());
            }
        };
        // What cannot be written is missing at the end, and said.
        let _ = fs::write(ledger.with_extension("coverage"), &done.coverage);
        let (process, begin) = (process.clone(), Visit::from(&done));
        Ok(Member { process, ledger, earlier, after: Duration::ZERO, begin, end: None })
    }

    /// Counts what is there, before it is attached to: all of that is from before.
    fn count(&mut self, pid: u32) -> Option<attach::Earlier> {
        let longest = self.counting.min(LONGEST_COUNT);
        if longest.is_zero() {
            return None;
        }
        // What cannot be read is not attached to either.
        let counted = attach::earlier(pid, Instant::now() + longest).ok()?;
        // Something of it is left for the next one, and be it little.
        self.counting = self.counting.saturating_sub(counted.lasted).max(Duration::from_millis(1));
        Some(counted)
    }
}

fn new_file(path: &Path) -> io::Result<File> {
    File::options().read(true).write(true).create_new(true).mode(0o600).open(path)
}

fn now() -> u128 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_nanos())
}
