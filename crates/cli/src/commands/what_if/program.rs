//! Fixes of a program that nobody rebuilt, applied from outside by the library that `record`
//! preloads.

use std::ffi::OsString;
use std::fs::File;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use analysis::diagnosis::Diagnosis;
use anyhow::Context;
use serde_json::Value;

use crate::commands::compare::{draw_step, progress, step_name};
use crate::commands::diagnose::Examined;
use crate::commands::what_if::fix::Fix;
use crate::commands::what_if::outcome::{Cost, Outcome, Tried};
use crate::commands::what_if::process::{GLANCE, Process};
use crate::commands::what_if::reached::Reached;
use crate::commands::what_if::{AS_IT_IS, Options, WHAT_IF, listening, rates};
use crate::failure::Failure;
use crate::run_folder::{self, NewFolder};
use crate::whole_file;

/// The variables that the preloaded library reads.
pub const FIXES: &str = "TLSHEAP_FIXES";
const REPORT: &str = "TLSHEAP_FIXES_REPORT";

/// How long a recording may take to write its folder after the program was told to end.
const WRITING: Duration = Duration::from_secs(60);

/// After this, a recording has seen that nothing changes: it looks twenty times a second.
const STILL: Duration = Duration::from_secs(1);

/// Records the program as it is and with each fix into the folder at `path`.
pub fn measure(options: &Options, path: &Path) -> Result<Outcome, Failure> {
    let wanted = options.wanted();
    let (reachable, others): (Vec<Fix>, Vec<Fix>) =
        wanted.into_iter().partition(|fix| fix.reaches_from_outside().is_ok());
    let rounds = if options.port.is_some() { options.repeat } else { 0 };
    let progress = progress((1 + reachable.len()) * (1 + rounds));
    let folder = NewFolder::prepare(path)?;
    progress.set_message(AS_IT_IS);
    let mut warm_up = options.port.is_some() && options.warm_up > 0;
    let mut before = record(options, AS_IT_IS, None, warm_up, &folder)?;
    if warm_up && before.cost.connections > Some(options.connections as u64) {
        // Python frees what is garbage in a circle some time later: connections that have gone
        // would be measured with those that are there.
        warm_up = false;
        std::fs::remove_dir_all(folder.file(AS_IT_IS))?;
        before = record(options, AS_IT_IS, None, warm_up, &folder)?;
    }
    progress.inc(1);

    let mut applied = Vec::new();
    let mut tried = Vec::new();
    for fix in reachable {
        progress.set_message(fix.name());
        let recorded = record(options, fix.name(), Some(fix), warm_up, &folder)?;
        progress.inc(1);
        match recorded.reached.not_applied() {
            Some(why) => tried.push(Tried::not_applied(fix, &why)),
            None => applied.push((fix, recorded)),
        }
    }
    for fix in others {
        if let Err(reason) = fix.reaches_from_outside() {
            tried.push(Tried::not_applied(fix, reason));
        }
    }

    let subjects: Vec<Option<Fix>> =
        std::iter::once(None).chain(applied.iter().map(|(fix, _)| Some(*fix))).collect();
    let mut rates = rates::measure(options, &subjects, &progress)?.into_iter();
    before.cost.set_rates(&rates.next().unwrap_or_default());
    for ((fix, mut recorded), rates) in applied.into_iter().zip(rates) {
        recorded.cost.set_rates(&rates);
        draw_step(&folder, AS_IT_IS, fix.name())?;
        let picture = step_name(AS_IT_IS, fix.name());
        let mut one = Tried::applied(fix, &before.cost, recorded.cost, &before.found, picture);
        let still = still_there(fix, &before.found, &recorded.found);
        one.remarks.extend(recorded.reached.missed().into_iter().chain(still));
        one.reached = recorded.reached.applied;
        tried.push(one);
    }
    progress.finish_and_clear();
    let command: Vec<String> =
        options.command.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    let outcome = Outcome::new(command.join(" "), before.cost, tried, None);
    let mut json = serde_json::to_vec_pretty(&outcome)?;
    json.push(b'\n');
    whole_file::write(&folder.file(WHAT_IF), &json)?;
    folder.finish()?;
    Ok(outcome)
}

/// What is to be said of a fix that changes nothing: the program does so by itself, or undoes it.
fn still_there(fix: Fix, before: &Diagnosis, with_fix: &Diagnosis) -> Option<String> {
    let has = |diagnosis: &Diagnosis, id: &str| {
        diagnosis.findings.iter().any(|finding| finding.rule.id == id)
    };
    let all = fix.findings();
    let found: Vec<&str> = all.iter().copied().filter(|id| has(before, id)).collect();
    let left: Vec<&str> = found.iter().copied().filter(|id| has(with_fix, id)).collect();
    match (all, found.as_slice(), left.as_slice()) {
        ([], _, _) => None,
        (all, [], _) => Some(format!(
            "the program as it is has nothing for it to remove ({}): it does so by itself, or has \
             no use for it",
            all.join(", ")
        )),
        (_, _, []) => None,
        (_, _, left) => Some(format!(
            "still there with it: {}; the program sets it differently afterwards, or has contexts \
             of its own for these connections",
            left.join(", ")
        )),
    }
}

