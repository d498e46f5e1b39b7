//! `--column`: what is ordered by, compared, drawn and checked. The program that is recorded has
//! freed most of what it had when it ends: 5,000 bytes at its peak, 1,000 at its end.

mod program;
mod workshop;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use program::{path, printed, printed_json, text, tlsheap};
use workshop::Workshop;

const REFERENCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../profiles/reference/tls13");

const NOTE: &str = "at the peak: the program had freed all but 1.0 KB when it ended; --column \
                    in-use for that moment";

/// The folder of the recording, which is made once.
static ENDED: LazyLock<(Workshop, PathBuf)> = LazyLock::new(|| {
    let workshop = Workshop::new();
    let recorded = workshop.record(&workshop.linked_in(&[]), &["frees-before"]);
    let folder = recorded.folder.clone();
    assert!(folder.join("run.json").exists(), "{}", text(&recorded.output.stderr));
    (workshop, folder)
});

fn ended() -> &'static str {
    path(&ENDED.1)
}

/// A file beside the recording.
fn beside(name: &str) -> PathBuf {
    ENDED.1.with_file_name(name)
}

#[test]
fn a_program_that_has_freed_what_it_had_is_shown_at_its_peak() {
    let said = printed(&["top", ended()]);
    assert!(said.starts_with("run: 5.0 KB at the peak in 1 blocks\n"), "{said}");
    assert!(said.contains(NOTE), "{said}");
    let top = printed_json(&["top", ended(), "--json"]);
    assert_eq!(top["column"], "peak");
    assert_eq!(top["totals"]["inuse_bytes"], 1_000);
    assert_eq!(top["sites"][0]["peak_bytes"], 5_000, "{top:#}");
}

#[test]
fn every_column_can_be_chosen_and_is_what_is_said_of() {
    for (column, says) in [
        ("in-use", "run: 1.0 KB in use in 1 blocks\n"),
        ("peak", "run: 5.0 KB at the peak in 1 blocks\n"),
        ("allocated", "run: 6.3 KB ever allocated in 4 blocks\n"),
    ] {
        let said = printed(&["top", ended(), "--column", column]);
        assert!(said.starts_with(says) && !said.contains("--column"), "{said}");
        let top = printed_json(&["top", ended(), "--column", column, "--json"]);
        assert_eq!(top["column"], column);
    }
    // What a load has opened shares what was allocated, and had no hand in the peak.
    let said = printed(&["top", REFERENCE, "--column", "allocated"]);
    assert!(said.contains("ever allocated in "), "{said}");
    assert!(said.lines().next().unwrap().contains(" for each of "), "{said}");
    let top = printed_json(&["top", REFERENCE, "--column", "peak", "--json"]);
    assert!(top["connections"].is_u64() && top["per_connection"].is_null(), "{top:#}");
}

#[test]
fn like_is_compared_with_like() {
    let said = printed(&["diff", ended(), REFERENCE]);
    assert!(said.contains(": 5.0 KB → ") && said.contains("MB at the peak"), "{said}");
    assert!(said.contains("the program of run had freed all but 1.0 KB"), "{said}");
    let diff = printed_json(&["diff", ended(), REFERENCE, "--json"]);
    assert_eq!(diff["column"], "peak");
    let rows = diff["rows"].as_array().unwrap().iter();
    let sum: f64 = rows.map(|row| row["before_bytes"].as_f64().unwrap()).sum();
    assert_eq!(sum, 5_000.0);
    let said = printed(&["diff", ended(), REFERENCE, "--column", "in-use"]);
    assert!(said.contains(": 1.0 KB → ") && said.contains("MB in use"), "{said}");
    let said = printed(&["diff", REFERENCE, REFERENCE]);
    assert!(said.contains(" a connection"), "{said}");
}

