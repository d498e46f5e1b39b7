//! Fixes of a program that nobody rebuilt, applied from outside by the library that `record`
//! preloads.

use std::ffi::OsString;
use std::fs::File;
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::Context;
use serde_json::Value;

use crate::commands::compare::{draw_step, step_name};
use crate::commands::diagnose::Examined;
use crate::commands::what_if::fix::Fix;
use crate::commands::what_if::outcome::{Cost, Outcome, Tried};
use crate::commands::what_if::{AS_IT_IS, Options, WHAT_IF};
use crate::failure::Failure;
use crate::run_folder::{self, NewFolder};
use crate::whole_file;

/// The variables that the preloaded library reads.
const FIXES: &str = "TLSHEAP_FIXES";
const REPORT: &str = "TLSHEAP_FIXES_REPORT";

/// How often a process is asked whether it has ended.
const GLANCE: Duration = Duration::from_millis(50);

/// How long a recording may take to write its folder after the program was told to end.
const WRITING: Duration = Duration::from_secs(60);

/// Records the program as it is and with each fix into the folder at `path`.
pub fn measure(options: &Options, path: &Path) -> Result<Outcome, Failure> {
    let folder = NewFolder::prepare(path)?;
    let as_it_is = record(options, AS_IT_IS, None, &folder)?;
    let run = folder.file(AS_IT_IS);
    let diagnosis = Examined::open(std::slice::from_ref(&run))?.diagnosis;

    let mut tried = Vec::new();
    for fix in options.wanted() {
        if let Err(reason) = fix.reaches_from_outside() {
            tried.push(Tried::not_applied(fix, reason));
            continue;
        }
        match record(options, fix.name(), Some(fix), &folder)? {
            Recorded { applied: false, .. } => {
                let reason = "no connection was made through a shared OpenSSL's SSL_new: it is \
                              linked into the program, or looked up by name";
                tried.push(Tried::not_applied(fix, reason));
            }
            Recorded { cost, .. } => {
                draw_step(&folder, AS_IT_IS, fix.name())?;
                let picture = step_name(AS_IT_IS, fix.name());
                tried.push(Tried::applied(fix, &as_it_is.cost, cost, &diagnosis, picture));
            }
        }
    }
    let command: Vec<String> =
        options.command.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    let outcome = Outcome::new(command.join(" "), as_it_is.cost, tried, None);
    let mut json = serde_json::to_vec_pretty(&outcome)?;
    json.push(b'\n');
    whole_file::write(&folder.file(WHAT_IF), &json)?;
    folder.finish()?;
    Ok(outcome)
}

/// One recording.
struct Recorded {
    cost: Cost,
    /// A process has made a connection with the fix.
    applied: bool,
}

/// Records the program under load, until all connections are at rest.
fn record(
    options: &Options,
    name: &str,
    fix: Option<Fix>,
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
    let load = start_load(options, &mut recording)?;
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
    let applied = report.exists();
    // Read, and of no use to anybody else.
    let _ = std::fs::remove_file(&report);
    Ok(Recorded { cost: cost(&out)?, applied })
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
fn start_load(options: &Options, recording: &mut Process) -> Result<Process, Failure> {
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
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    let begun = Instant::now();
    while TcpStream::connect_timeout(&address, GLANCE).is_err() {
        if begun.elapsed() > options.patience || recording.ended_within(GLANCE)?.is_some() {
            return Err(Failure::program(format!(
                "the program did not listen on port {port}: is that the right one?"
            )));
        }
    }
    let mut command = Command::new(this_program()?);
    command
        .arg("load")
        .arg(address.to_string())
        .args(["--protocol", &options.protocol, "--end-with-parent"])
        .arg(format!("--connections={}", options.connections))
        .arg(format!("--interval={}s", options.interval.as_secs_f64()))
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    Process::start(command, "the load")
}

fn this_program() -> Result<OsString, Failure> {
    Ok(std::env::current_exe().context("cannot find this program's own file")?.into())
}

/// A process that ends with this value.
struct Process {
    name: &'static str,
    child: Child,
}

impl Process {
    fn start(mut command: Command, name: &'static str) -> Result<Process, Failure> {
        let child = command.spawn().with_context(|| format!("cannot start {name}"))?;
        Ok(Process { name, child })
    }

    /// How it ended; `None` when it has not, after that time.
    fn ended_within(&mut self, time: Duration) -> Result<Option<ExitStatus>, Failure> {
        let begun = Instant::now();
        loop {
            let status = self.child.try_wait();
            let status = status.with_context(|| format!("cannot wait for {}", self.name))?;
            if status.is_some() || begun.elapsed() >= time {
                return Ok(status);
            }
            std::thread::sleep(GLANCE);
        }
    }

    /// Sends SIGTERM.
    fn ask_to_end(&self) {
        use rustix::process::{Pid, Signal, kill_process};

        if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            // It may have ended this moment; then there is nobody to ask.
            let _ = kill_process(pid, Signal::TERM);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.ask_to_end();
        if !matches!(self.ended_within(Duration::from_secs(2)), Ok(Some(_))) {
            // It may have ended by itself.
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}