/// One recording.
struct Recorded {
    cost: Cost,
    /// What `diagnose` says of it.
    found: Diagnosis,
    /// What became of the fix.
    reached: Reached,
}

/// Records the program under load, until all connections are at rest; with a `warm_up`, after
/// connections that have gone again.
fn record(
    options: &Options,
    name: &str,
    fix: Option<Fix>,
    warm_up: bool,
    folder: &NewFolder,
) -> Result<Recorded, Failure> {
    let out = folder.file(name);
    let words = folder.file(&format!("{name}.log"));
    let report = folder.file(&format!(".{name}.applied"));
    let log = File::create(&words).with_context(|| format!("cannot write {}", words.display()))?;
    let mut command = Command::new(this_program()?);
    command
        .args(["record", "--at-rest", &format!("{} connections", options.connections), "--out"])
        .arg(&out)
        .arg("--")
        .args(&options.command)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log);
    if let Some(fix) = fix {
        command.env(FIXES, fix.name()).env(REPORT, &report);
    }
    let mut recording = Process::start(command, "the recording")?;
    let load = start_load(options, warm_up, &mut recording)?;
    let Some(status) = recording.ended_within(options.patience)? else {
        recording.ask_to_end();
        recording.ended_within(WRITING)?;
        return Err(Failure::program(format!(
            "{name}: {} connections did not come to rest within {:?}: is the load right? What was \
             said is in {}",
            options.connections,
            options.patience,
            words.display()
        )));
    };
    drop(load);
    if !status.success() || !out.is_dir() {
        let said = std::fs::read_to_string(&words).unwrap_or_default();
        let last = said.lines().rfind(|line| line.contains("tlsheap")).unwrap_or_default();
        return Err(Failure::program(format!("{name}: the recording failed ({status}): {last}")));
    }
    let reached = fix.map(|fix| Reached::read(&report, fix)).unwrap_or_default();
    let found = Examined::open(std::slice::from_ref(&out))?.diagnosis;
    Ok(Recorded { cost: cost(&out)?, found, reached })
}

/// What a connection costs, as the recording says it.
fn cost(out: &Path) -> Result<Cost, Failure> {
    let file = out.join(run_folder::RUN);
    let text = std::fs::read_to_string(&file)
        .with_context(|| format!("cannot read {}", file.display()))?;
    let record: Value =
        serde_json::from_str(&text).with_context(|| format!("{}: not JSON", file.display()))?;
    let each = &record["per_connection"];
    Ok(Cost {
        connections: record["connections"].as_u64(),
        bytes_per_connection: each["bytes"].as_f64(),
        blocks_per_connection: each["blocks"].as_f64(),
        allocs_per_handshake: each["allocations"].as_f64(),
        handshakes_per_second: None,
        handshakes_per_second_spread: None,
    })
}

/// The user's load, or our own clients once the program listens.
fn start_load(
    options: &Options,
    warm_up: bool,
    recording: &mut Process,
) -> Result<Process, Failure> {
    if let Some(load) = &options.load {
        let mut command = Command::new("sh");
        command.arg("-c").arg(load).stdin(Stdio::null()).stdout(Stdio::null());
        return Process::start(command, "the load");
    }
    let port = options.port.ok_or_else(|| {
        Failure::usage(
            "a program needs a load: name the port that it listens on with --port, or give a \
             command with --load",
        )
    })?;
    wait_for(port, recording, options.patience)?;
    if warm_up {
        let connections = format!("--connections={}", options.warm_up);
        let mut load = clients(options, port, &[connections, "--hold=0s".to_owned()])?;
        load.ended_within(options.patience)?;
        // What the program then holds is what is there before the first connection.
        std::thread::sleep(STILL);
    }
    let connections = format!("--connections={}", options.connections);
    let interval = format!("--interval={}s", options.interval.as_secs_f64());
    clients(options, port, &[connections, interval])
}

/// Our own clients.
fn clients(options: &Options, port: u16, more: &[String]) -> Result<Process, Failure> {
    let mut command = Command::new(this_program()?);
    command
        .arg("load")
        .arg(SocketAddr::from(([127, 0, 0, 1], port)).to_string())
        .args(["--protocol", &options.protocol, "--end-with-parent"])
        .args(more)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    Process::start(command, "the load")
}

/// Waits until the program listens on the port.
pub fn wait_for(port: u16, program: &mut Process, patience: Duration) -> Result<(), Failure> {
    let begun = Instant::now();
    while !listening::is_taken(port) {
        if begun.elapsed() > patience || program.ended_within(GLANCE)?.is_some() {
            return Err(Failure::program(format!(
                "the program did not listen on port {port}: is that the right one?"
            )));
        }
    }
    Ok(())
}

fn this_program() -> Result<OsString, Failure> {
    Ok(std::env::current_exe().context("cannot find this program's own file")?.into())
}
