//! Processes that are attached to while they run, watched as a program that was started, and let go
//! again, with whatever they have forked meanwhile.
//!
//! ```text
//! members ─► fitness ─► here: one after the other attached to ─► watched ─► letting_go
//! ```

mod containers;
mod fitness;
mod letting_go;
mod members;

use std::fs::{self, File};
use std::future::ready;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use attach::Done;
use contract::attach::Scope;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::sleep_until;

use self::fitness::Fitness;
pub use self::members::AttachTo;
use crate::control::Wish;
use crate::descendants::Descendants;
use crate::kernel::{self, ProcessNow};
use crate::observer::{Observed, Observer};
use crate::options::{Domains, Options};
use crate::place::{CONTENT, Place};
use crate::recording::{Recorded, recorded};
use crate::running::Ended;
use crate::{RecordingError, sentence};

/// What attaching to processes and letting them go took of them.
#[derive(Clone, Debug)]
pub(crate) struct Visits {
    pub to: AttachTo,
    pub members: Vec<Member>,
}

/// A process that was attached to.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    pub process: ProcessNow,
    /// What it was handed to count in.
    pub ledger: PathBuf,
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
    fn runs(&self) -> bool {
        let ProcessNow { pid, started, .. } = self.process;
        kernel::process(pid).is_some_and(|now| now.started == started)
    }
}

/// Who comes is looked for so many times: those that a process has started while others were
/// attached to.
const PASSES: usize = 3;

/// Attaches to the processes, records them, and lets them go.
pub(crate) fn record(
    to: &AttachTo,
    options: &Options,
    folder: &Path,
) -> Result<Recorded, RecordingError> {
    let mut found = Found::default();
    // Before there is a folder: making one clears away what nobody has a use for.
    found.look(to, None)?;
    if found.fit.is_empty() {
        return Err(found.nobody(to));
    }
    let place = Place::make()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(RecordingError::system("start a runtime"))?;
    let run = runtime.block_on(run(to, found, options, &place, folder))?;
    let Run { ended, observed, visits } = run;
    recorded(options, place, ended, observed, Some(visits))
}

/// Who was found, and what is to be done with it.
#[derive(Default)]
struct Found {
    /// All that were looked at.
    seen: Vec<ProcessNow>,
    fit: Vec<ProcessNow>,
    /// Why others are not attached to.
    refused: Vec<(ProcessNow, RecordingError)>,
    /// What was left in them, in sentences.
    left: Vec<String>,
}

impl Found {
    /// Looks for those that are meant and were not looked at. `ours` is the folder of our ledgers,
    /// once there is one.
    fn look(&mut self, to: &AttachTo, ours: Option<&Path>) -> Result<(), RecordingError> {
        if let AttachTo::Process(pid) = *to {
            if self.seen.is_empty()
                && let Fitness::Fit(left) = fitness::of_named(pid)?
            {
                let process = kernel::process(pid).ok_or(RecordingError::NoProcess(pid))?;
                self.seen.push(process.clone());
                self.fit.push(process);
                self.left.extend(left);
            }
            return Ok(());
        }
        for process in to.now() {
            if self.seen.contains(&process) {
                continue;
            }
            self.seen.push(process.clone());
            match fitness::of_one_of_many(&process, ours) {
                Ok(Fitness::Fit(left)) => {
                    self.fit.push(process);
                    self.left.extend(left);
                }
                Ok(Fitness::Inherits | Fitness::Without) => {}
                // It may have ended this moment.
                Err(_) if kernel::process(process.pid).is_none() => {}
                Err(error) => self.refused.push((process, error)),
            }
        }
        Ok(())
    }

    /// Why none was attached to.
    fn nobody(mut self, to: &AttachTo) -> RecordingError {
        if let AttachTo::Process(pid) = to {
            return match self.refused.pop() {
                Some((_, error)) => error,
                None => RecordingError::NoProcess(*pid),
            };
        }
        let why = match &self.refused[..] {
            [] if self.seen.is_empty() => "there are none".to_owned(),
            [] => "none of them has a TLS library in it that tlsheap knows".to_owned(),
            [(_, error)] => sentence(error),
            [(_, error), more @ ..] => format!("{}; and {} more", sentence(error), more.len()),
        };
        RecordingError::NobodyToAttachTo { whom: to.in_words(), why }
    }
}

struct Run {
    ended: Ended,
    observed: Observed,
    visits: Visits,
}

