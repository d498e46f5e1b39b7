//! How a recording of a process that runs ends, and that the program goes on all the same.

use std::fs;
use std::process::{Command, Stdio};

use rustix::process::Signal;
use serde_json::Value;

use crate::process::{is_counted, is_put_back, ledger, wait_for};
use crate::program::{self, path, text, tlsheap};
use crate::recording::Recorded;
use crate::workshop::{Asked, Workshop};

#[test]
fn a_tlsheap_that_is_killed_is_followed_by_the_next_and_two_at_a_time_are_refused() {
    let workshop = Workshop::new();
    let counted = workshop.build("counted", &[], true);
    let mut program = Asked::start(&counted, &[]);
    let pid = program.child.id();
    let folder = workshop.0.path().join("run");
    let mut first = Command::new(env!("CARGO_BIN_EXE_tlsheap"))
        .args(["record", "--pid", &pid.to_string(), "--out", path(&folder)])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    wait_for(|| is_counted(pid).then_some(()));
    let before = ledger(pid).unwrap();
    program.ask("allocate 10");
    let refused = Recorded::of(pid, &["--for", "0s"]).refused();
    assert!(refused.contains("is recorded by another tlsheap, in /"), "{refused}");
    first.kill().unwrap();
    first.wait().unwrap();
    // It goes on, its recorder counting.
    assert_eq!(program.ask("allocate 10"), "given 20 held 120");
    assert!(is_counted(pid));
    let doctor = text(&tlsheap(&["doctor", &pid.to_string()]).stdout);
    assert!(doctor.contains("tlsheap is attached to it"), "{doctor}");
    let record = std::thread::scope(|scope| {
        let recording = scope.spawn(|| Recorded::of(pid, &["--until-idle=2s"]).record());
        wait_for(|| (is_counted(pid) && ledger(pid) != Some(before.clone())).then_some(()));
        program.ask("allocate 30");
        recording.join().unwrap()
    });
    assert_eq!(record["openssl"]["alloc_blocks"], 30, "{record:#}");
    is_put_back(pid);
    assert!(program.ends_well());
}

#[test]
fn an_interrupt_makes_the_capture_and_lets_the_program_go() {
    let workshop = Workshop::new();
    let counted = workshop.build("counted", &[], true);
    let mut program = Asked::start(&counted, &[]);
    let pid = program.child.id();
    for signal in [Signal::INT, Signal::TERM] {
        let folder = workshop.0.path().join(format!("run-{}", signal.as_raw()));
        let mut tlsheap = Command::new(env!("CARGO_BIN_EXE_tlsheap"))
            .args(["record", "--pid", &pid.to_string(), "--out", path(&folder)])
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        wait_for(|| is_counted(pid).then_some(()));
        program.ask("allocate 10");
        program::signal(tlsheap.id(), signal);
        assert_eq!(tlsheap.wait().unwrap().code(), Some(0));
        let record = fs::read_to_string(folder.join("run.json")).unwrap();
        let record: Value = serde_json::from_str(&record).unwrap();
        assert_eq!(record["openssl"]["alloc_blocks"], 10, "{record:#}");
        is_put_back(pid);
    }
    assert!(program.ends_well());
}
