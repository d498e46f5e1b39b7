//! The server and the load as processes of their own, which say what happens in JSON lines.

use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::Context;
use rustix::process::{Pid, Signal, kill_process};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::failure::Failure;

/// How long a process may take to end after SIGTERM before it is killed.
const PATIENCE: Duration = Duration::from_secs(15);

/// A `tlsheap` of our own, running another command. Killed when this value is dropped.
pub struct Helper {
    name: &'static str,
    child: Child,
    input: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
    pid: u32,
}

impl Helper {
    /// Starts this program with other arguments. It ends when we do, and Ctrl-C is left to us.
    pub fn start(name: &'static str, arguments: &[String]) -> Result<Helper, Failure> {
        let program = std::env::current_exe().context("cannot find this program's own file")?;
        let mut child = Command::new(program)
            .args(arguments)
            .args(["--json", "--end-with-parent"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start the {name}"))?;
        let output = child.stdout.take().context("a piped standard output is there")?;
        let input = child.stdin.take().context("a piped standard input is there")?;
        let pid = child.id().context("a process that was not waited for has an id")?;
        Ok(Helper { name, child, input, lines: BufReader::new(output).lines(), pid })
    }

    /// The process's id.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// The next thing it says; `None` once it has closed its output, by ending. Safe to drop
    /// half-way: no line is lost.
    pub async fn next<T: DeserializeOwned>(&mut self) -> Result<Option<T>, Failure> {
        let Some(line) = self.lines.next_line().await? else { return Ok(None) };
        let event = serde_json::from_str(&line)
            .with_context(|| format!("the {} said something unexpected: {line}", self.name))?;
        Ok(Some(event))
    }

    /// Writes a request as one line of JSON. A process that has ended does not hear it: then
    /// [`Helper::next`] has no more to say.
    pub async fn tell(&mut self, request: &impl Serialize) -> Result<(), Failure> {
        let mut line = serde_json::to_vec(request)?;
        line.push(b'\n');
        match self.input.write_all(&line).await {
            Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
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
    pub async fn ended(&mut self) -> Result<ExitStatus, Failure> {
        if let Ok(status) = tokio::time::timeout(PATIENCE, self.child.wait()).await {
            return Ok(status?);
        }
        self.child.kill().await?;
        Err(Failure::program(format!(
            "the {} did not stop within {} s and was killed",
            self.name,
            PATIENCE.as_secs()
        )))
    }
}

/// How a process ended, in words: `exited with code 3`, `was killed by SIGKILL`.
pub fn describe(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt;

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
