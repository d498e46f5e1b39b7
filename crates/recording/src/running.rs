//! The recorded program while it runs: started with the library preloaded, and passed every
//! signal that is meant to end it.

use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};
use std::{env, io};

use contract::environment;
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};
use tokio::time::sleep_until;

use crate::control::Wish;
use crate::keeper::Keeper;
use crate::observer::{Observed, Observer};
use crate::options::{AtInterrupt, Options, PythonObjects, Streams};
use crate::place::Place;
use crate::signals::Signals;
use crate::{RecordingError, kernel, sanitizers};

/// How long the program may take to end after a SIGTERM before it is killed.
const PATIENCE: Duration = Duration::from_secs(15);

/// What became of the program.
#[derive(Clone, Debug)]
pub struct Ended {
    /// The id of its process.
    pub pid: u32,
    /// When it was started, as in ISO 8601.
    pub started: String,
    /// From its start to its end.
    pub lasted: Duration,
    /// How it ended; `None` while it goes on.
    pub status: Option<ExitStatus>,
    /// We have ended it, after the capture.
    pub by_us: bool,
    /// Why we have killed it; `None` where we have not.
    pub killed: Option<&'static str>,
    /// What became of it where it was attached to; `None` where it was started.
    pub attached: Option<Fate>,
}

/// What became of a process that was attached to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It was let go, and goes on.
    GoesOn,
    /// It goes on, and could not be let go.
    NotLetGo,
    /// It goes on as another program, in which nothing of the recorder's is.
    IsAnother,
    /// It has ended. How, its parent knows.
    HasEnded,
}

impl Ended {
    /// The exit code to pass on: the program's, as shells have it; 0 when we ended it and it went
    /// as told.
    pub fn exit_code(&self) -> u8 {
        if self.attached.is_some() {
            return 0;
        }
        let Some(status) = self.status else { return 128 + Signal::KILL.as_raw() as u8 };
        match (status.code(), status.signal()) {
            (None, Some(SIGTERM)) if self.by_us => 0,
            (Some(code), _) => code as u8,
            (None, signal) => 128_u8.wrapping_add(signal.unwrap_or_default() as u8),
        }
    }

    /// How it ended, in words.
    pub fn in_words(&self) -> String {
        match self.attached {
            Some(Fate::GoesOn | Fate::NotLetGo) => return "goes on".to_owned(),
            Some(Fate::IsAnother) => return "has become another program".to_owned(),
            Some(Fate::HasEnded) => return "has ended".to_owned(),
            None => {}
        }
        let how = self.status.map_or("was still running".to_owned(), in_words);
        let signal = self.status.and_then(|status| status.signal());
        match self.killed {
            _ if self.by_us && signal == Some(SIGTERM) => "was ended".to_owned(),
            Some(why) => format!("{how}: {why}"),
            None if self.by_us => format!("was asked to end and {how}"),
            None => how,
        }
    }
}

const SIGTERM: i32 = Signal::TERM.as_raw();

/// What is being waited for.
#[derive(Clone, Copy)]
enum Phase {
    /// The program runs, or has ended and left running what it started.
    Running,
    /// The program was passed a SIGTERM on, and has to end.
    Told { until: Instant },
    /// The capture is made, and the program was told to end.
    Ending { until: Instant },
    /// The program has ended, and what it left running was told to end as well.
    EndingRest { until: Instant },
}

/// Runs the program to its end, and captures before it if that is asked for.
pub(crate) async fn run(
    options: &Options,
    place: &Place,
    folder: &Path,
) -> Result<(Ended, Observed), RecordingError> {
    let mut signals = Signals::listen()?;
    let started = jiff::Timestamp::now().to_string();
    let mut child = start(options, place)?;
    signals.listen_for_all()?;
    let pid = child.id().expect("a process that was not waited for has an id");
    let mut observer = Observer::of(options, &[pid], place, folder)?;
    let mut phase = Phase::Running;
    let mut ended: Option<(ExitStatus, Duration)> = None;
    let (mut over, mut given_up) = (false, false);
    let (mut killed, mut why_killed) = (None, "it had not ended 15 s after a SIGTERM");
    let mut keeper = Keeper::of(pid, &started);
    while !over {
        let running = ended.is_none();
        tokio::select! {
            biased;
            status = child.wait(), if running => {
                let status = status.map_err(RecordingError::system("wait for the program"))?;
                ended = Some((status, observer.elapsed()));
            }
            () = sleep_until(observer.next_look().into()) => {
                if observer.look() {
                    phase = Phase::Ending { until: end(pid, running, &mut observer) };
                }
            }
            wish = options.control.next() => match wish {
                Wish::Capture(how) => observer.capture_and_go_on(&how),
                Wish::Closed => observer.keep_closed(),
                Wish::End => {
                    observer.capture("when it was told to stop");
                    phase = Phase::Ending { until: end(pid, running, &mut observer) };
                }
            },
            signal = signals.next() => match (signal, options.at_interrupt) {
                (Signal::INT | Signal::TERM, AtInterrupt::GiveUp) => {
                    given_up = true;
                    phase = Phase::Ending { until: end(pid, running, &mut observer) };
                }
                (Signal::INT, AtInterrupt::Capture) => {
                    observer.capture("at an interrupt");
                    if running && !kernel::in_foreground() {
                        pass_on(pid, signal);
                    }
                }
                (Signal::TERM, AtInterrupt::Capture) => {
                    observer.capture("at a SIGTERM");
                    if phase.until().is_none() {
                        phase = Phase::Told { until: end(pid, running, &mut observer) };
                    } else {
                        phase.hurry();
                        why_killed = "there was another SIGTERM";
                    }
                }
                // A terminal sends it to all in its foreground.
                (Signal::QUIT, _) if kernel::in_foreground() => {}
                _ if running => pass_on(pid, signal),
                _ => {}
            },
        }
        over |= ended.is_some() && is_over(&mut phase, &mut observer);
        if !over {
            keeper.attend(options, place, &mut observer);
        }
        if let Some(until) = phase.until()
            && Instant::now() >= until
        {
            observer.descendants().signal(Signal::KILL);
            if ended.is_none() {
                killed = Some(why_killed);
            }
            // Not even that ends a process for which the kernel waits for a device.
            over |= Instant::now() >= until + PATIENCE;
        }
    }
    if given_up {
        return Err(RecordingError::Interrupted);
    }
    let (status, lasted) = match ended {
        Some((status, lasted)) => (Some(status), lasted),
        None => (None, observer.elapsed()),
    };
    let by_us = !matches!(phase, Phase::Running | Phase::Told { .. });
    let ended = Ended { pid, started, lasted, status, by_us, killed, attached: None };
    Ok((ended, observer.finish()))
}

