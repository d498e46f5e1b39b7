//! Processes that are attached to while they run, watched as a program that was started, and let go
//! again, with whatever they have forked meanwhile.
//!
//! ```text
//! members ─► fitness ─► here: one after the other attached to ─► watched ─► letting_go
//! ```

mod arrivals;
mod containers;
mod fitness;
mod letting_go;
mod member;
mod members;
mod visiting;

use std::future::ready;
use std::path::Path;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::sleep_until;

use self::arrivals::Arrivals;
use self::member::Begin;
pub(crate) use self::member::{Member, Visit};
pub use self::members::AttachTo;
use self::visiting::Visiting;
use crate::control::Wish;
use crate::descendants::Descendants;
use crate::observer::{Observed, Observer};
use crate::options::Options;
use crate::place::Place;
use crate::recording::{Recorded, recorded};
use crate::running::Ended;
use crate::{RecordingError, sentence};

/// What attaching to processes and letting them go took of them.
#[derive(Clone, Debug)]
pub(crate) struct Visits {
    pub to: AttachTo,
    pub members: Vec<Member>,
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
    let mut arrivals = Arrivals::of(to);
    // Before there is a folder: making one clears away what nobody has a use for.
    arrivals.look(None, &[])?;
    if arrivals.fit.is_empty() {
        return Err(arrivals.nobody());
    }
    let place = Place::make()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(RecordingError::system("start a runtime"))?;
    let run = runtime.block_on(run(to, arrivals, options, &place, folder))?;
    let Run { ended, observed, visits } = run;
    recorded(options, place, ended, observed, Some(visits))
}

struct Run {
    ended: Ended,
    observed: Observed,
    visits: Visits,
}

async fn run(
    to: &AttachTo,
    mut arrivals: Arrivals,
    options: &Options,
    place: &Place,
    folder: &Path,
) -> Result<Run, RecordingError> {
    // Before a process is touched: none of these is to end this one in the midst of it.
    let mut signals = Signals::listen()?;
    let started = jiff::Timestamp::now().to_string();
    let mut begin = Begin::of(options, place.ledgers());
    let mut members = Vec::new();
    let mut how = "";
    for _ in 0..PASSES {
        for process in std::mem::take(&mut arrivals.fit) {
            // One that has come meanwhile.
            how = tokio::select! {
                biased;
                how = signals.next() => how,
                () = ready(()) => "",
            };
            if !how.is_empty() {
                break;
            }
            match begin.with(&process) {
                Ok(member) => members.push(member),
                Err(error) => arrivals.refused.push((process, error)),
            }
        }
        arrivals.look(Some(place.ledgers()), &[])?;
        if arrivals.fit.is_empty() || !how.is_empty() {
            break;
        }
    }
    let Some(first) = members.first() else {
        return Err(if how.is_empty() { arrivals.nobody() } else { RecordingError::Interrupted });
    };
    let pid = to.named().unwrap_or(first.process.pid);
    let ids = members.iter().map(|member| member.process.pid);
    let roots: Vec<u32> = to.named().into_iter().chain(ids).collect();
    let mut observer = Observer::of(options, &roots, place, folder)?;
    say_who_is_refused(&mut arrivals, observer.descendants());
    let mut visiting = Visiting::of(arrivals, begin);

    while how.is_empty() && (members.iter().any(Member::runs) || to.is_there()) {
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
            come = visiting.next(|| observer.descendants().ids()) => {
                take_in(come, &mut members, &mut observer);
                if let Some(arrivals) = visiting.arrivals() {
                    say_who_is_refused(arrivals, observer.descendants());
                }
                ""
            }
        };
    }
    if !how.is_empty() {
        // Unless a goal has made it.
        observer.capture(how);
    }
    let lasted = observer.elapsed();
    // Who was about to be attached to is let go with the others.
    take_in(visiting.end().await, &mut members, &mut observer);
    let mut left = Vec::new();
    if let Some(arrivals) = visiting.arrivals() {
        say_who_is_refused(arrivals, observer.descendants());
        left.append(&mut arrivals.left);
    }
    let mut descendants: Descendants = observer.descendants().clone();
    // The last look, before there is nothing more to see.
    let mut seen = observer.finish();
    let fate = letting_go::all(&mut members, &mut descendants, place, &mut seen.problems);
    seen.problems.append(&mut left);
    let attached = Some(fate);
    let ended = Ended { pid, started, lasted, status: None, by_us: false, killed: None, attached };
    Ok(Run { ended, observed: seen, visits: Visits { to: to.clone(), members } })
}

/// Those who were attached to while others were recorded.
fn take_in(come: Vec<Member>, members: &mut Vec<Member>, observer: &mut Observer) {
    for mut member in come {
        member.after = observer.elapsed();
        observer.descendants().is_recorded(&member.process);
        members.push(member);
    }
}

fn say_who_is_refused(arrivals: &mut Arrivals, descendants: &mut Descendants) {
    for (process, error) in arrivals.refused.drain(..) {
        descendants.is_not_recorded(&process, sentence(&error));
    }
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