async fn run(
    to: &AttachTo,
    mut found: Found,
    options: &Options,
    place: &Place,
    folder: &Path,
) -> Result<Run, RecordingError> {
    // Before a process is touched: none of these is to end this one in the midst of it.
    let mut signals = Signals::listen()?;
    let started = jiff::Timestamp::now().to_string();
    let scope = match options.domains {
        Domains::Openssl => Scope::Openssl,
        Domains::WithOpenssl | Domains::OpensslAndHeap => Scope::Everything,
    };
    let mut members = Vec::new();
    let mut how = "";
    for _ in 0..PASSES {
        for process in std::mem::take(&mut found.fit) {
            // One that has come meanwhile.
            how = tokio::select! {
                biased;
                how = signals.next() => how,
                () = ready(()) => "",
            };
            if !how.is_empty() {
                break;
            }
            match begin(&process, scope, place) {
                Ok(member) => members.push(member),
                Err(error) => found.refused.push((process, error)),
            }
        }
        found.look(to, Some(place.ledgers()))?;
        if found.fit.is_empty() || !how.is_empty() {
            break;
        }
    }
    let Some(first) = members.first() else {
        return Err(if how.is_empty() { found.nobody(to) } else { RecordingError::Interrupted });
    };
    let pid = to.named().unwrap_or(first.process.pid);
    let roots: Vec<u32> = members.iter().map(|member| member.process.pid).collect();
    let mut observer = Observer::of(options, &roots, place, folder)?;
    for (process, error) in &found.refused {
        observer.descendants().is_not_recorded(process, sentence(error));
    }

    while how.is_empty() && members.iter().any(Member::runs) {
        how = tokio::select! {
            biased;
            () = sleep_until(observer.next_look().into()) => {
                if observer.look() { "at a goal" } else { "" }
            }
            wish = options.control.next() => match wish {
                Wish::Capture(how) => {
                    observer.capture_and_go_on(&how);
                    ""
                }
                Wish::Closed => {
                    observer.keep_closed();
                    ""
                }
                Wish::End => "when it was told to stop",
            },
            how = signals.next() => how,
        };
    }
    if !how.is_empty() {
        // Unless a goal has made it.
        observer.capture(how);
    }
    let lasted = observer.elapsed();
    let mut descendants: Descendants = observer.descendants().clone();
    // The last look, before there is nothing more to see.
    let mut seen = observer.finish();
    let fate = letting_go::all(&mut members, &mut descendants, place, &mut seen.problems);
    seen.problems.append(&mut found.left);
    let attached = Some(fate);
    let ended = Ended { pid, started, lasted, status: None, by_us: false, killed: None, attached };
    Ok(Run { ended, observed: seen, visits: Visits { to: to.clone(), members } })
}

/// Attaches to one.
fn begin(process: &ProcessNow, scope: Scope, place: &Place) -> Result<Member, RecordingError> {
    let pid = process.pid;
    let ledger = place.ledgers().join(format!("{pid}-{}-0.ledger", now()));
    let file = new_file(&ledger).map_err(RecordingError::reading(&ledger))?;
    let done = match attach::attach(pid, CONTENT, scope, file.as_fd(), place.ledgers()) {
        Ok(done) => done,
        Err(error) => {
            // Nothing is in it; what cannot be removed is said to be no ledger.
            let _ = fs::remove_file(&ledger);
            return Err(error.into());
        }
    };
    // What cannot be written is missing at the end, and said.
    let _ = fs::write(ledger.with_extension("coverage"), &done.coverage);
    Ok(Member { process: process.clone(), ledger, begin: Visit::from(&done), end: None })
}

/// The signals that end a recording.
struct Signals([(Signal, &'static str); 4]);

impl Signals {
    fn listen() -> Result<Signals, RecordingError> {
        let listen = |kind| signal(kind).map_err(RecordingError::system("listen for signals"));
        Ok(Signals([
            (listen(SignalKind::interrupt())?, "at an interrupt"),
            (listen(SignalKind::terminate())?, "at a SIGTERM"),
            (listen(SignalKind::hangup())?, "when the terminal was closed"),
            (listen(SignalKind::quit())?, "at a SIGQUIT"),
        ]))
    }

    /// Waits for one, and says which.
    async fn next(&mut self) -> &'static str {
        let [interrupt, terminate, hang_up, quit] = &mut self.0;
        tokio::select! {
            _ = interrupt.0.recv() => interrupt.1,
            _ = terminate.0.recv() => terminate.1,
            _ = hang_up.0.recv() => hang_up.1,
            _ = quit.0.recv() => quit.1,
        }
    }
}

fn new_file(path: &Path) -> io::Result<File> {
    File::options().read(true).write(true).create_new(true).mode(0o600).open(path)
}

fn now() -> u128 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_nanos())
}
