//! A process that is attached to while it runs, watched as a program that was started, and let go
//! again, with whatever it has forked meanwhile.

use std::fs::{self, File};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use attach::{AttachError, Done, Prospect, Target};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::sleep_until;

use crate::control::Wish;
use crate::doctor::NOT_LOOKED_AT;
use crate::observer::{Observed, Observer};
use crate::options::Options;
use crate::place::{CONTENT, Place};
use crate::recording::{Recorded, recorded};
use crate::running::{Ended, Fate};
use crate::{RecordingError, doctor, kernel};

/// What attaching to the process and letting it go took of it.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Visits {
    /// To attach to it.
    pub begin: Visit,
    /// To let it go; `None` where it had ended, or could not be.
    pub end: Option<Visit>,
}

/// What one visit took.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Visit {
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

/// Attaches to the process, records it, and lets it go.
pub(crate) fn record(
    pid: u32,
    options: &Options,
    folder: &Path,
) -> Result<Recorded, RecordingError> {
    let target = Target::of(pid, CONTENT)?;
    let ledger = counts_in(pid).unwrap_or_default();
    if target.prospect() == Prospect::Attached && Place::is_of_another(&ledger) {
        return Err(RecordingError::Taken { pid, ledger });
    }
    let left = (target.prospect() == Prospect::Attached).then(|| {
        format!(
            "what an earlier tlsheap had counted, which did not let the process go: it is in {}, \
             for `tlsheap top` to read until the next recording",
            ledger.display()
        )
    });
    drop(target);
    let examined = doctor::examine_process(pid)?;
    if examined.libraries.iter().all(|library| !library.recordable) {
        let why = match examined.notes.iter().find(|note| note.starts_with(NOT_LOOKED_AT)) {
            Some(note) => format!(
                "{note}; of a process behind another root directory, its files have to be there"
            ),
            None => examined.verdict(),
        };
        return Err(RecordingError::NothingToAttachTo { pid, why });
    }
    let place = Place::make()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(RecordingError::system("start a runtime"))?;
    let run = runtime.block_on(run(pid, options, &place, folder))?;
    let Run { ended, mut observed, visits } = run;
    observed.problems.extend(left);
    recorded(options, place, ended, observed, Some(visits))
}

struct Run {
    ended: Ended,
    observed: Observed,
    visits: Visits,
}

async fn run(
    pid: u32,
    options: &Options,
    place: &Place,
    folder: &Path,
) -> Result<Run, RecordingError> {
    // Before the process is touched: none of these is to end this one in the midst of it.
    let listen = |kind| signal(kind).map_err(RecordingError::system("listen for signals"));
    let (mut interrupt, mut terminate) =
        (listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?);
    let (mut hang_up, mut quit) = (listen(SignalKind::hangup())?, listen(SignalKind::quit())?);

    let process = kernel::process(pid).ok_or(RecordingError::NoProcess(pid))?;
    let ledger = place.ledgers().join(format!("{pid}-{}-0.ledger", now()));
    let file = new_file(&ledger).map_err(RecordingError::reading(&ledger))?;
    let started = jiff::Timestamp::now().to_string();
    let begun = attach::attach(pid, CONTENT, file.as_fd(), place.ledgers())?;
    drop(file);
    let mut observer = Observer::of(options, pid, place, folder)?;
    // What cannot be written is missing at the end, and said.
    let _ = fs::write(ledger.with_extension("coverage"), &begun.coverage);

    let runs = || kernel::process(pid).is_some_and(|now| now.started == process.started);
    let mut how = "";
    while how.is_empty() && runs() {
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
            _ = interrupt.recv() => "at an interrupt",
            _ = terminate.recv() => "at a SIGTERM",
            _ = hang_up.recv() => "when the terminal was closed",
            _ = quit.recv() => "at a SIGQUIT",
        };
    }
    if !how.is_empty() {
        // Unless a goal has made it.
        observer.capture(how);
    }
    let lasted = observer.elapsed();
    let others = children(&mut observer, pid);
    // The last look, before there is nothing more to see.
    let mut seen = observer.finish();
    let (end, fate) = let_go(pid, &ledger, runs, &mut seen.problems);
    let visits = Visits { begin: Visit::from(&begun), end };
    for pid in others {
        let_go_child(pid, place, &mut seen.problems);
    }
    let attached = Some(fate);
    let ended = Ended { pid, started, lasted, status: None, by_us: false, killed: None, attached };
    Ok(Run { ended, observed: seen, visits })
}

/// What the process has forked, and has the library in it from there.
fn children(observer: &mut Observer<'_>, pid: u32) -> Vec<u32> {
    let mut others = observer.descendants().ids();
    others.retain(|other| *other != pid && is_attached(*other));
    others
}

fn is_attached(pid: u32) -> bool {
    Target::of(pid, CONTENT).is_ok_and(|target| target.prospect() == Prospect::Attached)
}

/// Lets the process go, and keeps what its library says of it.
fn let_go(
    pid: u32,
    ledger: &Path,
    runs: impl Fn() -> bool,
    problems: &mut Vec<String>,
) -> (Option<Visit>, Fate) {
    match attach::detach(pid, CONTENT) {
        Ok(done) => {
            let _ = fs::write(ledger.with_extension("coverage"), &done.coverage);
            (Some(Visit::from(&done)), Fate::GoesOn)
        }
        Err(_) if !runs() => (None, Fate::HasEnded),
        Err(error) => {
            problems.push(not_let_go(pid, &error));
            (None, Fate::NotLetGo)
        }
    }
}

/// The same for one that the process has forked, which has found its own file to count in.
fn let_go_child(pid: u32, place: &Place, problems: &mut Vec<String>) {
    match attach::detach(pid, CONTENT) {
        Ok(done) => {
            let mark = format!("{pid}-");
            let files = fs::read_dir(place.ledgers()).into_iter().flatten().flatten();
            let coverage = files.map(|file| file.path()).find(|path| {
                let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
                name.starts_with(&mark) && name.ends_with(".coverage")
            });
            if let Some(coverage) = coverage {
                let _ = fs::write(coverage, &done.coverage);
            }
        }
        Err(AttachError::NoProcess(_) | AttachError::Ended(_) | AttachError::NotAttached(_)) => {}
        Err(error) => problems.push(not_let_go(pid, &error)),
    }
}

fn not_let_go(pid: u32, error: &AttachError) -> String {
    format!(
        "process {pid} has the recorder in it still, which counts on and harms nobody: {error}; \
         `tlsheap record --pid {pid} --for 0s` lets it go"
    )
}

/// The ledger that a process counts in, by its map.
fn counts_in(pid: u32) -> Option<PathBuf> {
    let maps = kernel::memory_map(pid).ok()?;
    let maps = String::from_utf8_lossy(&maps).into_owned();
    let mut paths = maps.lines().filter_map(|line| Some(&line[line.find('/')?..]));
    let path = paths.find(|path| path.ends_with(".ledger"))?;
    Some(PathBuf::from(path))
}

fn new_file(path: &Path) -> io::Result<File> {
    File::options().read(true).write(true).create_new(true).mode(0o600).open(path)
}

fn now() -> u128 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_nanos())
}
