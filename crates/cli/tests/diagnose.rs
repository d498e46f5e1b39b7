//! `tlsheap diagnose` on real captures: it names the causes that are built into each configuration,
//! and no others.

mod program;
mod recorded;

use std::collections::BTreeMap;
use std::sync::{LazyLock, Mutex};

use program::{SmallRun, path, printed, printed_json, scratch, text};
use recorded::{installed, tlsheap_record};
use serde_json::Value;

/// Each standard configuration and its causes, the heaviest first.
const CAUSES: [(&str, &[&str]); 12] = [
    (
        "node-0.4",
        &[
            "compression-negotiated",
            "bundle-parsed-again",
            "record-buffers-kept",
            "context-per-connection",
        ],
    ),
    ("shared-store", &["compression-negotiated", "record-buffers-kept", "context-per-connection"]),
    ("shared-context", &["compression-negotiated", "record-buffers-kept"]),
    ("no-compression", &["record-buffers-kept"]),
    ("release-buffers", &[]),
    ("compression-zeroed", &["record-buffers-kept", "compression-allowed"]),
    ("tls13", &["record-buffers-kept", "mlkem-key-kept"]),
    ("tls13-release-buffers", &["mlkem-key-kept"]),
    ("tls13-x25519", &["record-buffers-kept"]),
    ("mutual-tls", &["record-buffers-kept", "peer-chains-kept", "mlkem-key-kept"]),
    ("session-cache", &["record-buffers-kept", "mlkem-key-kept", "session-cache-filling"]),
    ("small-fragments", &["record-buffers-kept", "mlkem-key-kept"]),
];

/// What one thread more has of its own in OpenSSL, by connection: how many threads serve the few
/// connections of a run is chance.
const THREAD_STATE: f64 = 12_000.0 / SmallRun::CONNECTIONS as f64;

/// A run of each configuration, two at a time.
static RUNS: LazyLock<BTreeMap<&str, SmallRun>> = LazyLock::new(|| {
    // Removes what earlier tests left behind, while nobody makes anything.
    scratch("diagnose");
    let todo = Mutex::new(CAUSES.iter().map(|(name, _)| *name));
    let done = Mutex::new(BTreeMap::new());
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(name) = { todo.lock().unwrap().next() } {
                    let run = SmallRun::of(name, "diagnose");
                    done.lock().unwrap().insert(name, run);
                }
            });
        }
    });
    done.into_inner().unwrap()
});

fn diagnosis(configuration: &str) -> Value {
    printed_json(&["diagnose", RUNS[configuration].folder(), "--json", "--connections", "10000"])
}

fn finding(diagnosis: &Value, id: &str) -> Value {
    let findings = diagnosis["findings"].as_array().unwrap();
    let found = findings.iter().find(|finding| finding["id"] == id);
    found.unwrap_or_else(|| panic!("no {id} in {diagnosis:#}")).clone()
}

fn bytes(value: &Value, field: &str) -> f64 {
    value[field].as_f64().unwrap_or_else(|| panic!("no {field} in {value:#}"))
}

#[test]
fn each_configuration_has_its_own_causes_and_no_others() {
    for (name, causes) in CAUSES {
        let diagnosis = diagnosis(name);
        let findings = diagnosis["findings"].as_array().unwrap();
        let named: Vec<&str> = findings.iter().map(|one| one["id"].as_str().unwrap()).collect();
        assert_eq!(named, causes, "{name}: {diagnosis:#}");
    }
}

#[test]
fn a_finding_is_as_large_as_the_step_that_removes_it() {
    for (before, after, id) in [
        ("node-0.4", "shared-store", "bundle-parsed-again"),
        ("shared-store", "shared-context", "context-per-connection"),
        ("shared-context", "no-compression", "compression-negotiated"),
        ("no-compression", "release-buffers", "record-buffers-kept"),
        ("compression-zeroed", "no-compression", "compression-allowed"),
        ("tls13", "tls13-release-buffers", "record-buffers-kept"),
        ("tls13", "tls13-x25519", "mlkem-key-kept"),
        ("mutual-tls", "tls13", "peer-chains-kept"),
    ] {
        let (old, new) = (diagnosis(before), diagnosis(after));
        let predicted = bytes(&finding(&old, id), "bytes_per_connection");
        let measured = bytes(&old, "bytes_per_connection") - bytes(&new, "bytes_per_connection");
        let off = (predicted - measured).abs();
        // What is large enough is not hidden by chance.
        let exact = ["record-buffers-kept", "compression-negotiated"].contains(&id);
        let most = 0.1 * measured + if exact { 0.0 } else { THREAD_STATE };
        assert!(off < most, "{id}: {predicted} predicted, {measured} measured");
    }
}

