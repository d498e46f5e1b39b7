//! One recording of a process that runs.

use std::fs;
use std::process::Output;

use serde_json::Value;
use tempfile::TempDir;

use crate::program::{path, text, tlsheap};

/// One recording of a process.
pub struct Recorded {
    pub place: TempDir,
    pub output: Output,
}

impl Recorded {
    pub fn of(pid: u32, options: &[&str]) -> Recorded {
        let place = TempDir::new().unwrap();
        let (pid, folder) = (pid.to_string(), place.path().join("run"));
        let start = ["record", "--pid", &pid, "--out", path(&folder)];
        let output = tlsheap(&[&start, options].concat());
        Recorded { place, output }
    }

    /// In one line.
    pub fn said(&self) -> String {
        text(&self.output.stderr).split_whitespace().collect::<Vec<_>>().join(" ")
    }

    /// `run.json` of one that went well.
    pub fn record(&self) -> Value {
        assert!(self.output.status.success(), "{}", self.said());
        let file = self.place.path().join("run/run.json");
        serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap()
    }

    /// Why it was refused, and that this was no fault of the process's.
    pub fn refused(&self) -> String {
        assert_eq!(self.output.status.code(), Some(2), "{}", self.said());
        assert!(!self.place.path().join("run").exists());
        self.said()
    }

    /// Why there was nothing to do.
    pub fn refused_by_program(&self) -> String {
        assert_eq!(self.output.status.code(), Some(3), "{}", self.said());
        self.said()
    }
}
