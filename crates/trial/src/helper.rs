//! The server and the load as processes of their own, which say what happens in JSON lines.
//!
//! The program that they are is the front end's ([`HelperProgram`]). It has to call [`called`]
//! first of all in its `main`: started as a helper, it is told what to do by an order, one JSON
//! object on its command line.

pub mod events;
mod lines;
pub mod loading;
pub mod orders;
mod requests;
pub mod serving;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, set_parent_process_death_signal};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::TrialError;
use lines::line;
use orders::{LoadOrder, Order, ServeOrder};

/// How long a process may take to end after SIGTERM before it is killed.
const PATIENCE: Duration = Duration::from_secs(15);

/// What stands before an order on a helper's command line.
const ORDER: &str = "--order";

/// A program that answers when it is [`called`] as a helper.
#[derive(Clone, Debug)]
pub struct HelperProgram(PathBuf);

impl HelperProgram {
    /// The program in this file, the caller's own as a rule. Where the fault is its user's, it ends
    /// with exit code 2.
    pub fn at(path: PathBuf) -> HelperProgram {
        HelperProgram(path)
    }

    /// Starts it as a load of which nothing is heard.
    pub(crate) fn load_command(&self, order: &LoadOrder) -> std::process::Command {
        let mut command = std::process::Command::new(&self.0);
        command.args(["load", ORDER, &line(order)]);
        command
    }
}

/// Whether this process was started as a helper; then it does as ordered, and this is what came of
/// it. `arguments` are the process's own, its name first.
pub fn called(arguments: impl Iterator<Item = OsString>) -> Option<Result<(), TrialError>> {
    let arguments: Vec<OsString> = arguments.skip(1).collect();
    let [role, order, text] = &arguments[..] else { return None };
    if order != ORDER {
        return None;
    }
    let order: Order = match (role.to_str()?, text.to_str()?) {
        ("serve", text) => serde_json::from_str(text).map(Order::Serve).ok()?,
        ("load", text) => serde_json::from_str(text).map(Order::Load).ok()?,
        _ => return None,
    };
    Some(end_with_parent().and_then(|()| match order {
        Order::Serve(order) => serving::serve_in_lines(&order),
        Order::Load(order) => loading::load_in_lines(&order),
    }))
}

/// Asks the kernel for SIGTERM when the parent ends, so that no helper outlives its trial.
fn end_with_parent() -> Result<(), TrialError> {
    set_parent_process_death_signal(Some(Signal::TERM))
        .map_err(|error| TrialError::system("be ended with the trial")(error.into()))
}

/// A helper at work. Killed when this value is dropped.
pub(crate) struct Helper {
    name: &'static str,
    child: Child,
    input: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
    pid: u32,
}

impl Helper {
    /// Starts a server.
    pub fn serve(program: &HelperProgram, order: &ServeOrder) -> Result<Helper, TrialError> {
        Helper::start(program, "server", "serve", &line(order))
    }

    /// Starts a load, which errors call `name`.
    pub fn load(
        program: &HelperProgram,
        name: &'static str,
        order: &LoadOrder,
    ) -> Result<Helper, TrialError> {
        Helper::start(program, name, "load", &line(order))
    }

    /// Starts the program with an order. It ends when we do, and Ctrl-C is left to us.
    fn start(
        program: &HelperProgram,
        name: &'static str,
        role: &str,
        order: &str,
    ) -> Result<Helper, TrialError> {
        let mut child = Command::new(&program.0)
            .args([role, ORDER, order])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(TrialError::system(format!("start the {name}")))?;
        let output = child.stdout.take().expect("a piped standard output is there");
        let input = child.stdin.take().expect("a piped standard input is there");
        let pid = child.id().expect("a process that was not waited for has an id");
        Ok(Helper { name, child, input, lines: BufReader::new(output).lines(), pid })
    }

    /// The process's id.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// The next thing it says; `None` once it has closed its output, by ending. Safe to drop
    /// half-way: no line is lost.
    pub async fn next<T: DeserializeOwned>(&mut self) -> Result<Option<T>, TrialError> {
        let hear = TrialError::system(format!("hear the {}", self.name));
        let Some(line) = self.lines.next_line().await.map_err(hear)? else { return Ok(None) };
        match serde_json::from_str(&line) {
            Ok(event) => Ok(Some(event)),
            Err(source) => Err(TrialError::Unexpected { name: self.name, line, source }),
        }
    }

    /// Writes a request as one line of JSON. A process that has ended does not hear it: then
    /// [`Helper::next`] has no more to say.
    pub async fn tell(&mut self, request: &impl Serialize) -> Result<(), TrialError> {
        let request = line(request) + "\n";
        match self.input.write_all(request.as_bytes()).await {
            Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
                Err(TrialError::system(format!("ask the {}", self.name))(error))
            }
            _ => Ok(()),
        }
    }

    /// Sends SIGTERM. A process that has ended already is left alone.
    pub fn ask_to_stop(&self) {
        if self.child.id().is_some()
            && let Some(pid) = i32::try_from(self.pid).ok().and_then(Pid::from_raw)
        {
            // It may have ended this moment; then there is nobody to ask.
            let _ = kill_process(pid, Signal::TERM);
        }
    }

    /// Waits for the end, and makes one when it does not come.
    pub async fn ended(&mut self) -> Result<ExitStatus, TrialError> {
        let wait = || TrialError::system(format!("wait for the {}", self.name));
        if let Ok(status) = tokio::time::timeout(PATIENCE, self.child.wait()).await {
            return status.map_err(wait());
        }
        self.child.kill().await.map_err(wait())?;
        Err(TrialError::failed(format!(
            "the {} did not stop within {} s and was killed",
            self.name,
            PATIENCE.as_secs()
        )))
    }
}
