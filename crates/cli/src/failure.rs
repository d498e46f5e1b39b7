//! How a command fails: one line on standard error, and an exit code that says whose fault it was.

use std::process::ExitCode;

use capture::{CaptureError, Fault};
use profile::harmless::harmless;
use recording::RecordingError;
use report::folder::FolderError;
use trial::TrialError;

use crate::telling;

/// Why a command did not do what it was asked. The exit codes are documented in the help.
#[derive(Debug)]
pub enum Failure {
    /// A budget is broken, which the command has said: exit code 1, no message.
    Breach,
    /// Something went wrong: exit code 2 for wrong use or bad input, 3 where the profiled program
    /// or the load on it failed, 130, as shells have it, for Ctrl-C, without a message.
    Because(Fault, anyhow::Error),
    /// Standard output was closed by its reader, as `head` does: no message.
    BrokenPipe,
    /// An exit code of somebody else's who has said why: no message.
    PassedOn(u8),
}

impl Failure {
    /// Wrong use or bad input, said in a sentence.
    pub fn usage(sentence: impl Into<String>) -> Failure {
        Failure::Because(Fault::User, anyhow::Error::msg(sentence.into()))
    }

    /// The profiled program failed, said in a sentence.
    pub fn program(sentence: impl Into<String>) -> Failure {
        Failure::Because(Fault::Program, anyhow::Error::msg(sentence.into()))
    }

    /// Says what happened, and returns the exit code.
    pub fn report(&self) -> ExitCode {
        let (error, code) = match self {
            Failure::Because(Fault::Interrupted, _) => return ExitCode::from(130),
            Failure::Because(Fault::Program, error) => (error, 3),
            Failure::Because(_, error) => (error, 2),
            Failure::Breach => return ExitCode::from(1),
            Failure::BrokenPipe => return ExitCode::SUCCESS,
            Failure::PassedOn(code) => return ExitCode::from(*code),
        };
        telling::tell(&format!("tlsheap: {}", harmless(&sentence(error))));
        ExitCode::from(code)
    }
}

/// The chain on one line: what failed, and after each colon why. Some errors of libraries have
/// their cause in their own words already; it is not said twice.
fn sentence(error: &anyhow::Error) -> String {
    let mut sentence = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !sentence.ends_with(&cause) {
            sentence += &format!(": {cause}");
        }
    }
    sentence
}

impl From<RecordingError> for Failure {
    fn from(error: RecordingError) -> Failure {
        Failure::Because(error.fault(), error.into())
    }
}

impl From<TrialError> for Failure {
    fn from(error: TrialError) -> Failure {
        Failure::Because(error.fault(), error.into())
    }
}

/// Errors of what the user named, and has to put right.
macro_rules! users_own {
    ($($error:ty),* $(,)?) => {
        $(impl From<$error> for Failure {
            fn from(error: $error) -> Failure {
                Failure::Because(Fault::User, error.into())
            }
        })*
    };
}

users_own!(
    anyhow::Error,
    CaptureError,
    FolderError,
    ledger::LedgerError,
    analysis::budget::BudgetError,
    analysis::budget::Unmeasurable,
    echo_server::ConfigurationError,
    report::flamegraph::FlameError,
);

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;

    #[test]
    fn each_cause_is_said_once() {
        let error = anyhow!("no such file").context("cannot read x: no such file").context("top");
        assert_eq!(sentence(&error), "top: cannot read x: no such file");
    }
}
