//! `tlsheap diagnose` on what few servers do, in a real program on the distribution's OpenSSL
//! (`fixtures/programs/held.c`): exactly the finding that is built in, as large as it is.

mod program;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use program::{path, printed_json, scratch, text, tlsheap};
use serde_json::Value;

const SOURCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/programs/held.c");

/// Both ends of ten connections.
const AT_REST: &str = "--at-rest=20";
/// Nothing more happens.
const IDLE: &str = "--until-idle=1s";

/// The built program; `None`, and a word, where there is no OpenSSL 3 to link it with.
fn held() -> Option<&'static Path> {
    static HELD: OnceLock<Option<PathBuf>> = OnceLock::new();
    HELD.get_or_init(|| {
        let built = scratch("held");
        let libraries = ["-l:libssl.so.3", "-l:libcrypto.so.3", "-lpthread"];
        let arguments = ["-O2", "-Wall", "-Wextra", "-Werror", "-o", path(&built), SOURCE];
        let output = Command::new("cc").args(arguments).args(libraries).output().unwrap();
        if text(&output.stderr).contains("libssl.so.3") {
            assert!(std::env::var_os("CI").is_none(), "missing: libssl.so.3");
            println!("skipped: there is no libssl.so.3");
            return None;
        }
        assert!(output.status.success(), "{}", text(&output.stderr));
        Some(built)
    })
    .as_deref()
}

/// Records the program until `goal`.
fn recorded(held: &Path, goal: &str, arguments: &[&str]) -> PathBuf {
    static RECORDINGS: AtomicUsize = AtomicUsize::new(0);
    let number = RECORDINGS.fetch_add(1, Ordering::Relaxed);
    let folder = scratch(&format!("held-{}-{number}", arguments.concat()));
    let start = ["record", goal, "--out", path(&folder), "--", path(held)];
    let output = tlsheap(&[&start[..], arguments].concat());
    assert!(output.status.success(), "{}", text(&output.stderr));
    folder
}

fn diagnosis(folder: &Path) -> Value {
    printed_json(&["diagnose", path(folder), "--json"])
}

/// With both ends of all connections open.
fn with_connections(held: &Path, mode: &str) -> Value {
    let found = diagnosis(&recorded(held, AT_REST, &[mode]));
    assert_eq!(found["connections"], 20, "{found:#}");
    found
}

fn findings(diagnosis: &Value) -> Vec<(&str, f64)> {
    let findings = diagnosis["findings"].as_array().unwrap();
    let each = |finding: &Value| finding["bytes_per_connection"].as_f64().unwrap_or_default();
    findings.iter().map(|finding| (finding["id"].as_str().unwrap(), each(finding))).collect()
}

/// Whether it is there in about this size: versions of OpenSSL differ by some bytes.
fn about(found: f64, expected: f64) -> bool {
    (found - expected).abs() <= expected * 0.02
}

/// What the rule concluded from.
fn fact(finding: &Value, what: &str) -> f64 {
    let facts = finding["evidence"]["facts"].as_array().unwrap();
    let found = facts.iter().find(|fact| fact["what"] == what);
    found.unwrap_or_else(|| panic!("no {what} in {finding:#}"))["value"].as_f64().unwrap()
}

#[test]
fn connections_that_hold_nothing_of_all_that_have_no_finding() {
    let Some(held) = held() else { return };
    let found = with_connections(held, "plain");
    assert_eq!(findings(&found), []);
}

#[test]
fn bio_pairs_have_two_buffers_of_17_kilobytes() {
    let Some(held) = held() else { return };
    let found = with_connections(held, "pairs");
    assert_eq!(findings(&found), [("bio-pairs", 2.0 * 17.0 * 1024.0)]);
    // All that the pairs are more than memory BIOs, which stay small here.
    let each = |found: &Value| found["bytes_per_connection"].as_f64().unwrap();
    let plain = with_connections(held, "plain");
    assert!(about(each(&found) - each(&plain), 2.0 * 17.0 * 1024.0));
}

#[test]
fn dtls_keeps_its_handshake_buffer_and_its_record_buffers() {
    let Some(held) = held() else { return };
    let found = with_connections(held, "dtls");
    let found = findings(&found);
    let [("dtls-record-buffers-kept", records), ("dtls-handshake-buffer-kept", handshake)] =
        found[..]
    else {
        panic!("{found:?}");
    };
    // The mode that gives them back is set, and does not.
    assert!(about(records, 33_322.0) || about(records, 16_724.0), "{records}");
    // 16,384 bytes and a third.
    assert_eq!(handshake, 21_848.0);
}

#[test]
fn a_read_buffer_of_64_kilobytes_is_larger_than_a_record() {
    let Some(held) = held() else { return };
    let found = with_connections(held, "large");
    let found = findings(&found);
    let [("record-buffers-kept", all), ("oversized-read-buffer", excess)] = found[..] else {
        panic!("{found:?}");
    };
    assert!(about(all, 65_536.0 + 16_584.0), "{all}");
    assert!(about(excess, 65_536.0 - 16_716.0), "{excess}");
}

#[test]
fn threads_are_counted_and_cost_what_each_one_more_does() {
    let Some(held) = held() else { return };
    let of = |threads: &str| {
        let folder = recorded(held, IDLE, &["threads", threads]);
        let found = diagnosis(&folder);
        // How much glibc keeps of what was freed depends on which heaps the threads had.
        let mut findings = found["findings"].as_array().unwrap().clone();
        findings.retain(|finding| finding["id"] != "free-pages-kept");
        let top = printed_json(&["top", path(&folder), "--json"]);
        (findings, top["totals"]["inuse_bytes"].as_f64().unwrap())
    };
    let ((some, with_some), (many, with_many)) = (of("20"), of("120"));
    assert_eq!(some, [Value::Null; 0], "a pool is no finding");
    let [threads] = &many[..] else { panic!("{many:#?}") };
    assert_eq!(threads["id"], "thread-state");
    assert_eq!(fact(threads, "threads"), 121.0, "and the one that has started them");
    let each = fact(threads, "bytes for each thread");
    assert!(about(each, (with_many - with_some) / 100.0), "{each}: {with_some}, {with_many}");
    let sites = threads["evidence"]["sites"].as_array().unwrap();
    let bytes: f64 = sites.iter().map(|site| site["bytes"].as_f64().unwrap()).sum();
    let all = threads["bytes_total"].as_f64().unwrap();
    assert!(bytes > 0.5 * all && bytes <= all, "the heaviest sites: {threads:#}");
}

#[test]
fn halves_of_pairs_that_nobody_frees_stay_when_their_connections_are_closed() {
    let Some(held) = held() else { return };
    // One run before, one with the connections, one after them: three moments of one program.
    let before = recorded(held, IDLE, &["none"]);
    let open = recorded(held, AT_REST, &["pairs"]);
    let closed = recorded(held, IDLE, &["forgotten"]);
    for (moment, name) in [(before, "baseline.pb.gz"), (closed, "closed.pb.gz")] {
        fs::copy(moment.join("heap.pb.gz"), open.join(name)).unwrap();
    }
    let found = diagnosis(&open);
    let named = findings(&found);
    let [("bio-pairs", _), ("stays-after-close", left)] = named[..] else {
        panic!("{found:#}");
    };
    // The forgotten half with its buffer, and what its connection had in common with all others.
    assert!((17_408.0..17_408.0 + 4_096.0).contains(&left), "{left}");
    let heaviest = &found["findings"][1]["evidence"]["sites"][0];
    assert_eq!(heaviest["file"], "crypto/bio/bss_bio.c", "{heaviest:#}");
}
