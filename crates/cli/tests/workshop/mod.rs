//! Small programs with an OpenSSL, built from `fixtures/openssls` and recorded.

#![allow(dead_code, reason = "each test program uses its part of this")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

use crate::program::{self, path, text};

/// A folder with built programs and their recordings.
pub struct Workshop(pub TempDir);

const SOURCES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/openssls");

impl Workshop {
    pub fn new() -> Workshop {
        Workshop(TempDir::new().unwrap())
    }

    /// Compiles `sources`. A C compiler is there: OpenSSL was built with it.
    pub fn build(&self, name: &str, sources: &[&str], options: &[&str]) -> PathBuf {
        let built = self.0.path().join(name);
        let sources = sources.iter().map(|source| format!("{SOURCES}/{source}"));
        let output = Command::new("cc")
            .args(["-O2", "-w", "-o", path(&built)])
            .args(sources)
            .args(options)
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        built
    }

    /// A program with an OpenSSL linked into it.
    pub fn linked_in(&self, options: &[&str]) -> PathBuf {
        self.build("program", &["program.c", "library.c"], options)
    }

    /// A library with an OpenSSL.
    pub fn library(&self, options: &[&str]) -> PathBuf {
        let shared = ["-shared", "-fPIC", "-Wl,-soname,libplay.so"];
        self.build("libplay.so", &["library.c"], &[&shared, options].concat())
    }

    /// A program that uses a library with an OpenSSL.
    pub fn with_library(&self, options: &[&str]) -> PathBuf {
        let library = self.library(options);
        let origin = "-Wl,-rpath,$ORIGIN";
        self.build("program", &["program.c"], &[path(&library), origin])
    }

    /// Records the program, which has to say and return the same as by itself.
    pub fn record(&self, program: &Path, arguments: &[&str]) -> Recorded {
        self.record_with(&[], program, arguments)
    }

    /// The same, of what OpenSSL asks for alone.
    pub fn record_openssl(&self, program: &Path, arguments: &[&str]) -> Recorded {
        self.record_with(&["--only", "openssl"], program, arguments)
    }

    /// Records the program with options of `record`.
    pub fn record_with(&self, options: &[&str], program: &Path, arguments: &[&str]) -> Recorded {
        let folder = self.0.path().join("run");
        let start = ["record", "--out", path(&folder)];
        let output =
            program::tlsheap(&[&start, options, &["--", path(program)], arguments].concat());
        let plain = Command::new(program).args(arguments).output().unwrap();
        let words = text(&output.stderr);
        assert_eq!(text(&output.stdout), text(&plain.stdout), "{words}");
        Recorded { folder, output, plain }
    }
}

/// What became of it.
pub struct Recorded {
    pub folder: PathBuf,
    pub output: Output,
    plain: Output,
}

impl Recorded {
    /// The one process in `run.json`.
    pub fn process(&self) -> Value {
        let words = text(&self.output.stderr);
        assert_eq!(self.output.status.code(), self.plain.status.code(), "{words}");
        let record = self.record();
        let processes = record["processes"].as_array().expect(&words);
        assert_eq!(processes.len(), 1, "{record:#}");
        processes[0].clone()
    }

    /// All of `run.json`.
    pub fn record(&self) -> Value {
        let json = std::fs::read_to_string(self.folder.join("run.json")).unwrap();
        serde_json::from_str(&json).unwrap()
    }

    pub fn said(&self) -> String {
        text(&self.output.stdout)
    }
}

/// The number at a place of the record.
pub fn number(process: &Value, pointer: &str) -> u64 {
    process.pointer(pointer).and_then(Value::as_u64).unwrap_or_else(|| panic!("{process:#}"))
}
