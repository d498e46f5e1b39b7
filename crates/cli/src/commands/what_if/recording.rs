//! One recording of a program under load, as it is or with a fix.

use std::ffi::OsString;
use std::fs::File;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use analysis::diagnosis::Diagnosis;
use anyhow::Context;
use contract::environment;
use jiff::Timestamp;
use serde_json::Value;

use crate::commands::diagnose::Examined;
use crate::commands::what_if::fix::Fix;
use crate::commands::what_if::glance::GLANCE;
use crate::commands::what_if::outcome::Cost;
use crate::commands::what_if::process::Process;
use crate::commands::what_if::reached::Reached;
use crate::commands::what_if::{Options, listening};
use crate::failure::Failure;
use crate::run_folder::{self, NewFolder};

/// How long a recording may take to write its folder after the program was told to end.
const WRITING: Duration = Duration::from_secs(60);

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
    options: &Options,
    name: &str,
    fix: Option<Fix>,
    start: Start,
    folder: &NewFolder,
) -> Result<Recorded, Failure> {
    let out = folder.file(name);
    let words = folder.file(&format!("{name}.log"));
    let report = folder.file(&format!(".{name}.applied"));
    let log = File::create(&words).with_context(|| format!("cannot write {}", words.display()))?;
    let mut command = Command::new(this_program()?);
    command
        .args([
            "record",
            "--at-rest",
            &format!("{} connections", options.workload.connections),
            "--out",
        ])
        .arg(&out)
        .arg("--")
        .args(&options.command)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log);
    if let Some(fix) = fix {
        command.env(environment::FIXES, fix.name()).env(environment::FIXES_REPORT, &report);
    }
    let mut recording = Process::start(command, "the recording")?;
    let (load, warmed) = start_load(options, start, &mut recording)?;
    let Some(status) = recording.ended_within(options.patience)? else {
        recording.ask_to_end();
        recording.ended_within(WRITING)?;
        let seen = record_of(&out).ok().and_then(|record| record["connections"].as_u64());
        let seen = match seen.filter(|seen| *seen > 0) {
            Some(seen) => format!("at the end there were {seen} SSL objects"),
            None => "no SSL object was seen, nor can it be in a program without symbols".to_owned(),
        };
        return Err(Failure::program(format!(
            "{name}: {} connections did not come to rest within {:?}: {seen}. Is the load right?",
            options.workload.connections, options.patience,
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
    let record = record_of(&out)?;
    let cost = cost(&record);
    let came_after = warmed.is_some_and(|warmed| baseline(&record) >= Some(warmed));
    let was_clean = came_after && cost.connections == Some(options.workload.connections as u64);
    Ok(Recorded { cost, found, reached, was_clean })
}

/// `run.json` of a recording.
fn record_of(folder: &Path) -> Result<Value, Failure> {
    let file = folder.join(run_folder::RUN);
    let text = std::fs::read_to_string(&file)
        .with_context(|| format!("cannot read {}", file.display()))?;
    Ok(serde_json::from_str(&text).with_context(|| format!("{}: not JSON", file.display()))?)
}

/// When the recording saw what was there before the connections.
fn baseline(record: &Value) -> Option<Timestamp> {
    let started: Timestamp = record["started"].as_str()?.parse().ok()?;
    let after = Duration::try_from_secs_f64(record["baseline"]["after_seconds"].as_f64()?).ok()?;
    Some(started + after)
}

/// What a connection costs, as the recording says it.
fn cost(record: &Value) -> Cost {
    let each = &record["per_connection"];
    Cost {
        connections: record["connections"].as_u64(),
        bytes_per_connection: each["bytes"].as_f64(),
        blocks_per_connection: each["blocks"].as_f64(),
        allocs_per_handshake: each["allocations"].as_f64(),
        handshakes_per_second: None,
        handshakes_per_second_spread: None,
    }
}

/// The user's load, or our own clients once the program listens; and when a warm-up was over.
fn start_load(
    options: &Options,
    start: Start,
    recording: &mut Process,
) -> Result<(Process, Option<Timestamp>), Failure> {
    if let Some(load) = &options.load {
        let mut command = Command::new("sh");
        command.arg("-c").arg(load).stdin(Stdio::null()).stdout(Stdio::null());
        return Ok((Process::start(command, "the load")?, None));
    }
    let port = options.port.ok_or_else(|| {
        Failure::usage(
            "a program needs a load: name the port that it listens on with --port, or give a \
             command with --load",
        )
    })?;
    wait_for(port, recording, options.patience)?;
    let mut warmed = None;
    if let Start::Warm(pause) = start {
        let connections = format!("--connections={}", options.workload.warm_up);
        let mut load = clients(options, port, &[connections, "--hold=0s".to_owned()])?;
        load.ended_within(options.patience)?;
        warmed = Some(Timestamp::now());
        // What the program then holds is what is there before the first connection.
        std::thread::sleep(pause);
    }
    let connections = format!("--connections={}", options.workload.connections);
    let interval = format!("--interval={}s", options.workload.interval.as_secs_f64());
    Ok((clients(options, port, &[connections, interval])?, warmed))
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
