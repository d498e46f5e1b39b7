//! Programs built from `fixtures/attach`, and asked what they are to do.

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

use tempfile::TempDir;

use crate::daemons::succeed;
use crate::needed;
use crate::program::path;

/// A folder with programs built from `fixtures/attach`.
pub struct Workshop(pub TempDir);

const SOURCES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/attach");

/// A file of `fixtures/attach`.
pub fn source(name: &str) -> String {
    format!("{SOURCES}/{name}")
}

impl Workshop {
    pub fn new() -> Workshop {
        Workshop(TempDir::new().unwrap())
    }

    pub fn build(&self, name: &str, options: &[&str], with_openssl: bool) -> PathBuf {
        let built = self.0.path().join(format!("{name}{}", options.len()));
        let built = if options.is_empty() { self.0.path().join(name) } else { built };
        let source = source(&format!("{name}.c"));
        let library = if with_openssl { &["-l:libcrypto.so.3"][..] } else { &[] };
        let start = ["cc", "-O2", "-o", path(&built), &source];
        succeed(&[&start, options, library].concat());
        built
    }

    pub fn of_musl(&self) -> Option<PathBuf> {
        let compiler = needed::program("musl-gcc")?;
        let built = self.0.path().join("musl");
        succeed(&[&compiler, "-o", path(&built), &source("waits.c")]);
        Some(built)
    }
}

/// A program that does what it is asked on its standard input.
pub struct Asked {
    pub child: Child,
    lines: std::io::Lines<BufReader<ChildStdout>>,
}

impl Asked {
    pub fn start(program: &Path, arguments: &[&str]) -> Asked {
        Asked::spawn(Command::new(program).args(arguments))
    }

    pub fn spawn(command: &mut Command) -> Asked {
        let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = piped.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let output = child.stdout.take().unwrap();
        let mut asked = Asked { child, lines: BufReader::new(output).lines() };
        assert_eq!(asked.lines.next().unwrap().unwrap(), "ready");
        asked
    }

    /// Asks, and returns the answer.
    pub fn ask(&mut self, line: &str) -> String {
        self.tell(line);
        self.answer()
    }

    /// Asks, and does not wait for the answer.
    pub fn tell(&mut self, line: &str) {
        writeln!(self.child.stdin.as_mut().unwrap(), "{line}").unwrap();
    }

    pub fn answer(&mut self) -> String {
        self.lines.next().expect("it is there").unwrap()
    }

    /// There is nothing more to ask.
    pub fn ends_well(&mut self) -> bool {
        drop(self.child.stdin.take());
        self.child.wait().unwrap().success()
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