#[test]
fn pictures_and_the_page_show_the_column() {
    let picture = |column: &[&str]| {
        let svg = beside("picture.svg");
        printed(&[&["flame", ended(), "-o", path(&svg)], column].concat());
        fs::read_to_string(svg).unwrap()
    };
    assert!(picture(&[]).contains("bytes in use when OpenSSL's total was highest"));
    assert!(picture(&["--column", "in-use"]).contains("bytes in use; "));
    assert!(picture(&["--column", "inuse_space"]).contains("bytes in use; "));
    assert!(
        picture(&["--column", "peak_objects"])
            .contains("blocks in use when OpenSSL's total was highest")
    );

    let page = |arguments: &[&str]| printed(&[&["report", "-o", "-"], arguments].concat());
    let usual = page(&[ended()]);
    assert!(usual.contains("run held <b>5.0\u{a0}KB</b> at its peak."), "{}", heading(&usual));
    assert!(usual.contains(NOTE), "{}", heading(&usual));
    assert!(usual.contains("bytes at the peak"));
    let chosen = page(&[ended(), "--column", "in-use"]);
    assert!(chosen.contains("run holds <b>1.0\u{a0}KB</b>."), "{}", heading(&chosen));
    let both = page(&[ended(), REFERENCE]);
    assert!(both.contains("the process goes from <b>5.0\u{a0}KB</b>"), "{}", heading(&both));
}

/// What a page says at its top, for messages.
fn heading(page: &str) -> &str {
    page.split("<header>").nth(1).and_then(|rest| rest.split("</header>").next()).unwrap_or(page)
}

#[test]
fn a_budget_is_held_against_the_column() {
    let budget = beside("budget.toml");
    fs::write(&budget, "[total]\nbytes = 4_999\n").unwrap();
    let check = |arguments: &[&str]| {
        tlsheap(&[&["check", ended(), "--budget", path(&budget)], arguments].concat())
    };
    let broken = check(&[]);
    assert_eq!(broken.status.code(), Some(1), "{}", text(&broken.stderr));
    let said = text(&broken.stdout);
    assert!(said.starts_with(NOTE) && said.contains("run, at the peak, breaks"), "{said}");
    let kept = check(&["--column", "in-use", "--json"]);
    assert_eq!(kept.status.code(), Some(0));
    let kept: serde_json::Value = serde_json::from_slice(&kept.stdout).unwrap();
    assert_eq!((&kept["column"], &kept["limits"][0]["value"]), (&"in-use".into(), &1000.0.into()));

    let first = beside("first.toml");
    printed(&["check", ended(), "--init", "--budget", path(&first)]);
    let written = fs::read_to_string(&first).unwrap();
    assert!(written.contains("# measured: 5000"), "{written}");
    printed(&["check", ended(), "--budget", path(&first)]);
}

#[test]
fn a_column_that_is_not_there_is_refused_with_what_is() {
    let dump = profile("good-exact.heap");
    let folded = profile("good.folded");
    for (arguments, says) in [
        (
            &["top", &dump, "--column", "peak"][..],
            "good-exact.heap has no peak column: it has in-use",
        ),
        (
            &["top", &folded, "--column", "in-use"],
            "good.folded has no in-use column: it has samples",
        ),
        (&["diff", ended(), &dump, "--column", "peak"], "good-exact.heap has no peak column"),
        (&["report", &dump, "--column", "allocated"], "good-exact.heap has no allocated column"),
        (&["check", &dump, "--column", "peak", "--init"], "good-exact.heap has no peak column"),
        (&["flame", &dump, "--column", "peak"], "good-exact.heap has no peak_space column"),
        (&["top", ended(), "--connections", "3"], "choose --column in-use"),
        (
            &["top", ended(), "--column", "inuse_space"],
            "[possible values: in-use, peak, allocated]",
        ),
    ] {
        let output = tlsheap(arguments);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {said}");
        assert!(said.contains(says) && output.stdout.is_empty(), "{arguments:?}: {said}");
    }
    // Without a choice there is no peak to compare.
    let said = printed(&["diff", ended(), &dump]);
    assert!(said.contains(" in use"), "{said}");
}

fn profile(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/profiles");
    path(&folder.join(name)).to_owned()
}
