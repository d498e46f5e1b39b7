//! One recording of a program under load, as it is or with a fix.

use std::ffi::OsString;
use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use analysis::diagnosis::Diagnosis;
use capture::records::recording::Recording;
use capture::records::what_if::Cost;
use capture::{Capture, CaptureError, Fault};
use contract::{Fix, Scope, environment};
use jiff::Timestamp;
use recording::{AtInterrupt, Streams, sentence};

use super::process::Process;
use super::reached::Reached;
use super::{AS_IT_IS, LoadOn, Program, diagnosis_of};
use crate::glance::seen_within;
use crate::helper::orders::{LoadOrder, Work};
use crate::listening::wait_for;
use crate::{FrontEnd, TrialError, Workload};

/// How a program is treated before its connections are measured.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// Some connections come and go: its first use of OpenSSL is no part of what others cost.
    /// Behind them, a pause.
    Warm(Duration),
    /// None do.
    Cold,
}

/// One recording.
pub struct Recorded {
    pub capture: Capture,
    pub cost: Cost,
    /// What `diagnose` says of it.
    pub found: Diagnosis,
    /// What became of the fix.
    pub reached: Reached,
    /// Nothing was left of the warm-up when the connections that were measured came.
    pub was_clean: bool,
}

/// Records the program under load, until all connections are at rest.
pub fn record(
    program: &Program,
    workload: &Workload,
    fix: Option<Fix>,
    start: Start,
    front_end: &FrontEnd<'_>,
    folder: &Path,
) -> Result<Recorded, TrialError> {
    let name = fix.map_or(AS_IT_IS, Fix::name);
    let words = folder.join(format!("{name}.log"));
    // Of an earlier start; a link in its place would not be followed.
    let _ = fs::remove_file(&words);
    let log = File::create_new(&words).map_err(CaptureError::writing(&words))?;
    let mut options = recording::Options::of(program.command.clone());
    options.goals.at_rest = Some(workload.connections as u64);
    options.streams = Streams::Log(log);
    options.at_interrupt = AtInterrupt::GiveUp;
    options.made_by = front_end.made_by.clone();
    // What the allocator keeps is known where the whole process is.
    options.scope = Scope::WithOpenssl;
    options.environment.extend(fix.map(variable));
    let control = options.control.clone();
    let (recorded, warmed) = thread::scope(|scope| {
        let recording = scope.spawn(|| recording::record(&options, folder));
        let has_ended =
            |time| Ok(seen_within(time, || recording.is_finished().then_some(())).is_some());
        let load = start_load(program, workload, start, front_end, has_ended);
        let in_vain = load.is_ok() && !has_ended(program.patience)?;
        if in_vain || load.is_err() {
            control.end();
        }
        let recorded = recording.join().expect("a recording does not panic");
        // What became of the program says more than that there was nothing to connect to.
        match recorded {
            Ok(recorded) => Ok((recorded, load?.1)),
            Err(error) if error.fault() == Fault::Program => {
                let waited = if in_vain { waited(program, workload) + ": " } else { String::new() };
                Err(TrialError::Failed(format!("{name}: {waited}{}", sentence(&error))))
            }
            Err(error) => Err(error.into()),
        }
    })?;
    let reached = match fix {
        Some(fix) if fix.variable().is_some() => Reached::by_the_environment(),
        Some(fix) => Reached::parse(&recorded.fixes, fix),
        None => Reached::default(),
    };
    let mut capture = recorded.capture;
    name.clone_into(&mut capture.name);
    let record = capture.recording().expect("the capture was made by a recording");
    if recorded.reached.is_none() {
        let seen = match record.connections.filter(|seen| *seen > 0) {
            Some(seen) => format!("at the end there were {seen} SSL objects"),
            None => "no SSL object was seen, nor can it be in a program without symbols".to_owned(),
        };
        let waited = waited(program, workload);
        return Err(TrialError::Failed(format!("{name}: {waited}: {seen}. Is the load right?")));
    }
    let cost = cost(record);
    let came_after = warmed.is_some_and(|warmed| baseline(record) >= Some(warmed));
    let was_clean = came_after && cost.connections == Some(workload.connections as u64);
    let found = diagnosis_of(&capture)?;
    Ok(Recorded { capture, cost, found, reached, was_clean })
}

/// What was waited for in vain.
fn waited(program: &Program, workload: &Workload) -> String {
    let (connections, patience) = (workload.connections, program.patience);
    format!("{connections} connections did not come to rest within {patience:?}")
}

/// When the recording saw what was there before the connections.
fn baseline(record: &Recording) -> Option<Timestamp> {
    let started: Timestamp = record.started.parse().ok()?;
    let after = Duration::try_from_secs_f64(record.baseline.as_ref()?.after_seconds).ok()?;
    Some(started + after)
}

/// What a connection costs, as the recording says it.
fn cost(record: &Recording) -> Cost {
    let each = record.per_connection.as_ref();
    Cost {
        connections: record.connections,
        bytes_per_connection: each.map(|each| each.bytes),
        blocks_per_connection: each.map(|each| each.blocks),
        allocs_per_handshake: each.and_then(|each| each.allocations),
        resident_bytes: record.memory.map(|memory| memory.anonymous_bytes + memory.shared_bytes),
        handshakes_per_second: None,
        handshakes_per_second_spread: None,
    }
}

/// What the environment says of a fix: the allocator's own variable, or what the preloaded library
/// looks for.
pub(super) fn variable(fix: Fix) -> (OsString, OsString) {
    let (name, value) = fix.variable().unwrap_or((environment::FIXES, fix.name()));
    (name.into(), value.into())
}

/// The user's load, or our own clients once the program listens; and when a warm-up was over.
fn start_load(
    program: &Program,
    workload: &Workload,
    start: Start,
    front_end: &FrontEnd<'_>,
    has_ended: impl FnMut(Duration) -> Result<bool, TrialError>,
) -> Result<(Process, Option<Timestamp>), TrialError> {
    let (port, conversation) = match &program.load {
        Some(LoadOn::Command(load)) => {
            let mut command = Command::new("sh");
            command.arg("-c").arg(load).stdin(Stdio::null()).stdout(Stdio::null());
            return Ok((Process::start(command, "the load")?, None));
        }
        Some(LoadOn::Port { port, conversation }) => (*port, conversation.clone()),
        None => {
            return Err(TrialError::Refused(
                "a program needs a load: name the port that it listens on with --port, or give a \
                 command with --load"
                    .to_owned(),
            ));
        }
    };
    wait_for(port, has_ended, program.patience)?;
    let mut order = LoadOrder::to(SocketAddr::from(([127, 0, 0, 1], port)));
    order.conversation = conversation;
    let mut warmed = None;
    if let Start::Warm(pause) = start {
        let work = Work::Keep {
            connections: workload.warm_up,
            interval: None,
            hold: Some(Duration::ZERO),
            pace: 16,
        };
        let mut load = clients(front_end, &order.at(work))?;
        load.ended_within(program.patience)?;
        warmed = Some(Timestamp::now());
        // What the program then holds is what is there before the first connection.
        thread::sleep(pause);
    }
    let work = Work::Keep {
        connections: workload.connections,
        interval: Some(workload.interval),
        hold: None,
        pace: 16,
    };
    Ok((clients(front_end, &order.at(work))?, warmed))
}

/// Our own clients.
fn clients(front_end: &FrontEnd<'_>, order: &LoadOrder) -> Result<Process, TrialError> {
    let mut command = front_end.helper.load_command(order);
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    Process::start(command, "the load")
}
