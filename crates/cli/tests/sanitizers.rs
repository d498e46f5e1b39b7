//! Programs that a sanitizer or valgrind watches: they run as they do by themselves, and nothing is
//! reported that is the recorder's.

mod program;
mod recorded;
mod workshop;

use std::path::Path;
use std::process::Command;

use recorded::installed;
use workshop::{Workshop, number};

/// Whether programs can be built with these options of the C compiler.
fn builds_with(option: &str) -> bool {
    let folder = tempfile::TempDir::new().unwrap();
    let source = folder.path().join("nothing.c");
    std::fs::write(&source, "int main(void) { return 0; }").unwrap();
    let output = Command::new("cc")
        .args([option, "-o", program::path(&folder.path().join("nothing"))])
        .arg(&source)
        .output()
        .unwrap();
    let builds = output.status.success();
    assert!(builds || std::env::var_os("CI").is_none(), "missing: a C compiler with {option}");
    if !builds {
        println!("skipped: the C compiler here does not build with {option}");
    }
    builds
}

#[test]
fn a_program_with_address_sanitizer_starts_and_is_recorded_in_full() {
    const OPTION: &str = "-fsanitize=address";
    if !builds_with(OPTION) {
        return;
    }
    let workshop = Workshop::new();
    let process = workshop.record(&workshop.linked_in(&[OPTION]), &[]).process();
    assert_eq!(number(&process, "/openssl/alloc_blocks"), 3, "{process:#}");
    // Also where it is a shell that starts it.
    let workshop = Workshop::new();
    let line = program::path(&workshop.linked_in(&[OPTION])).to_owned();
    let process = workshop.record(Path::new("/bin/sh"), &["-c", &line]).process();
    assert_eq!(number(&process, "/openssl/alloc_blocks"), 3, "{process:#}");
}

#[test]
fn of_a_program_with_thread_sanitizer_it_is_said_what_is_not_its_own() {
    const OPTION: &str = "-fsanitize=thread";
    if !builds_with(OPTION) {
        return;
    }
    let workshop = Workshop::new();
    let program = workshop.linked_in(&[OPTION]);
    let out = workshop.0.path().join("out");
    let arguments = ["record", "--out", program::path(&out), "--", program::path(&program)];
    let words = program::text(&program::tlsheap(&arguments).stderr);
    assert!(words.starts_with("tlsheap: "), "{words}");
    assert!(words.contains("is built with ThreadSanitizer, which does not see"), "{words}");
}

#[test]
fn valgrind_finds_nothing_in_a_recorded_program() {
    if !installed("valgrind") || !installed("openssl") {
        return;
    }
    let folder = tempfile::TempDir::new().unwrap();
    let out = folder.path().join("out");
    let out = program::path(&out);
    let watched = ["valgrind", "--error-exitcode=9", "openssl", "ciphers"];
    let output = program::tlsheap(&[&["record", "--out", out, "--"], &watched[..]].concat());
    let words = program::text(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{words}");
    assert!(words.contains("recorded exactly"), "{words}");
}
