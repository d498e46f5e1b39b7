//! `tlsheap diagnose` on programs that keep what they do not need, and on the same programs mended:
//! the finding is the one that is built in, and its bytes are what mending it saves
//! (`fixtures/programs/kept.c`, on the distribution's OpenSSL, and a script for Python).

#[path = "programs/certificate.rs"]
mod certificate;
mod program;
mod recorded;

use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::process::Command;

use program::{path, printed, printed_json, text};
use recorded::{installed, tlsheap_record};
use serde_json::Value;
use tempfile::TempDir;

const SOURCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/programs/kept.c");

/// A mode of the program, how often it does it, what is found, and how much of that goes when it is
/// mended: the first so many of the findings.
struct Case {
    mode: &'static str,
    count: u32,
    found: &'static [&'static str],
    mended: usize,
}

const fn case(
    mode: &'static str,
    count: u32,
    found: &'static [&'static str],
    mended: usize,
) -> Case {
    Case { mode, count, found, mended }
}

const CASES: [Case; 12] = [
    case("bundles", 40, &["bundle-parsed-again", "contexts-outlive"], 1),
    case("ended", 20, &["bundle-parsed-again", "contexts-outlive"], 1),
    case("late", 16, &["bundle-parsed-again", "context-per-connection"], 2),
    case("lists", 40, &["crls-kept"], 1),
    case("sessions", 600, &["session-cache-filling"], 1),
    case("tickets", 600, &["sessions-outlive"], 1),
    case("keys", 200, &["keys-outlive"], 1),
    case("peers", 600, &["peer-certificates-outlive"], 1),
    case("lost", 600, &["ssl-without-handshake"], 1),
    case("contexts", 200, &["contexts-outlive"], 1),
    case("libraries", 20, &["library-contexts"], 1),
    case("never", 300, &["never-freed"], 1),
];

/// What of the measured saving the findings may be off.
const OFF: f64 = 0.05;

/// A folder with the program, a certificate with its key, and a list of revoked certificates.
/// `None`, and a word, where there is no OpenSSL 3 to link with.
fn workplace() -> Option<TempDir> {
    let place = certificate::place();
    let built = place.path().join("kept");
    let libraries = ["-l:libssl.so.3", "-l:libcrypto.so.3", "-lpthread"];
    let arguments = ["-O2", "-Wall", "-Wextra", "-Werror", "-o", path(&built), SOURCE];
    let output = Command::new("cc").args(arguments).args(libraries).output().unwrap();
    if text(&output.stderr).contains("libssl.so.3") {
        assert!(std::env::var_os("CI").is_none(), "missing: libssl.so.3");
        println!("skipped: there is no libssl.so.3");
        return None;
    }
    assert!(output.status.success(), "{}", text(&output.stderr));
    make_list(place.path());
    Some(place)
}

fn make_list(place: &Path) {
    let settings = "[ca]\ndefault_ca = own\n[own]\ndatabase = index\ndefault_md = sha256\n\
                    default_crl_days = 30\n";
    let mut index = String::new();
    for number in 0..400 {
        let serial = 1_000_000 + number;
        let line = format!("R\t400101000000Z\t260101000000Z\t{serial:08X}\tunknown\t/CN={number}");
        writeln!(index, "{line}").unwrap();
    }
    fs::write(place.join("settings"), settings).unwrap();
    fs::write(place.join("index"), index).unwrap();
    let made = Command::new("openssl")
        .args(["ca", "-gencrl", "-config", "settings", "-out", "list.pem"])
        .args(["-keyfile", "key.pem", "-cert", "certificate.pem"])
        .current_dir(place)
        .output()
        .expect("the openssl program");
    assert!(made.status.success(), "{}", text(&made.stderr));
}

/// One recording, looked through.
struct Examined {
    diagnosis: Value,
    told: String,
    bytes: f64,
}

impl Examined {
    fn of(folder: &Path) -> Examined {
        let record = fs::read(folder.join("run.json")).unwrap();
        let record: Value = serde_json::from_slice(&record).unwrap();
        let others = &record["heap"]["counts"]["alloc_blocks"];
        assert!(others.as_u64() > Some(0), "all of it is recorded: {record:#}");
        let diagnosis = printed_json(&["diagnose", path(folder), "--json"]);
        let totals = &printed_json(&["top", path(folder), "--json"])["totals"];
        // Of a program that has given back what it had, the peak is what mending it changes.
        let judged = if diagnosis["judged"] == "peak" { "peak_bytes" } else { "inuse_bytes" };
        let bytes = totals[judged].as_f64().unwrap();
        Examined { told: printed(&["diagnose", path(folder)]), bytes, diagnosis }
    }

    fn findings(&self) -> &[Value] {
        self.diagnosis["findings"].as_array().unwrap()
    }

    fn ids(&self) -> Vec<&str> {
        self.findings().iter().map(|finding| finding["id"].as_str().unwrap()).collect()
    }
}

