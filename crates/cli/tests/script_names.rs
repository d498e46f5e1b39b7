//! Functions of scripts: where they have no names, the answer says how to get them.

mod program;
mod recorded;

use std::fs;
use std::path::{Path, PathBuf};

use program::{path, text, tlsheap_in};
use recorded::installed;
use serde_json::Value;
use tempfile::TempDir;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/programs/contexts.js");

const ADVICE: &str = "start it as `node --perf-basic-prof --interpreted-frames-native-stack`";

/// A recording in a folder of its own: Node leaves a log in the one that it is started in.
struct Recorded {
    place: TempDir,
    /// The answer, whose long lines are one again.
    said: String,
}

impl Recorded {
    fn of(command: &[&str]) -> Recorded {
        let place = TempDir::new().unwrap();
        let start = ["record", "--out", "run", "--"];
        let output = tlsheap_in(place.path(), &[&start, command].concat());
        assert!(output.status.success(), "{}", text(&output.stderr));
        Recorded { place, said: text(&output.stderr).replace("\n  ", " ") }
    }

    /// What the one process has written about its code.
    fn perf_map(&self) -> PathBuf {
        let record = fs::read_to_string(self.place.path().join("run/run.json")).unwrap();
        let record: Value = serde_json::from_str(&record).unwrap();
        Path::new("/tmp").join(format!("perf-{}.map", record["processes"][0]["pid"]))
    }
}

#[test]
fn a_script_without_names_is_told_once_how_to_get_them() {
    if !installed("node") {
        return;
    }
    let unnamed = Recorded::of(&["node", SCRIPT]).said;
    assert_eq!(unnamed.matches(ADVICE).count(), 1, "{unnamed}");

    let flags = ["--perf-basic-prof", "--interpreted-frames-native-stack"];
    let recorded = Recorded::of(&[&["node"], &flags[..], &[SCRIPT]].concat());
    fs::remove_file(recorded.perf_map()).unwrap();
    let named = recorded.said;
    assert!(named.contains("keepContexts › ") && !named.contains(ADVICE), "{named}");
}

#[test]
fn a_program_without_a_script_gets_no_advice() {
    let script = path(Path::new(env!("CARGO_BIN_EXE_tlsheap")));
    let said = Recorded::of(&[script, "run", "--config=tls13", "-n=2", "--hold=0s"]).said;
    assert!(said.contains("ssl/ssl_lib.c") && !said.contains("have no names"), "{said}");
}
