//! Programs that do the same each time, and what they ask malloc for: as the recorder says it, and as
//! a library that only counts says it.

#![allow(dead_code, reason = "each test program uses its part of this")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

use crate::needed;
use crate::program::{path, text, tlsheap_with};
use crate::workshop::{Workshop, number};

pub const SOURCES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/heap");

/// Blocks and bytes.
pub type Sum = [u64; 2];

/// A folder for programs, and the library that counts.
pub struct Trial {
    pub workshop: Workshop,
    counting: PathBuf,
}

/// What a program was asked for, by whom it was counted.
#[derive(Debug, PartialEq, Eq)]
pub struct Asked {
    pub ever: Sum,
    pub at_end: Sum,
}

impl Trial {
    pub fn new() -> Trial {
        let workshop = Workshop::new();
        let options = ["-shared", "-fPIC", "-pthread"];
        let counting = workshop.build("counting.so", &["../heap/counting.c"], &options);
        Trial { workshop, counting }
    }

    /// Compiles a program of the fixtures with another compiler.
    pub fn compile(&self, compiler: &str, source: &str) -> Option<PathBuf> {
        let compiler = needed::program(compiler)?;
        let built = self.workshop.0.path().join(source.replace('.', "-"));
        let source = format!("{SOURCES}/{source}");
        let output = Command::new(compiler).args(["-O", "-o", path(&built), &source]).output();
        let output = output.unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        Some(built)
    }

    /// What the program asks for, counted by somebody else.
    pub fn counted(&self, program: &Path, arguments: &[&str]) -> Asked {
        let file = self.workshop.0.path().join("counted");
        let status = Command::new(program)
            .args(arguments)
            .env("COUNTING", &file)
            .env("PYTHONHASHSEED", "0")
            .env("LD_PRELOAD", &self.counting)
            .output()
            .unwrap()
            .status;
        assert!(status.success(), "{status}");
        let said = fs::read_to_string(file).unwrap();
        let sums: Vec<u64> = said.split_whitespace().map(|it| it.parse().unwrap()).collect();
        Asked { ever: [sums[0], sums[1]], at_end: [sums[2], sums[3]] }
    }

    /// Records the program, and returns the folder and its record.
    pub fn record(&self, program: &Path, arguments: &[&str]) -> (PathBuf, Value) {
        let run = self.workshop.0.path().join("run");
        let _ = fs::remove_dir_all(&run);
        let output = self.record_with(&[("PYTHONHASHSEED", "0")], &run, program, arguments);
        assert!(output.status.success(), "{}", text(&output.stderr));
        let record = fs::read_to_string(run.join("run.json")).unwrap();
        (run, serde_json::from_str(&record).unwrap())
    }

    pub fn record_with(
        &self,
        variables: &[(&str, &str)],
        run: &Path,
        program: &Path,
        arguments: &[&str],
    ) -> Output {
        let start = ["record", "--heap", "--out", path(run), "--", path(program)];
        tlsheap_with(self.workshop.0.path(), variables, &[&start, arguments].concat())
    }
}

/// Blocks and bytes at a place of the record.
pub fn sum(record: &Value, pointer: &str) -> Sum {
    ["blocks", "bytes"].map(|what| number(record, &format!("{pointer}_{what}")))
}

/// What the recording says of all domains together.
pub fn recorded(record: &Value) -> Asked {
    let add = |one: Sum, other: Sum| [one[0] + other[0], one[1] + other[1]];
    let both = |what: &str| {
        add(sum(record, &format!("/heap/counts/{what}")), sum(record, &format!("/openssl/{what}")))
    };
    Asked { ever: both("alloc"), at_end: both("inuse") }
}