/// Records the program, until it has nothing to do any more or ends.
fn kept(place: &Path, arguments: &[&str]) -> Examined {
    let folder = place.join(arguments.join("-"));
    let program = place.join("kept");
    let command = [&[path(&program), path(place)], arguments].concat();
    let ends = ["ended", "never"].contains(&arguments[0]);
    let options: &[&str] = if ends { &[] } else { &["--until-idle=1s"] };
    let output = tlsheap_record(&folder, options, &command);
    assert!(output.status.success(), "{}", text(&output.stderr));
    Examined::of(&folder)
}

/// The findings are these, and those that are mended hold what mending saves.
fn holds(name: &str, found: &[&str], mended: usize, before: &Examined, after: &Examined) {
    assert_eq!(before.ids(), found, "{name}: {}", before.told);
    assert_eq!(after.ids(), [""; 0], "{name}, mended: {}", after.told);
    let findings = before.findings().iter().take(mended);
    let predicted: f64 = findings.map(|it| it["bytes_total"].as_f64().unwrap()).sum();
    let measured = before.bytes - after.bytes;
    let off = (predicted - measured).abs() / measured;
    assert!(off <= OFF, "{name}: {predicted} predicted, {measured} measured: {}", before.told);
    for finding in before.findings() {
        assert!(!finding["remedies"].as_array().unwrap().is_empty(), "{name}: {finding:#}");
    }
}

#[test]
fn each_fault_is_found_and_is_as_large_as_what_mending_it_saves() {
    let Some(place) = workplace() else { return };
    for Case { mode, count, found, mended } in CASES {
        let count = count.to_string();
        let before = kept(place.path(), &[mode, &count]);
        let mut after = kept(place.path(), &[mode, &count, "fixed"]);
        if mode == "never" {
            // What it held on its way does not matter: nothing is left.
            after.bytes = 0.0;
        }
        holds(mode, found, mended, &before, &after);
        let at_peak = before.diagnosis["judged"] == "peak";
        assert_eq!(at_peak, mode == "ended", "{mode}: {}", before.told);
        assert_eq!(
            before.told.contains(" at the peak, given back since"),
            at_peak,
            "{}",
            before.told
        );
    }
}

#[test]
fn what_is_not_openssls_is_told_with_its_share() {
    let Some(place) = workplace() else { return };
    // Lists of megabytes were read and given back: what the C library has kept is none of
    // OpenSSL's.
    let freed = kept(place.path(), &["freed", "60"]);
    let memory = &freed.diagnosis["memory"];
    let [own, openssl] =
        ["anonymous_bytes", "openssl_bytes"].map(|it| memory[it].as_f64().unwrap());
    assert!(openssl * 4.0 < own, "{memory:#}");
    assert!(freed.told.contains("that the process ha"), "{}", freed.told);
    let shared = kept(place.path(), &["shared", "40"]);
    let memory = &shared.diagnosis["memory"];
    let bytes = memory["shared_bytes"].as_f64().unwrap();
    assert!((40e6..45e6).contains(&bytes), "{memory:#}");
    assert!(shared.told.contains(" MB of it are shared memory"), "{}", shared.told);
    assert!(shared.findings().is_empty(), "{}", shared.told);
}

#[test]
fn a_server_of_many_names_is_told_who_holds_its_memory_and_nothing_else() {
    let Some(place) = workplace() else { return };
    let healthy = kept(place.path(), &["hosts", "100"]);
    assert_eq!(healthy.ids(), [""; 0], "{}", healthy.told);
    assert_eq!(healthy.diagnosis["rest_bytes"], healthy.diagnosis["looked_at_bytes"]);
    assert!(healthy.told.contains(": nothing found in OpenSSL's "), "{}", healthy.told);
    assert!(healthy.told.contains("\nin no finding: "), "{}", healthy.told);
    assert!(healthy.told.contains("  SSL_CTX_new_ex"), "{}", healthy.told);
    let objects = healthy.diagnosis["objects"]["live"].as_array().unwrap();
    let contexts = objects.iter().find(|one| one["object"] == "SSL_CTX").unwrap();
    assert_eq!(contexts["count"], 102);
}

#[test]
fn a_bundle_for_each_context_of_python_is_told_with_pythons_remedy() {
    if !installed("python3") {
        return;
    }
    let place = TempDir::new().unwrap();
    let of = |shared: &str| {
        let script = format!(
            "import ssl, time\n\
             roots = '/etc/ssl/certs/ca-certificates.crt'\n\
             make = lambda: ssl.create_default_context(cafile=roots)\n\
             one = make()\n\
             kept = [{shared} for _ in range(30)]\n\
             time.sleep(600)\n"
        );
        let folder = place.path().join(shared.split('(').next().unwrap());
        let command = ["python3", "-c", &script];
        let output = tlsheap_record(&folder, &["--until-idle=1s"], &command);
        assert!(output.status.success(), "{}", text(&output.stderr));
        Examined::of(&folder)
    };
    let (before, after) = (of("make()"), of("one"));
    holds("python", &["bundle-parsed-again", "contexts-outlive"], 2, &before, &after);
    assert!(before.told.contains("   Python "), "{}", before.told);
    assert!(!before.told.contains("   C "), "{}", before.told);
    assert!(before.findings()[0]["title"].as_str().unwrap().ends_with(" in memory 31 times"));
}