impl Phase {
    /// When patience ends.
    fn until(self) -> Option<Instant> {
        match self {
            Phase::Running => None,
            Phase::Told { until } | Phase::Ending { until } | Phase::EndingRest { until } => {
                Some(until)
            }
        }
    }

    /// Ends patience.
    fn hurry(&mut self) {
        match self {
            Phase::Running => {}
            Phase::Told { until } | Phase::Ending { until } | Phase::EndingRest { until } => {
                *until = Instant::now();
            }
        }
    }
}

/// Tells the program to end. Returns when patience ends.
fn end(pid: u32, running: bool, observer: &mut Observer<'_>) -> Instant {
    // While they still have parents to be found by.
    observer.descendants().look();
    if running {
        pass_on(pid, Signal::TERM);
    }
    Instant::now() + PATIENCE
}

/// The program has ended: whether the recording has too.
fn is_over(phase: &mut Phase, observer: &mut Observer<'_>) -> bool {
    match *phase {
        // A daemon goes on when the program that started it has ended.
        Phase::Running | Phase::Told { .. } => !observer.waits(),
        Phase::Ending { until } => {
            observer.descendants().signal(Signal::TERM);
            *phase = Phase::EndingRest { until };
            false
        }
        Phase::EndingRest { .. } => observer.descendants().running() == 0,
    }
}

fn start(options: &Options, place: &Place) -> Result<Child, RecordingError> {
    let program = &options.command[0];
    let mut command = Command::new(program);
    // What the environment may say is not asked: every block is counted unless it is said here.
    match options.sample {
        None => command.env_remove(environment::SAMPLE),
        Some(sampling) => command.env(environment::SAMPLE, sampling.interval().to_string()),
    };
    match options.python {
        PythonObjects::InArenas => command.env_remove(environment::PYTHON),
        PythonObjects::OneByOne => command.env(environment::PYTHON, "1"),
    };
    let address_options = sanitizers::address_options(env::var_os(sanitizers::ADDRESS_OPTIONS));
    let not_started = |source| RecordingError::NotStarted { program: program.clone(), source };
    if let Streams::Log(file) = &options.streams {
        let copy = || -> io::Result<Stdio> { Ok(file.try_clone()?.into()) };
        command.stdin(Stdio::null());
        command.stdout(copy().map_err(not_started)?).stderr(copy().map_err(not_started)?);
    }
    command
        .args(&options.command[1..])
        .env(sanitizers::ADDRESS_OPTIONS, address_options)
        .envs(options.environment.iter().map(|(name, value)| (name, value)))
        .env(environment::PRELOAD, place.preload())
        .env(environment::SCOPE, options.scope.word())
        .env(environment::LEDGER_FOLDER, place.ledgers())
        .env(environment::MAIN_PARENT, std::process::id().to_string())
        .spawn()
        .map_err(not_started)
}

/// Only for a program that was not waited for: then its id is nobody else's.
fn pass_on(pid: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        let _ = kill_process(pid, signal);
    }
}

/// How a process ended, in words: `exited with code 3`, `was killed by signal 9 (SIGKILL)`.
pub fn in_words(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exited with code {code}"),
        (None, Some(9)) => "was killed by signal 9 (SIGKILL)".to_owned(),
        (None, Some(31)) => {
            "was killed by signal 31 (SIGSYS: a system-call filter forbids what it called)"
                .to_owned()
        }
        (None, Some(signal)) => format!("was killed by signal {signal}"),
        (None, None) => "ended".to_owned(),
    }
}
