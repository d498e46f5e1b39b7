//! Children that a program makes behind the C library's back, without its fork handlers: they end
//! as they do by themselves, and each is in the answer or said not to be.

mod program;
mod workshop;

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use rustix::process::Signal;
use serde_json::Value;
use workshop::{Workshop, number};

/// Records `unseen.c`, which says and returns the same as by itself, and returns `run.json`.
fn recorded(how: &str, with: &str, options: &[&str]) -> Value {
    let workshop = Workshop::new();
    let program = workshop.build("unseen", &["unseen.c", "library.c"], &["-pthread"]);
    let recorded = workshop.record_with(options, &program, &[how, with]);
    assert!(recorded.said().contains("a child ended with 0\n"), "{}", recorded.said());
    recorded.record()
}

/// What the parent has counted is its own: 10,001 blocks, of which the first is freed.
fn assert_parent_is_exact(parent: &Value) {
    assert_eq!(number(parent, "/openssl/alloc_blocks"), 10_001, "{parent:#}");
    assert_eq!(number(parent, "/openssl_at_end/inuse_bytes"), 100_000);
    assert_eq!(number(parent, "/openssl/peak_bytes"), 101_000);
    assert_eq!(number(parent, "/recorder/foreign_frees"), 0);
}

#[test]
fn each_child_has_a_ledger_of_its_own() {
    for how in ["fork", "_Fork", "clone"] {
        let record = recorded(how, "alone", &[]);
        let processes = record["processes"].as_array().unwrap();
        assert_eq!(processes.len(), 4, "{how}: {record:#}");
        assert_parent_is_exact(&processes[0]);
        for child in &processes[1..] {
            assert_eq!(number(child, "/openssl/alloc_blocks"), 5, "{how}: {child:#}");
            let kept = 500 + 100_000 + (1 << 20);
            assert_eq!(number(child, "/openssl_at_end/inuse_bytes"), kept);
            assert_eq!(number(child, "/inherited/bytes"), 1_000);
            assert_eq!(child["forked_from"], processes[0]["pid"], "{child:#}");
        }
    }
}

#[test]
fn where_another_thread_may_hold_a_lock_the_child_is_said_to_be_missing() {
    for how in ["_Fork", "clone"] {
        let record = recorded(how, "threads", &[]);
        let processes = record["processes"].as_array().unwrap();
        let [parent] = &processes[..] else { panic!("{how}: one process: {record:#}") };
        assert_parent_is_exact(parent);
        assert_eq!(number(parent, "/recorder/unrecorded_children"), 3);
        assert!(record["problems"].to_string().contains("3 processes"), "{record:#}");
    }
}

#[test]
fn variables_that_a_child_lacks_are_named_at_once_where_its_connections_are_waited_for() {
    let workshop = Workshop::new();
    let program = workshop.build("unseen", &["unseen.c", "library.c"], &["-pthread"]);
    let run = workshop.0.path().join("run");
    let line = format!("{} fork alone; exec env -i sleep 60", program::path(&program));
    // Only a hang is cut short.
    let mut recording = Command::new("timeout")
        .args(["100", env!("CARGO_BIN_EXE_tlsheap"), "record", "--only=openssl", "--at-rest=5"])
        .args(["--out", program::path(&run), "--", "sh", "-c", &line])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let words = BufReader::new(recording.stderr.take().unwrap()).lines().map(Result::unwrap);
    let said = words.into_iter().find(|line| line.contains("was started without")).unwrap();
    assert!(said.contains("(sleep) is not recorded if it uses OpenSSL"), "{said}");
    assert!(said.contains("let LD_PRELOAD, TLSHEAP_LEDGER_DIR through"), "{said}");
    assert!(recording.try_wait().unwrap().is_none(), "it is told before the end");
    program::signal(recording.id(), Signal::TERM);
    recording.wait().unwrap();
}

#[test]
fn a_sampled_child_is_told_apart_too() {
    let record = recorded("clone", "alone", &["--sample", "64"]);
    let processes = record["processes"].as_array().unwrap();
    assert_eq!(processes.len(), 4, "{record:#}");
    let estimate = number(&processes[0], "/openssl_at_end/inuse_bytes");
    assert!((75_000..125_000).contains(&estimate), "{estimate} of 100,000 bytes");
}
