//! The main job, run in a small size: what one connection costs, and where. The figures are those
//! of OpenSSL 4.0.3 with the zlib that comes with the workspace.

mod program;

use std::fs;
use std::sync::OnceLock;

use profile::{Content, Metric, read_any};
use program::{SmallRun, printed, printed_json};
use serde_json::Value;

const TOTALS: [&str; 6] =
    ["inuse_bytes", "inuse_blocks", "alloc_bytes", "alloc_blocks", "peak_bytes", "peak_blocks"];

fn node() -> &'static SmallRun {
    static RUN: OnceLock<SmallRun> = OnceLock::new();
    RUN.get_or_init(|| SmallRun::of("node-0.4", "main-job"))
}

fn no_compression() -> &'static SmallRun {
    static RUN: OnceLock<SmallRun> = OnceLock::new();
    RUN.get_or_init(|| SmallRun::of("no-compression", "main-job"))
}

#[test]
fn zlib_comes_first_with_its_13_blocks() {
    let top = node().top(&[]);
    assert_eq!(top["connections"], SmallRun::CONNECTIONS);
    let first = &top["sites"][0];
    assert_eq!(first["file"], "crypto/comp/c_zlib.c");
    assert_eq!(first["category"], "compression.zlib");
    let bytes = number(&first["bytes_per_connection"]);
    assert!((550_000.0..620_000.0).contains(&bytes), "{bytes} bytes of zlib per connection");
    assert!((number(&first["blocks_per_connection"]) - 13.0).abs() < f64::EPSILON, "{first:#}");
}

/// Counted by what asked for the memory: a certificate's names live in crypto/buffer and
/// crypto/stack too, and only the stack tells whose they are.
#[test]
fn a_store_of_certificates_comes_with_each_connection() {
    let under = ["crypto/x509", "crypto/asn1", "crypto/pem", "crypto/bn"]
        .map(|path| ["--under", path])
        .concat();
    let bytes = number(&node().top(&under)["per_connection"]["bytes"]);
    assert!(bytes > 500_000.0, "{bytes} bytes of certificates per connection");
}

#[test]
fn without_compression_no_byte_of_zlib_is_left() {
    let top = no_compression().top(&[]);
    for site in top["sites"].as_array().unwrap() {
        let zlib = ["file", "function", "category"]
            .iter()
            .any(|field| site[*field].as_str().unwrap().contains("zlib"));
        assert!(!zlib || site["alloc_bytes"] == 0, "{site:#}");
    }
    let bytes = number(&top["per_connection"]["bytes"]);
    assert!((50_000.0..60_000.0).contains(&bytes), "{bytes} bytes per connection");
}

#[test]
fn sites_add_up_to_the_totals_to_the_byte() {
    for run in [node(), no_compression()] {
        for by in ["site", "function", "file", "category"] {
            let top = run.top(&["--by", by]);
            let rows = top["sites"].as_array().unwrap();
            for column in TOTALS {
                let sum: i64 = rows.iter().map(|row| row[column].as_i64().unwrap()).sum();
                assert_eq!(Some(sum), top["totals"][column].as_i64(), "{column} by {by}");
            }
        }
        let record = record(run);
        for column in TOTALS {
            assert_eq!(
                record["at_rest"]["openssl"][column],
                run.top(&[])["totals"][column],
                "{column} of run.json"
            );
        }
    }
}

#[test]
fn nothing_was_lost_and_everything_was_given_back() {
    for run in [node(), no_compression()] {
        let record = record(run);
        assert_eq!(record["ended"], "clean");
        let recorder = record["recorder"].as_object().unwrap();
        for lost in [
            "dropped_blocks",
            "dropped_bytes",
            "untracked_blocks",
            "untracked_bytes",
            "foreign_frees",
            "stale_blocks",
            "nested_calls",
            "truncated_stacks",
        ] {
            assert_eq!(recorder[lost], 0, "{lost}");
        }
        assert_eq!(recorder["hook_replaced"], false);
        let memory = &record["recorder_memory"];
        let live = number(&record["at_rest"]["openssl"]["inuse_blocks"]);
        let each = number(&memory["resident_bytes"]) / live;
        assert!(each > 16.0, "a pointer and what is known of its block: {memory:#}");
        assert!((each - number(&memory["bytes_per_live_block"])).abs() < 1e-6, "{memory:#}");
        let before = number(&record["baseline"]["openssl"]["inuse_bytes"]);
        let after = number(&record["closed"]["openssl"]["inuse_bytes"]);
        assert!((after / before - 1.0).abs() < 0.02, "{before} before, {after} after");
    }
}

