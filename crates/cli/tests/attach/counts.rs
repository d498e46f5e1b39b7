//! What is counted equals what the program counts itself: blocks of OpenSSL's in a program and in an
//! interpreter, and SSL objects. Of the whole process, `whole.rs` says the same.

use std::process::Command;

use crate::needed;
use crate::process::{is_counted, is_put_back, wait_for};
use crate::recording::Recorded;
use crate::workshop::{Asked, Workshop, source};

/// Has it allocate and free what `counted.c` and `counted.py` know, and holds what is counted against
/// what they say.
pub fn is_counted_exactly(program: &mut Asked, pid: u32, what: &str) {
    let record = std::thread::scope(|scope| {
        let recording = scope.spawn(|| {
            let recorded = Recorded::of(pid, &["--until-idle=2s"]);
            (recorded.record(), recorded.said())
        });
        wait_for(|| is_counted(pid).then_some(()));
        program.ask("allocate 700");
        program.ask("free 300");
        program.ask("again 1000");
        // From before the attach.
        program.ask("free 450");
        let (record, said) = recording.join().unwrap();
        assert!(said.contains("1,700 allocations"), "{said}");
        record
    });
    let counts = &record["openssl"];
    assert_eq!(counts["alloc_blocks"], 1_700, "{what}: {record:#}");
    assert_eq!(counts["alloc_bytes"], 170_000);
    assert_eq!(counts["inuse_blocks"], 0, "{what}: {record:#}");
    assert_eq!(record["attached"]["earlier_blocks"], 50);
    assert_eq!(record["processes"][0]["recorder"]["foreign_frees"], 0);
}

#[test]
fn what_is_counted_is_what_the_program_counts_itself_behind_filters_too() {
    let workshop = Workshop::new();
    let counted = workshop.build("counted", &[], true);
    let filters: &[&[&str]] = &[&[], &["errno"], &["kill"]];
    for filter in filters {
        if !filter.is_empty() && !rustix::process::geteuid().is_root() {
            println!("skipped: behind a filter only root can attach");
            continue;
        }
        let mut program = Asked::start(&counted, filter);
        let pid = program.child.id();
        // Two times: the second recorder knows nothing of the first one's blocks.
        for round in 0..2 {
            is_counted_exactly(&mut program, pid, &format!("{filter:?} {round}"));
            is_put_back(pid);
        }
        // By itself again, and unharmed.
        assert_eq!(program.ask("again 5"), "given 3405 held 0");
        assert!(program.ends_well());
    }
}

#[test]
fn what_an_interpreter_counts_itself() {
    let Some(python) = needed::program("python3") else { return };
    let mut program = Asked::spawn(Command::new(python).arg(source("counted.py")));
    let pid = program.child.id();
    is_counted_exactly(&mut program, pid, "Python");
    is_put_back(pid);
    assert_eq!(program.ask("again 5"), "given 1705 held 50");
    assert!(program.ends_well());
}

#[test]
fn connections_that_came_after_the_attach() {
    let workshop = Workshop::new();
    let connections = workshop.build("connections", &["-pthread", "-l:libssl.so.3"], true);
    let mut program = Asked::start(&connections, &[]);
    let pid = program.child.id();
    program.ask("open 20");
    let record = std::thread::scope(|scope| {
        let recording = scope.spawn(|| Recorded::of(pid, &["--until-idle=2s"]).record());
        wait_for(|| is_counted(pid).then_some(()));
        program.ask("open 9");
        program.ask("last 3");
        program.ask("thread 25");
        recording.join().unwrap()
    });
    assert_eq!(record["objects"]["SSL"], 31, "{record:#}");
    is_put_back(pid);
    assert!(program.ends_well());
}