#[test]
fn every_finding_has_evidence_that_adds_up_to_something() {
    for (name, _) in CAUSES {
        for finding in diagnosis(name)["findings"].as_array().unwrap() {
            let sites = finding["evidence"]["sites"].as_array().unwrap();
            assert!(!sites.is_empty(), "{name}: {finding:#}");
            assert!(sites.iter().all(|site| site["bytes"] != 0), "{name}: {finding:#}");
            assert!(bytes(finding, "bytes_total") > 0.0);
            let each = bytes(finding, "bytes_per_connection");
            assert!((bytes(finding, "projected_bytes") - each * 10_000.0).abs() < 1.0);
            assert!(!finding["remedies"].as_array().unwrap().is_empty());
        }
    }
}

#[test]
fn objects_are_counted_with_their_ratios() {
    let objects = &diagnosis("node-0.4")["objects"];
    assert_eq!(bytes(objects, "contexts_per_connection"), 1.0);
    assert_eq!(bytes(objects, "stores_per_connection"), 1.0);
    assert_eq!(bytes(objects, "sessions_per_connection"), 1.0);
    assert!(bytes(objects, "certificates_per_store") > 100.0);
    let shared = &diagnosis("release-buffers")["objects"];
    assert_eq!(bytes(shared, "contexts_per_connection"), 0.0);
    let live = shared["live"].as_array().unwrap();
    let connections = live.iter().find(|one| one["object"] == "SSL").unwrap();
    assert_eq!(connections["count"], SmallRun::CONNECTIONS);
    // SSL_new's own: the struct and what is copied into it.
    let each = bytes(connections, "bytes_each");
    assert!((5_000.0..20_000.0).contains(&each), "{each}");
}

#[test]
fn a_clean_program_is_told_so_with_its_floor() {
    let said = printed(&["diagnose", RUNS["release-buffers"].folder()]);
    assert!(said.contains(": nothing found in OpenSSL's "), "{said}");
    assert!(said.contains("in no finding: "), "{said}");
    assert!(said.contains("  SSL_accept ← "), "{said}");
    assert!(said.contains("needed by TLSv1.2 with x25519"), "{said}");
    let clean = diagnosis("release-buffers");
    assert_eq!(clean["floor_bytes_per_connection"], clean["bytes_per_connection"]);
}

#[test]
fn what_is_said_names_the_price_and_the_remedy_for_this_kind_of_program() {
    let said = printed(&["diagnose", RUNS["tls13"].folder(), "-n", "200000"]);
    for words in [
        "idle connections keep their record buffers",
        "with 200,000 connections",
        "price",
        "SslContextBuilder::set_mode(SslMode::RELEASE_BUFFERS)",
        "ssl/record/methods/tls_common.c:",
        "https://docs.openssl.org/",
    ] {
        assert!(said.contains(words), "no {words:?} in {said}");
    }
}

#[test]
fn a_profile_alone_is_diagnosed_by_its_live_objects() {
    let heap = RUNS["no-compression"].file("heap.pb.gz");
    let alone = printed_json(&["diagnose", path(&heap), "--json"]);
    assert_eq!(alone["connections"], SmallRun::CONNECTIONS);
    finding(&alone, "record-buffers-kept");
}

#[test]
fn a_leak_is_found_in_a_series_of_captures_with_its_stack() {
    if !installed("python3") {
        return;
    }
    let script = "import ssl, time\n\
                  kept = []\n\
                  while True:\n\
                  \x20   kept.append(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))\n\
                  \x20   time.sleep(0.05)\n";
    let place = tempfile::TempDir::new().unwrap();
    let folder = place.path().join("run");
    let options = ["--every=500ms", "--for=8s"];
    let output = tlsheap_record(&folder, &options, &["python3", "-c", script]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let diagnosis = printed_json(&["diagnose", path(&folder), "--json"]);
    let leak = finding(&diagnosis, "contexts-outlive");
    let sites = leak["evidence"]["sites"].as_array().unwrap();
    assert!(sites.iter().any(|site| site["function"] == "SSL_CTX_new_ex"), "{leak:#}");
    let facts = leak["evidence"]["facts"].as_array().unwrap();
    let grown = facts.iter().find(|fact| fact["what"] == "SSL_CTX more than at first").unwrap();
    assert!(grown["value"].as_f64().unwrap() >= 20.0, "{leak:#}");
}
