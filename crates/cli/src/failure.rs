//! How a command fails: one line on standard error, and an exit code that says whose fault it was.

use std::process::ExitCode;

/// Why a command did not do what it was asked. The exit codes are documented in the help.
#[derive(Debug)]
pub enum Failure {
    /// A budget is broken, which the command has said: exit code 1, no message.
    Breach,
    /// Wrong use or bad input: exit code 2.
    Use(anyhow::Error),
    /// The profiled program, or the load on it, failed: exit code 3.
    Program(anyhow::Error),
    /// Standard output was closed by its reader, as `head` does: no message.
    BrokenPipe,
    /// The user pressed Ctrl-C: exit code 130, as shells have it.
    Interrupted,
    /// The recorded program's own exit code, passed on: no message.
    PassedOn(u8),
}

impl Failure {
    /// Wrong use or bad input, said in a sentence.
    pub fn usage(sentence: impl Into<String>) -> Failure {
        Failure::Use(anyhow::Error::msg(sentence.into()))
    }

    /// The profiled program failed, said in a sentence.
    pub fn program(sentence: impl Into<String>) -> Failure {
        Failure::Program(anyhow::Error::msg(sentence.into()))
    }

    /// Says what happened, and returns the exit code.
    pub fn report(&self) -> ExitCode {
        let (error, code) = match self {
            Failure::Use(error) => (error, 2),
            Failure::Program(error) => (error, 3),
            Failure::Breach => return ExitCode::from(1),
            Failure::BrokenPipe => return ExitCode::SUCCESS,
            Failure::Interrupted => return ExitCode::from(130),
            Failure::PassedOn(code) => return ExitCode::from(*code),
        };
        anstream::eprintln!("tlsheap: {}", sentence(error));
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

impl<E> From<E> for Failure
where
    E: Into<anyhow::Error>,
{
    fn from(error: E) -> Failure {
        Failure::Use(error.into())
    }
}

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
