//! With `run --rust exact` every block of Rust's is in the profile, and jemalloc, which knows nothing
//! of that, agrees: with its sample, and with what it has given out.

mod program;

use std::path::PathBuf;
use std::sync::OnceLock;

use profile::{Content, Metric, Profile, read_any};
use program::{path, printed, printed_json, scratch, text, tlsheap};
use serde_json::Value;

/// A run with every block counted, and one byte in 256 sampled beside.
fn exact() -> &'static (PathBuf, Value) {
    static RUN: OnceLock<(PathBuf, Value)> = OnceLock::new();
    RUN.get_or_init(|| {
        let folder = scratch("rust-exact");
        let fixed = ["run", "--config=tls13", "-n=60", "--hold=300ms", "--interval=100ms"];
        let options = ["--rust=exact", "--heap-sample=8", "--json", "--out", path(&folder)];
        let record = printed_json(&[&fixed[..], &options].concat());
        (folder, record)
    })
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}

#[test]
fn jemallocs_sample_and_its_statistics_say_what_was_counted() {
    let (_, record) = exact();
    for moment in ["baseline", "at_rest"] {
        let rust = &record[moment]["rust"];
        let counted = number(&rust["counted"]["inuse_bytes"]);
        // What jemalloc has given out is as large as its size classes are: at most a quarter more
        // than was asked for, for blocks above 128 bytes, and up to 15 bytes for smaller ones. It
        // has the blocks from before the recorder as well, which are a few kilobytes.
        let (given, blocks) =
            (number(&rust["inuse_bytes"]), number(&rust["counted"]["inuse_blocks"]));
        assert!(given >= counted, "{given} given, {counted} counted");
        let most = counted * 1.25 + blocks * 15.0 + 64.0 * 1024.0;
        assert!(given <= most, "{given} given, {counted} counted in {blocks}");
        // Some thousand blocks are in the sample: a fifth is many standard deviations.
        let sample = number(&rust["sample"]["inuse_bytes"]);
        assert!((sample / counted - 1.0).abs() < 0.2, "{sample} sampled of {counted}");
    }
    // A connection more is a task more, and its buffer.
    let counted = |moment: &str| number(&record[moment]["rust"]["counted"]["inuse_blocks"]);
    assert!(counted("at_rest") >= counted("baseline") + 60.0, "{record:#}");
    assert_eq!(record["recorder"]["nested_calls"], 0);
    assert_eq!(record["recorder"]["stale_blocks"], 0);
}

#[test]
fn the_profile_has_each_block_once() {
    let (folder, record) = exact();
    let Content::Profile(profile) = read_any(&folder.join("heap.pb.gz")).unwrap() else {
        panic!("heap.pb.gz is a ledger");
    };
    let sum = |profile: &Profile, domain: &str, metric: Metric| -> f64 {
        let column = profile.column(metric).unwrap();
        let of_domain = profile.samples().iter().filter(|s| s.label("domain") == Some(domain));
        of_domain.map(|sample| sample.values[column]).sum::<i64>() as f64
    };
    let at_rest = &record["at_rest"];
    for (domain, counts) in
        [("rust", &at_rest["rust"]["counted"]), ("openssl", &at_rest["openssl"])]
    {
        for (metric, what) in [
            (Metric::InuseSpace, "inuse_bytes"),
            (Metric::InuseObjects, "inuse_blocks"),
            (Metric::AllocSpace, "alloc_bytes"),
            (Metric::AllocObjects, "alloc_blocks"),
        ] {
            assert_eq!(sum(&profile, domain, metric), number(&counts[what]), "{domain} {what}");
        }
    }
    let says = |what: &str| profile.comments.iter().any(|comment| comment.contains(what));
    assert!(says("domain rust: exact") && !says("sampled"), "{:?}", profile.comments);
    for sample in profile.samples().iter().filter(|s| s.label("domain") == Some("rust")) {
        let leaf = profile.frames(sample).next().map(|frame| frame.function.to_owned());
        let leaf = leaf.unwrap_or_default();
        let handed_on = ["__rust_", "__rg_", "global_allocator", "recorder::"];
        assert!(!handed_on.iter().any(|it| leaf.contains(it)), "{leaf}");
    }
}

#[test]
fn tables_and_pictures_have_it_and_say_that_it_is_exact() {
    let (folder, record) = exact();
    let total = |domain: &str| {
        let top = printed_json(&["top", path(folder), "--json", domain]);
        number(&top["totals"]["inuse_bytes"])
    };
    let rust = number(&record["at_rest"]["rust"]["counted"]["inuse_bytes"]);
    let openssl = number(&record["at_rest"]["openssl"]["inuse_bytes"]);
    assert_eq!(total("--domain=rust"), rust);
    assert_eq!(total("--domain=openssl"), openssl);
    assert_eq!(total("--domain=all"), openssl + rust);
    let functions = printed(&["top", path(folder), "--domain=rust", "--by=function"]);
    assert!(functions.contains("tokio"), "no function of the runtime's: {functions}");
    let drawn = printed(&["flame", path(folder), "-o", "-"]).replace("&apos;", "'");
    assert!(drawn.replace("&#39;", "'").contains("OpenSSL's part and Rust's, exact"), "{drawn}");
}

#[test]
fn a_part_of_the_blocks_and_every_one_exclude_each_other() {
    let output = tlsheap(&["run", "--sample=64k", "--rust=exact"]);
    assert_eq!(output.status.code(), Some(2));
    let said = text(&output.stderr);
    assert!(said.contains("--sample counts a part of the blocks, and --rust exact"), "{said}");
}
