//! Recordings of programs, and the same programs by themselves.

#![allow(dead_code, reason = "each test program uses its part of this")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::program::{path, printed_json, text, tlsheap};

/// Whether a program is installed. Where everything is that the tests need, none may be missing.
pub fn installed(program: &str) -> bool {
    let version = match program {
        "openssl" => "version",
        "nginx" => "-v",
        _ => "--version",
    };
    let answers =
        Command::new(program).arg(version).stdout(Stdio::null()).stderr(Stdio::null()).status();
    let there = answers.is_ok_and(|status| status.success());
    assert!(there || std::env::var_os("CI").is_none(), "missing: {program}");
    if !there {
        println!("skipped: {program} is not installed");
    }
    there
}

/// One recording, and the program by itself.
pub struct Recorded {
    _place: TempDir,
    pub folder: PathBuf,
    pub output: Output,
    pub plain: Output,
}

impl Recorded {
    /// Records without options, and runs the program by itself.
    pub fn of(command: &[&str]) -> Recorded {
        Recorded::with(&[], command)
    }

    /// The same with options.
    pub fn with(options: &[&str], command: &[&str]) -> Recorded {
        let place = TempDir::new().unwrap();
        let folder = place.path().join("run");
        let output = tlsheap_record(&folder, options, command);
        let plain = Command::new(command[0]).args(&command[1..]).output().unwrap();
        Recorded { _place: place, folder, output, plain }
    }

    /// What the program said and how it ended are as without the recorder.
    pub fn is_transparent(&self) {
        assert_eq!(text(&self.output.stdout), text(&self.plain.stdout));
        let words = text(&self.output.stderr);
        assert!(words.starts_with(&text(&self.plain.stderr)), "{words}");
        assert_eq!(self.output.status.code(), self.plain.status.code(), "{words}");
    }

    /// `run.json`.
    pub fn record(&self) -> Value {
        let file = self.folder.join("run.json");
        let json = std::fs::read_to_string(&file).unwrap_or_else(|error| {
            panic!("{}: {error}: {}", file.display(), text(&self.output.stderr))
        });
        serde_json::from_str(&json).unwrap()
    }

    /// `top --json` with all rows.
    pub fn top(&self) -> Value {
        printed_json(&["top", path(&self.folder), "--json", "-n", "0"])
    }
}

/// `tlsheap record` with its output.
pub fn tlsheap_record(folder: &Path, options: &[&str], command: &[&str]) -> Output {
    let start = ["record", "--out", path(folder)];
    tlsheap(&[&start, options, &["--"], command].concat())
}
