//! Programs that shut themselves in (`shut_in.c` and `rooted.c` in `fixtures/openssls`): the
//! recorder must not make a system call for which a filter ends the process, nor lose one that has
//! changed its root directory without a word.

mod program;
mod workshop;

use std::path::Path;

use program::path;
use serde_json::Value;
use workshop::{Workshop, number};

/// What the fixture holds at its end, and has freed before.
const BLOCKS: u64 = 4_000;
/// Bytes in each.
const BYTES: u64 = 100;

/// Records the fixture, which ends as it does by itself, and returns `run.json`.
fn recorded(how: &str) -> Value {
    let workshop = Workshop::new();
    let program = workshop.build("shut_in", &["shut_in.c", "library.c"], &["-lpthread"]);
    let recorded = workshop.record(&program, &[how]);
    let words = program::text(&recorded.output.stderr);
    assert!(recorded.output.status.success(), "{how}: {words}");
    recorded.record()
}

fn the_process(record: &Value) -> &Value {
    let processes = record["processes"].as_array().unwrap();
    assert_eq!(processes.len(), 1, "{record:#}");
    &processes[0]
}

/// All of the work, in the sites that it has.
fn assert_is_exact(process: &Value, times: u64) {
    assert_eq!(number(process, "/openssl_at_end/inuse_blocks"), times * BLOCKS, "{process:#}");
    assert_eq!(number(process, "/openssl_at_end/inuse_bytes"), times * BLOCKS * BYTES);
    let more = number(process, "/openssl/alloc_blocks") - times * 2 * BLOCKS;
    assert!(more <= times + 1, "{more} allocations more than the work");
    for lost in ["dropped_blocks", "untracked_blocks", "foreign_frees", "stale_blocks"] {
        assert_eq!(number(process, &format!("/recorder/{lost}")), 0, "{lost}");
    }
    let sites = number(process, "/recorder/sites");
    // Some are the program's own, of the C library's memory.
    assert!((BLOCKS..=BLOCKS + 6).contains(&sites), "{sites} sites");
}

/// The filter that is up is said.
fn says_so(record: &Value) -> bool {
    record.to_string().contains("put up a system-call filter")
}

#[test]
fn a_process_that_shuts_itself_in_is_recorded_in_full() {
    for how in ["used", "unused", "raw"] {
        let record = recorded(how);
        assert_is_exact(the_process(&record), 1);
        assert!(says_so(&record), "{how}");
    }
}

#[test]
fn a_child_that_shuts_itself_in_has_its_ledger_before() {
    let record = recorded("forked");
    let processes = record["processes"].as_array().unwrap();
    assert_eq!(processes.len(), 2, "{record:#}");
    assert_is_exact(&processes[1], 1);
    assert!(says_so(&record));
}

#[test]
fn threads_that_share_the_peak_ask_the_kernel_for_nothing() {
    let record = recorded("threads");
    let process = the_process(&record);
    assert_is_exact(process, 4);
    assert_eq!(number(process, "/openssl/peak_bytes"), 4 * BLOCKS * BYTES);
}

#[test]
fn of_a_thread_that_comes_later_everything_is_counted_at_the_allocating_line() {
    let record = recorded("later");
    let process = the_process(&record);
    assert_is_exact(process, 1);
    assert!(number(process, "/broken_stacks") >= BLOCKS, "{process:#}");
}

#[test]
fn a_child_that_is_forked_later_runs_unrecorded() {
    let record = recorded("child");
    let process = the_process(&record);
    assert_eq!(number(process, "/openssl/alloc_blocks"), 1, "{process:#}");
    assert!(says_so(&record));
}

#[test]
fn a_filter_that_the_kernel_refuses_changes_nothing() {
    let record = recorded("refused");
    assert_is_exact(the_process(&record), 1);
    assert!(!says_so(&record), "{record:#}");
}

/// Records `rooted.c`, and returns `run.json`.
fn rooted(when: &str) -> Value {
    let workshop = Workshop::new();
    let program = workshop.build("rooted", &["rooted.c", "library.c"], &[]);
    let jail = workshop.0.path().join("jail");
    std::fs::create_dir(&jail).unwrap();
    let recorded = workshop.record(&program, &[when, path(&jail)]);
    let words = program::text(&recorded.output.stderr);
    assert!(!words.contains("chroot: "), "root directories cannot be changed here: {words}");
    recorded.record()
}

#[test]
fn a_worker_that_changes_its_root_has_its_ledger_before() {
    let record = rooted("worker");
    let processes = record["processes"].as_array().unwrap();
    assert_eq!(processes.len(), 2, "{record:#}");
    assert_eq!(number(&processes[1], "/openssl_at_end/inuse_bytes"), 700);
    // There is no /proc to ask where its stack is.
    assert_eq!(number(&processes[1], "/broken_stacks"), 0);
    assert_eq!(record["problems"], serde_json::json!([]));
}

#[test]
fn a_child_that_is_forked_behind_another_root_is_said_to_be_missing() {
    let record = rooted("before");
    let process = the_process(&record);
    assert_eq!(number(process, "/recorder/unrecorded_children"), 1);
    let problems = record["problems"].to_string();
    assert!(problems.contains("1 process forked from process"), "{problems}");
}

#[test]
fn a_limit_of_file_sizes_makes_the_ledger_smaller_and_does_not_end_the_program() {
    let workshop = Workshop::new();
    let program = workshop.linked_in(&[]);
    for (blocks_of_512, room) in [("unlimited", 1_048_576), ("20000", 8_192), ("100", 0), ("0", 0)]
    {
        let line = format!("ulimit -f {blocks_of_512}; exec {}", path(&program));
        let recorded = workshop.record(Path::new("/bin/sh"), &["-c", &line]);
        let said = program::text(&recorded.output.stderr);
        if room > 0 {
            let process = recorded.process();
            assert_eq!(number(&process, "/recorder/site_capacity"), room, "{said}");
            assert_eq!(number(&process, "/openssl/alloc_blocks"), 3);
        } else if blocks_of_512 == "100" {
            assert!(said.contains("RLIMIT_FSIZE"), "{said}");
        }
        let _ = std::fs::remove_dir_all(&recorded.folder);
    }
}
