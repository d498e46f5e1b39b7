//! The recorded program while it runs: started with the library preloaded, and passed every
//! signal that is meant to end it.

use std::ffi::OsString;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use anyhow::Context;
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};

use crate::commands::record::Options;
use crate::commands::record::processes::{self, Processes};
use crate::failure::Failure;
use crate::processes::describe;

/// How long the program may take to end after the SIGTERM of `--for` before it is killed.
const PATIENCE: Duration = Duration::from_secs(15);

/// What became of the program.
pub struct Ended {
    pub pid: u32,
    pub started: String,
    pub lasted: Duration,
    pub status: ExitStatus,
    /// What was read while it ran, and when that was, in words.
    pub captured: Option<(Processes, String)>,
    /// We have ended it.
    pub by_us: bool,
}

impl Ended {
    /// The exit code to pass on: the program's, as shells have it; 0 when `--for` ended it and it
    /// went as told.
    pub fn exit_code(&self) -> u8 {
        match (self.status.code(), self.status.signal()) {
            (None, Some(SIGTERM)) if self.by_us => 0,
            (Some(code), _) => code as u8,
            (None, signal) => 128_u8.wrapping_add(signal.unwrap_or_default() as u8),
        }
    }

    /// How it ended, in words.
    pub fn in_words(&self) -> String {
        let how = describe(self.status);
        if self.by_us { format!("{how}, after the SIGTERM of --for") } else { how }
    }
}

const SIGTERM: i32 = Signal::TERM.as_raw();

/// Runs the program to its end, and captures before it if that is asked for.
pub async fn run(options: &Options, library: &Path, ledgers: &Path) -> Result<Ended, Failure> {
    // Before the program starts: a signal must find somebody to pass it on.
    let listen = |kind| signal(kind).context("cannot listen for signals");
    let (mut interrupt, mut terminate) =
        (listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?);
    let (mut hang_up, mut quit) = (listen(SignalKind::hangup())?, listen(SignalKind::quit())?);
    let (mut user1, mut user2) =
        (listen(SignalKind::user_defined1())?, listen(SignalKind::user_defined2())?);

    let started = jiff::Timestamp::now().to_string();
    let begun = Instant::now();
    let mut child = start(options, library, ledgers)?;
    let pid = child.id().context("a process that was not waited for has an id")?;
    let time = options.time.unwrap_or(Duration::MAX);
    let over = tokio::time::sleep(time.min(Duration::from_secs(1 << 30)));
    tokio::pin!(over);
    let mut captured = None;
    let mut capture = |when: String| -> Result<(), Failure> {
        if captured.is_none() {
            captured = Some((processes::read(ledgers)?, when));
        }
        Ok(())
    };
    let after = |begun: Instant| format!("after {:.1} s", begun.elapsed().as_secs_f64());
    let mut by_us = false;
    let status = loop {
        tokio::select! {
            biased;
            status = child.wait() => break status?,
            () = &mut over => {
                capture(after(begun))?;
                pass_on(pid, if by_us { Signal::KILL } else { Signal::TERM });
                by_us = true;
                over.as_mut().reset(tokio::time::Instant::now() + PATIENCE);
            }
            _ = interrupt.recv() => {
                capture(format!("{}, at an interrupt", after(begun)))?;
                if !in_foreground() {
                    pass_on(pid, Signal::INT);
                }
            }
            _ = terminate.recv() => {
                capture(format!("{}, at a SIGTERM", after(begun)))?;
                pass_on(pid, Signal::TERM);
            }
            _ = quit.recv() => if !in_foreground() { pass_on(pid, Signal::QUIT) },
            _ = hang_up.recv() => pass_on(pid, Signal::HUP),
            _ = user1.recv() => pass_on(pid, Signal::USR1),
            _ = user2.recv() => pass_on(pid, Signal::USR2),
        }
    };
    Ok(Ended { pid, started, lasted: begun.elapsed(), status, captured, by_us })
}

fn start(options: &Options, library: &Path, ledgers: &Path) -> Result<Child, Failure> {
    let program = &options.command[0];
    let mut preload = OsString::from(library);
    // What the user preloads stays, behind ours.
    if let Some(others) = std::env::var_os("LD_PRELOAD").filter(|others| !others.is_empty()) {
        preload.push(":");
        preload.push(others);
    }
    let child = Command::new(program)
        .args(&options.command[1..])
        .env("LD_PRELOAD", preload)
        .env("TLSHEAP_LEDGER_DIR", ledgers)
        .env("TLSHEAP_MAIN_PARENT", std::process::id().to_string())
        .spawn();
    Ok(child.with_context(|| format!("cannot start {}", program.display()))?)
}

/// A program that has ended this moment needs no signal.
fn pass_on(pid: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        let _ = kill_process(pid, signal);
    }
}

/// This process is in the foreground of a terminal: then the terminal's signals reach the program
/// by themselves.
fn in_foreground() -> bool {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // The name in brackets may hold blanks; behind it come state, parent, group, session, terminal
    // and the terminal's foreground group.
    let fields: Vec<&str> =
        text.rsplit_once(')').map_or("", |(_, fields)| fields).split_whitespace().collect();
    matches!(fields[..], [_, _, group, _, _, foreground, ..] if group == foreground)
}