#[test]
fn objects_are_counted() {
    let rest = &record(node())["at_rest"]["objects"];
    for object in ["SSL", "SSL_CTX", "X509_STORE"] {
        assert_eq!(rest[object], SmallRun::CONNECTIONS, "{object}");
    }
    assert_eq!(record(no_compression())["at_rest"]["objects"]["SSL_CTX"], 1);
}

#[test]
fn the_flamegraph_shows_both_paths() {
    let svg = fs::read_to_string(node().file("flame.svg")).unwrap();
    for frame in [
        // From the connection's task to the store of certificates …
        "serve_connection",
        "build_trust_store",
        "PEM_read_bio_X509",
        // … and from the handshake to zlib, with OpenSSL's own file:line as the leaf.
        "SSL_accept",
        "deflateInit2_",
        "zlib_zalloc",
        "crypto/comp/c_zlib.c:43",
    ] {
        assert!(svg.contains(frame), "no {frame} in the flamegraph");
    }
    assert!(svg.contains("bytes"), "no unit in the flamegraph");
}

#[test]
fn the_profile_opens_as_pprof_with_its_labels() {
    let Content::Profile(profile) = read_any(&node().file("heap.pb.gz")).unwrap() else {
        panic!("heap.pb.gz is a ledger");
    };
    let kinds: Vec<&str> = profile.sample_types().iter().map(|t| t.kind.as_str()).collect();
    assert_eq!(
        kinds,
        [
            "inuse_objects",
            "inuse_space",
            "alloc_objects",
            "alloc_space",
            "peak_objects",
            "peak_space"
        ]
    );
    assert_eq!(profile.default_sample_type(), profile.column(Metric::InuseSpace));
    assert!(!profile.samples().is_empty());
    for sample in profile.samples() {
        let category = sample.label("category").expect("every sample has a category");
        match sample.label("domain") {
            Some("openssl") => assert!(!category.is_empty() && category != "rust"),
            Some("rust") => assert_eq!(category, "rust"),
            other => panic!("a sample of the domain {other:?}"),
        }
    }
    assert!(profile.mappings().any(|mapping| !mapping.build_id.is_empty()));
}

#[test]
fn a_run_compared_with_itself_has_not_changed() {
    let folder = node().folder();
    assert!(printed(&["diff", folder, folder]).ends_with("nothing changed\n"));
    let diff = printed_json(&["diff", folder, folder, "--json"]);
    for row in diff["rows"].as_array().unwrap() {
        assert_eq!((number(&row["delta_bytes"]), number(&row["delta_blocks"])), (0.0, 0.0));
    }
}

#[test]
fn changes_add_up_to_the_difference_of_the_totals() {
    let (before, after) = (node(), no_compression());
    let arguments = ["diff", before.folder(), after.folder(), "--json", "--whole"];
    let diff = printed_json(&arguments);
    let sum: f64 = diff["rows"].as_array().unwrap().iter().map(|r| number(&r["delta_bytes"])).sum();
    let total = |side: &str| number(&diff[side]["totals"]["inuse_bytes"]);
    assert!((sum - (total("after") - total("before"))).abs() < 0.5, "{sum}");
    assert_eq!(diff["rows"][0]["file"], "crypto/comp/c_zlib.c");
    assert_eq!(diff["rows"][0]["side"], "only_before");
}

fn record(run: &SmallRun) -> Value {
    serde_json::from_str(&fs::read_to_string(run.file("run.json")).unwrap()).unwrap()
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("{value} is no number"))
}
