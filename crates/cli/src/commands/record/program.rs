//! The recorded program while it runs: started with the library preloaded, and passed every
//! signal that is meant to end it.

use std::ffi::OsString;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use anyhow::Context;
use contract::environment;
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::sleep_until;

use crate::arguments::duration;
use crate::commands::record::Options;
use crate::commands::record::observer::{Observed, Observer};
use crate::commands::record::place::Place;
use crate::failure::Failure;
use crate::processes::describe;
use crate::run_folder::NewFolder;

/// How long the program may take to end after our SIGTERM before it is killed.
const PATIENCE: Duration = Duration::from_secs(15);

/// What became of the program.
pub struct Ended {
    pub pid: u32,
    pub started: String,
    pub lasted: Duration,
    pub status: ExitStatus,
    /// We have ended it, after the capture.
    pub by_us: bool,
}

impl Ended {
    /// The exit code to pass on: the program's, as shells have it; 0 when we ended it and it went
    /// as told.
    pub fn exit_code(&self) -> u8 {
        match (self.status.code(), self.status.signal()) {
            (None, Some(SIGTERM)) if self.by_us => 0,
            (Some(code), _) => code as u8,
            (None, signal) => 128_u8.wrapping_add(signal.unwrap_or_default() as u8),
        }
    }

    /// How it ended, in words.
    pub fn in_words(&self) -> String {
        match describe(self.status) {
            _ if self.by_us && self.status.signal() == Some(SIGTERM) => "was ended".to_owned(),
            how if self.by_us => format!("was asked to end and {how}"),
            how => how,
        }
    }
}

const SIGTERM: i32 = Signal::TERM.as_raw();

/// What is being waited for.
#[derive(Clone, Copy)]
enum Phase {
    /// The program runs, or has ended and left running what it started.
    Running,
    /// The capture is made, and the program was told to end.
    Ending { until: Instant },
    /// It has ended, and what it left running was told to end as well.
    EndingRest { until: Instant },
}

/// Runs the program to its end, and captures before it if that is asked for.
pub async fn run(
    options: &Options,
    place: &Place,
    folder: &NewFolder,
) -> Result<(Ended, Observed), Failure> {
    // Before the program starts: a signal must find somebody to pass it on.
    let listen = |kind| signal(kind).context("cannot listen for signals");
    let (mut interrupt, mut terminate) =
        (listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?);
    let (mut hang_up, mut quit) = (listen(SignalKind::hangup())?, listen(SignalKind::quit())?);
    let (mut user1, mut user2) =
        (listen(SignalKind::user_defined1())?, listen(SignalKind::user_defined2())?);

    let started = jiff::Timestamp::now().to_string();
    let mut child = start(options, place)?;
    let pid = child.id().context("a process that was not waited for has an id")?;
    let mut observer = Observer::of(options, pid, place, folder)?;
    let mut phase = Phase::Running;
    let mut ended: Option<(ExitStatus, Duration)> = None;
    let mut over = false;
    while !over {
        let running = ended.is_none();
        tokio::select! {
            biased;
            status = child.wait(), if running => {
                ended = Some((status?, observer.elapsed()));
            }
            () = sleep_until(observer.next_look().into()) => {
                if observer.look() {
                    // While they still have parents to be found by.
                    observer.descendants().look();
                    if running {
                        pass_on(pid, Signal::TERM);
                    }
                    phase = Phase::Ending { until: Instant::now() + PATIENCE };
                }
            }
            _ = interrupt.recv() => {
                observer.capture("at an interrupt");
                if running && !in_foreground() {
                    pass_on(pid, Signal::INT);
                }
            }
            _ = terminate.recv() => {
                observer.capture("at a SIGTERM");
                if running {
                    pass_on(pid, Signal::TERM);
                }
            }
            _ = quit.recv(), if running => if !in_foreground() { pass_on(pid, Signal::QUIT) },
            _ = hang_up.recv(), if running => pass_on(pid, Signal::HUP),
            _ = user1.recv(), if running => pass_on(pid, Signal::USR1),
            _ = user2.recv(), if running => pass_on(pid, Signal::USR2),
        }
        over |= ended.is_some() && is_over(&mut phase, &mut observer);
        if let Phase::Ending { until } | Phase::EndingRest { until } = phase
            && Instant::now() >= until
        {
            observer.descendants().signal(Signal::KILL);
        }
    }
    let (status, lasted) = ended.context("the loop goes on until the program has ended")?;
    let by_us = !matches!(phase, Phase::Running);
    Ok((Ended { pid, started, lasted, status, by_us }, observer.finish()))
}

/// The program has ended: whether the recording has too.
fn is_over(phase: &mut Phase, observer: &mut Observer<'_>) -> bool {
    match *phase {
        // A daemon goes on when the program that started it has ended.
        Phase::Running => !observer.waits(),
        Phase::Ending { until } => {
            observer.descendants().signal(Signal::TERM);
            *phase = Phase::EndingRest { until };
            false
        }
        Phase::EndingRest { until } => {
            observer.descendants().running() == 0 || Instant::now() >= until + PATIENCE
        }
    }
}

fn start(options: &Options, place: &Place) -> Result<Child, Failure> {
    let program = &options.command[0];
    let mut preload = OsString::from(place.library());
    // What the user preloads stays, behind ours.
    if let Some(others) = std::env::var_os("LD_PRELOAD").filter(|others| !others.is_empty()) {
        preload.push(":");
        preload.push(others);
    }
    let mut command = Command::new(program);
    // What the environment may say is not asked: every block is counted unless it is said here.
    match options.sample {
        None => command.env_remove(environment::SAMPLE),
        Some(sampling) => command.env(environment::SAMPLE, sampling.interval().to_string()),
    };
    let child = command
        .args(&options.command[1..])
        .env("LD_PRELOAD", preload)
        .env(environment::LEDGER_FOLDER, place.ledgers())
        .env(environment::MAIN_PARENT, std::process::id().to_string())
        .spawn();
    Ok(child.with_context(|| match program.to_str() {
        Some(time) if options.until_idle.is_some() && duration(time).is_ok() => {
            format!("cannot start a program {time}: a time for --until-idle is --until-idle={time}")
        }
        _ => format!("cannot start {}", program.display()),
    })?)
}

/// Only for a program that was not waited for: then its id is nobody else's.
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
