//! A process that ends with the value that stands for it.

use std::process::{Child, Command, ExitStatus};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::TrialError;
use crate::glance::seen_within;

/// How long a process may take to end before it is killed.
const PATIENCE: Duration = Duration::from_secs(2);

/// The process.
pub struct Process {
    name: &'static str,
    child: Child,
}

impl Process {
    pub fn start(mut command: Command, name: &'static str) -> Result<Process, TrialError> {
        let child = command.spawn().map_err(TrialError::system(format!("start {name}")))?;
        Ok(Process { name, child })
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// How it ended; `None` when it has not, after that time.
    pub fn ended_within(&mut self, time: Duration) -> Result<Option<ExitStatus>, TrialError> {
        let ended = seen_within(time, || self.child.try_wait().transpose()).transpose();
        ended.map_err(TrialError::system(format!("wait for {}", self.name)))
    }

    /// Sends SIGTERM.
    pub fn ask_to_end(&self) {
        if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            // It may have ended this moment; then there is nobody to ask.
            let _ = kill_process(pid, Signal::TERM);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if matches!(self.ended_within(Duration::ZERO), Ok(Some(_))) {
            return;
        }
        self.ask_to_end();
        if !matches!(self.ended_within(PATIENCE), Ok(Some(_))) {
            // It may have ended by itself.
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}
