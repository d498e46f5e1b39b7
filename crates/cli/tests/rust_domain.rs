//! Rust's part of the server's memory is in the profile, apart from OpenSSL's, and over time.

mod program;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use profile::{Content, Metric, Profile, read_any};
use program::{path, printed, printed_json, scratch, text, tlsheap};
use serde_json::Value;

/// A run of `configuration` with further options.
fn run(configuration: &str, purpose: &str, options: &[&str]) -> (PathBuf, Value) {
    let folder = scratch(&format!("{purpose}-{configuration}"));
    let fixed = ["run", "--hold=300ms", "--interval=100ms", "--json", "--out", path(&folder)];
    let record = printed_json(&[&fixed[..], &["--config", configuration], options].concat());
    (folder, record)
}

/// A run whose Rust part is sampled finely enough to be there for sure.
fn sampled() -> &'static (PathBuf, Value) {
    static RUN: OnceLock<(PathBuf, Value)> = OnceLock::new();
    RUN.get_or_init(|| run("no-compression", "sampled", &["-n=50", "--heap-sample=10"]))
}

fn heap(folder: &Path) -> Profile {
    let Content::Profile(profile) = read_any(&folder.join("heap.pb.gz")).unwrap() else {
        panic!("heap.pb.gz is a ledger");
    };
    profile
}

fn number(value: &Value) -> i64 {
    value.as_i64().unwrap_or_else(|| panic!("{value} is no whole number"))
}

#[test]
fn rust_is_in_the_profile_beside_openssl_and_neither_counts_the_other() {
    let (folder, record) = sampled();
    let profile = heap(folder);
    let column = profile.column(Metric::InuseSpace).unwrap();
    let sum = |domain: &str| -> i64 {
        let of_domain = profile.samples().iter().filter(|s| s.label("domain") == Some(domain));
        of_domain.map(|sample| sample.values[column]).sum()
    };
    let at_rest = &record["at_rest"];
    assert_eq!(sum("openssl"), number(&at_rest["openssl"]["inuse_bytes"]));
    assert_eq!(sum("rust"), number(&at_rest["rust"]["sample"]["inuse_bytes"]));
    assert_eq!(number(&at_rest["rust"]["sample"]["period_bytes"]), 1024);
    for sample in profile.samples().iter().filter(|s| s.label("domain") == Some("rust")) {
        let passes = |name: &str| profile.frames(sample).any(|frame| frame.function == name);
        assert!(!passes("CRYPTO_malloc") && !passes("recorder::hooks::malloc"));
        // What jemalloc does not count.
        assert_eq!(sample.values[2..], [0; 4]);
    }
    // About 300 blocks are in the sample: six standard deviations are a third.
    let (sample, all) = (sum("rust") as f64, number(&at_rest["rust"]["inuse_bytes"]) as f64);
    assert!((sample / all - 1.0).abs() < 0.4, "{sample} sampled of {all}");
    assert!(profile.comments.iter().any(|comment| comment.contains("sampled by jemalloc")));
}

#[test]
fn totals_are_openssls_unless_another_domain_is_asked_for() {
    let (folder, record) = sampled();
    let total = |arguments: &[&str]| {
        let top = printed_json(&[&["top", path(folder), "--json"], arguments].concat());
        number(&top["totals"]["inuse_bytes"])
    };
    let openssl = number(&record["at_rest"]["openssl"]["inuse_bytes"]);
    let rust = number(&record["at_rest"]["rust"]["sample"]["inuse_bytes"]);
    assert_eq!(total(&[]), openssl);
    assert_eq!(total(&["--domain=openssl"]), openssl);
    assert_eq!(total(&["--domain=rust"]), rust);
    assert_eq!(total(&["--domain=all"]), openssl + rust);
    let task = printed(&["top", path(folder), "--domain=rust", "--by=function"]);
    assert!(task.contains("tokio"), "no function of the runtime's: {task}");
}

#[test]
fn a_flamegraph_says_what_is_exact_and_what_sampled() {
    let (folder, _) = sampled();
    let drawn =
        |arguments: &[&str]| printed(&[&["flame", path(folder), "-o", "-"], arguments].concat());
    let both = "50 connections; OpenSSL&#39;s part exact, Rust&#39;s sampled";
    let plain = |svg: String| svg.replace("&apos;", "&#39;").replace('\'', "&#39;");
    assert!(plain(drawn(&[])).contains(both));
    assert!(plain(fs::read_to_string(folder.join("flame.svg")).unwrap()).contains("sampled"));
    let exact = drawn(&["--domain=openssl"]);
    assert!(plain(exact).contains("50 connections; OpenSSL&#39;s part, exact"));
}

#[test]
fn without_a_sample_there_is_no_rust_in_the_profile_and_an_account_all_the_same() {
    let (folder, record) = run("tls13", "unsampled", &["-n=5", "--heap-sample=off"]);
    assert!(record["at_rest"]["rust"]["sample"].is_null());
    assert!(number(&record["at_rest"]["rust"]["inuse_bytes"]) > 0);
    assert!(record["rss"]["at_rest"]["explained"].as_f64().unwrap() >= 0.95);
    let output = tlsheap(&["top", path(&folder), "--domain=rust"]);
    assert_eq!(output.status.code(), Some(2));
    let name = folder.file_name().unwrap().to_string_lossy();
    assert_eq!(
        text(&output.stderr),
        format!("tlsheap: {name} has no domain rust: it has openssl\n")
    );
}

#[test]
fn the_time_line_has_every_phase_and_a_picture() {
    let (folder, _) = sampled();
    let table = fs::read_to_string(folder.join("timeline.csv")).unwrap();
    let mut lines = table.lines();
    let heading = lines.next().unwrap();
    assert!(heading.starts_with("seconds,phase,connections,rss,"), "{heading}");
    assert!(heading.ends_with(",rust"), "{heading}");
    let mut phases: Vec<&str> = lines.map(|line| line.split(',').nth(1).unwrap()).collect();
    phases.dedup();
    // A phase that is over between two looks is in no line; these last long enough.
    assert_eq!(phases.first(), Some(&"baseline"));
    assert!(phases.contains(&"hold"), "{phases:?}");
    assert_eq!(phases.last(), Some(&"after"));
    let picture = fs::read_to_string(folder.join("timeline.svg")).unwrap();
    assert!(picture.contains("<title>rest of resident memory</title>"));
}
