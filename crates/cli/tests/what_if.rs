//! `tlsheap what-if` on the reference server: what `diagnose` predicts is what a fix saves.

mod program;

use program::{path, printed, printed_json, tlsheap};
use serde_json::Value;
use tempfile::TempDir;

const SMALL: [&str; 5] = ["-n=20", "--hold=0s", "--interval=200ms", "--repeat=0", "--out"];

fn what_if(configuration: &str, more: &[&str]) -> (TempDir, Value) {
    let place = TempDir::new().unwrap();
    let out = place.path().join("what-if");
    let start = ["what-if", "--json", "--config", configuration];
    let outcome = printed_json(&[&start[..], &SMALL, &[path(&out)], more].concat());
    (place, outcome)
}

fn fix<'a>(outcome: &'a Value, name: &str) -> &'a Value {
    let fixes = outcome["fixes"].as_array().unwrap();
    let found = fixes.iter().find(|fix| fix["name"] == name);
    found.unwrap_or_else(|| panic!("no {name} in {outcome:#}"))
}

fn number(value: &Value, field: &str) -> f64 {
    value[field].as_f64().unwrap_or_else(|| panic!("no {field} in {value:#}"))
}

/// What one thread more has of its own in OpenSSL, for each of 20 connections: how many threads
/// serve them is chance.
const THREAD_STATE: f64 = 600.0;

/// The fix saves what was predicted, to a tenth.
fn saves_what_was_predicted(fix: &Value) {
    let saved = number(fix, "saved_bytes_per_connection");
    let predicted = number(fix, "predicted_bytes_per_connection");
    let small = fix["name"] == "no-session-cache" || fix["name"] == "no-mlkem";
    let chance = if small { THREAD_STATE } else { 0.0 };
    assert!((predicted - saved).abs() < 0.1 * saved + chance, "{fix:#}");
}

#[test]
fn every_fix_of_node_saves_what_was_predicted() {
    let (place, outcome) = what_if("node-0.4", &[]);
    for name in [
        "release-buffers",
        "no-compression",
        "empty-compression-methods",
        "shared-context",
        "shared-store",
    ] {
        let fix = fix(&outcome, name);
        saves_what_was_predicted(fix);
        let picture = place.path().join("what-if").join(fix["flamegraph"].as_str().unwrap());
        let svg = std::fs::read_to_string(picture).unwrap();
        assert!(svg.contains("<svg"), "{name}");
    }
    let page = printed(&["report", path(&place.path().join("what-if")), "-o", "-"]);
    assert!(page.contains("<h3>Fixes that were tried</h3>"), "{page}");
    let saved = number(fix(&outcome, "shared-store"), "saved_bytes_per_connection");
    let saved = analysis::notation::rounded(saved);
    assert!(
        page.contains(&format!("<th scope=\"row\">shared-store</th><td class=\"n\">{saved} ("))
    );
    assert!(page.contains("Not applied: "), "{page}");
    let small = number(fix(&outcome, "small-fragments"), "saved_bytes_per_connection");
    assert!((small - 12_288.0).abs() <= THREAD_STATE, "{small}");
    // What cannot be applied says why, and has no figures.
    let mlkem = fix(&outcome, "no-mlkem");
    assert_eq!(mlkem["not_applied"], "TLS 1.2 has no ML-KEM");
    assert!(mlkem["saved_bytes_per_connection"].is_null());
    // The largest saving comes first.
    assert_eq!(outcome["fixes"][0]["name"], "shared-context");
}

#[test]
fn without_ml_kem_and_without_a_session_cache_connections_are_smaller() {
    let fixes = ["--try=no-mlkem", "--try=no-session-cache", "--try=release-buffers"];
    let (_place, outcome) = what_if("session-cache", &fixes);
    assert_eq!(outcome["fixes"].as_array().unwrap().len(), 3);
    for name in ["no-mlkem", "no-session-cache", "release-buffers"] {
        saves_what_was_predicted(fix(&outcome, name));
    }
}

#[test]
fn the_table_says_what_was_saved_and_what_was_not_applied() {
    let place = TempDir::new().unwrap();
    let out = place.path().join("what-if");
    let start = ["what-if", "--config=tls13", "--try=release-buffers", "--try=no-compression"];
    let said = printed(&[&start[..], &SMALL, &[path(&out)]].concat());
    for words in ["as it is", "release-buffers", "not applied:", "compression is off"] {
        assert!(said.contains(words), "no {words:?} in {said}");
    }
}

#[test]
fn a_fix_that_does_not_exist_is_wrong_use() {
    let output = tlsheap(&["what-if", "--try=faster"]);
    assert_eq!(output.status.code(), Some(2));
}
