//! What a connection of the reference server costs does not depend on how many threads serve it, and
//! on which of them the warm-up has used.

mod program;

use std::path::Path;
use std::process::Command;

use program::{path, text};
use serde_json::Value;
use tempfile::TempDir;

/// Bytes and blocks for each of 20 connections that so many threads serve.
fn cost(place: &Path, workers: &str) -> (Value, Value) {
    let folder = place.join(workers);
    let output = Command::new(env!("CARGO_BIN_EXE_tlsheap"))
        .args(["run", "--config", "tls13", "-n", "20", "--hold=0s", "--interval=200ms"])
        .args(["--warm-up=4", "--heap-sample=off", "--out", path(&folder)])
        .env("TOKIO_WORKER_THREADS", workers)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let json = std::fs::read_to_string(folder.join("run.json")).unwrap();
    let record: Value = serde_json::from_str(&json).unwrap();
    let each = &record["per_connection"];
    (each["bytes"].clone(), each["blocks"].clone())
}

#[test]
fn threads_that_the_warm_up_has_missed_are_no_connections_cost() {
    let place = TempDir::new().unwrap();
    let one = cost(place.path(), "1");
    assert!(one.0.as_f64().unwrap() > 10_000.0, "{one:?}");
    assert_eq!(cost(place.path(), "24"), one);
}
