//! `tlsheap record` on programs of the distribution, which nobody rebuilt.

mod program;
mod recorded;

use std::path::Path;

use program::{path, printed, printed_json, text, tlsheap};
use recorded::{Recorded, installed, tlsheap_record};
use tempfile::TempDir;

/// A file that does not change, to have something to digest.
const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");

#[test]
fn a_program_says_the_same_with_and_without_the_recorder() {
    if !installed("openssl") {
        return;
    }
    let recorded = Recorded::of(&["openssl", "dgst", "-sha256", FILE]);
    recorded.is_transparent();
    let record = recorded.record();
    let processes = record["processes"].as_array().unwrap();
    assert_eq!(processes.len(), 1, "{record:#}");
    let openssls = &processes[0]["openssls"];
    assert_eq!(openssls[0]["outcome"], "recorded");
    assert_eq!(openssls[0]["way"], "exported");
    assert!(openssls[0]["version"].as_str().unwrap().starts_with("OpenSSL "), "{openssls}");
    assert!(record["openssl"]["alloc_blocks"].as_u64().unwrap() > 1_000);
    assert_eq!(record["processes"][0]["recorder"]["foreign_frees"], 0);
    // What others make rates of.
    let profile = std::fs::read(recorded.folder.join("heap.pb.gz")).unwrap();
    let profile = profile::pprof::read(&profile, "heap.pb.gz").unwrap();
    let seconds = record["seconds"].as_f64().unwrap();
    assert!((profile.duration_nanos as f64 / 1e9 - seconds).abs() < 1e-6, "{seconds}");
}

#[test]
fn a_programs_failure_is_passed_on() {
    if !installed("python3") {
        return;
    }
    let script = "import ssl, sys\n\
                  ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)\n\
                  print('going wrong', file=sys.stderr)\n\
                  sys.exit(7)\n";
    let recorded = Recorded::of(&["python3", "-c", script]);
    recorded.is_transparent();
    assert_eq!(recorded.output.status.code(), Some(7));
    assert!(recorded.record()["openssl"]["alloc_blocks"].as_u64().unwrap() > 0);
}

#[test]
fn two_recordings_of_one_thing_agree_at_every_line() {
    if !installed("openssl") {
        return;
    }
    let sites = || {
        let top = Recorded::of(&["openssl", "dgst", "-sha256", FILE]).top();
        let mut sites: Vec<String> = top["sites"]
            .as_array()
            .unwrap()
            .iter()
            .map(|s| {
                format!("{}:{} {} {}", s["file"], s["line"], s["alloc_blocks"], s["alloc_bytes"])
            })
            .collect();
        sites.sort();
        sites
    };
    let first = sites();
    assert!(first.len() > 50, "{first:#?}");
    assert_eq!(first, sites());
}

#[test]
fn a_forked_child_has_a_ledger_of_its_own() {
    if !installed("python3") {
        return;
    }
    let script = "import os, ssl\n\
                  kept = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)\n\
                  if os.fork() == 0:\n\
                  \x20   ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)\n\
                  \x20   del kept\n\
                  \x20   os._exit(7)\n\
                  print(os.waitstatus_to_exitcode(os.wait()[1]))\n";
    let recorded = Recorded::of(&["python3", "-c", script]);
    recorded.is_transparent();
    assert_eq!(text(&recorded.output.stdout), "7\n");
    let record = recorded.record();
    let [parent, child] = &record["processes"].as_array().unwrap()[..] else {
        panic!("two processes: {record:#}")
    };
    assert_eq!(child["forked_from"], parent["pid"]);
    let inherited = |name: &str| child["inherited"][name].as_u64().unwrap();
    // What the child has from its parent is apart from its own, and freed by itself in part.
    assert!(inherited("bytes") > 10_000, "{child:#}");
    assert!(inherited("freed_bytes") > 1_000 && inherited("freed_bytes") < inherited("bytes"));
    assert_eq!(child["recorder"]["foreign_frees"], 0);
    assert_eq!(parent["recorder"]["foreign_frees"], 0);
    let parents = parent["openssl"]["alloc_blocks"].as_u64().unwrap();
    assert!(child["openssl"]["alloc_blocks"].as_u64().unwrap() < parents);
}

#[test]
fn a_library_that_is_loaded_later_is_recorded() {
    if !installed("python3") {
        return;
    }
    let script = "import ssl; print(ssl.create_default_context().check_hostname)";
    let recorded = Recorded::of(&["python3", "-c", script]);
    recorded.is_transparent();
    assert!(recorded.record()["openssl"]["peak_bytes"].as_u64().unwrap() > 100_000);
}

#[test]
fn a_program_that_would_run_for_ever_is_captured_and_ended() {
    if !installed("python3") {
        return;
    }
    let place = TempDir::new().unwrap();
    let folder = place.path().join("run");
    let script = "import ssl, time; kept = ssl.SSLContext(ssl.PROTOCOL_TLS); time.sleep(600)";
    let output = tlsheap_record(&folder, &["--for", "3s"], &["python3", "-c", script]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let top = printed_json(&["top", path(&folder), "--json"]);
    assert!(top["totals"]["inuse_bytes"].as_u64().unwrap() > 10_000, "{top:#}");
}

#[test]
fn a_program_without_openssl_is_an_error_that_says_so() {
    let place = TempDir::new().unwrap();
    let folder = place.path().join("run");
    let output = tlsheap_record(&folder, &[], &["true"]);
    assert_eq!(output.status.code(), Some(3));
    let words = text(&output.stderr);
    assert!(words.contains("no OpenSSL was found in true"), "{words}");
    assert!(!folder.exists());
}

#[test]
fn a_program_that_does_not_exist_is_wrong_use() {
    let place = TempDir::new().unwrap();
    let output = tlsheap_record(&place.path().join("run"), &[], &["/nonexistent/program"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("cannot start /nonexistent/program"));
    // The time is optional, so that it takes an equals sign.
    let output = tlsheap_record(&place.path().join("run"), &["--until-idle"], &["5s"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("a time for --until-idle is --until-idle=5s"));
}

#[test]
fn a_set_user_id_program_is_refused_in_words() {
    if !Path::new("/usr/bin/passwd").exists() {
        println!("skipped: passwd is not installed");
        return;
    }
    let place = TempDir::new().unwrap();
    let output = tlsheap_record(&place.path().join("run"), &[], &["passwd", "--help"]);
    let words = text(&output.stderr);
    // Who is root already gains nothing by the bit, and the kernel lets the library in.
    if !rustix::process::geteuid().is_root() {
        assert_eq!(output.status.code(), Some(3), "{words}");
        assert!(words.contains("set-user-ID"), "{words}");
    }
}

#[test]
fn stacks_without_frame_pointers_reach_main() {
    if !installed("openssl") {
        return;
    }
    let recorded = Recorded::of(&["openssl", "dgst", "-sha256", FILE]);
    let process = &recorded.record()["processes"][0];
    let sites = process["recorder"]["sites"].as_u64().unwrap();
    let broken = process["broken_stacks"].as_u64().unwrap();
    assert!(broken * 100 <= sites, "{broken} of {sites} stacks end early");
    let flame = ["flame", "--full", "--column", "alloc_space", "-o", "-"];
    let drawn = printed(&[&flame[..], &[path(&recorded.folder)]].concat());
    assert!(drawn.contains("__libc_start_main"), "no stack reaches the C library's start");
}

/// Pairs of both ends of a connection, which talk through memory: `$1` of them. `$2` is how long
/// to rest before there are any, and `$3` the folder of a certificate.
const PAIRS: &str = "\
import ssl, sys, time
server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
server.load_cert_chain(sys.argv[3] + '/cert.pem', sys.argv[3] + '/key.pem')
client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
time.sleep(float(sys.argv[2]))
kept = []
for _ in range(int(sys.argv[1])):
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [client.wrap_bio(down, up), server.wrap_bio(up, down, server_side=True)]
    for _ in range(4):
        for end in ends:
            try: end.do_handshake()
            except ssl.SSLWantReadError: pass
    kept.append(ends)
print('all are there', flush=True)
time.sleep(600)
";

/// Records [`PAIRS`].
fn record_pairs(options: &[&str], pairs: usize, rest: &str) -> (TempDir, std::process::Output) {
    let place = TempDir::new().unwrap();
    let key = place.path().join("key.pem");
    let made = std::process::Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"])
        .args(["-subj", "/CN=localhost", "-keyout", path(&key)])
        .args(["-out", path(&place.path().join("cert.pem"))])
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", text(&made.stderr));
    let folder = place.path().join("run");
    let pairs = pairs.to_string();
    let command = ["python3", "-c", PAIRS, &pairs, rest, path(place.path())];
    let output = tlsheap_record(&folder, options, &command);
    (place, output)
}

#[test]
fn connections_at_rest_are_captured_and_what_one_costs_is_known() {
    if !installed("python3") || !installed("openssl") {
        return;
    }
    // The rest is long enough for two looks, whatever else the machine does.
    let options = ["--at-rest", "6 connections", "--every", "250ms"];
    let (place, output) = record_pairs(&options, 3, "2");
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert_eq!(text(&output.stdout), "all are there\n");
    let folder = place.path().join("run");
    let record: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(folder.join("run.json")).unwrap()).unwrap();
    assert_eq!(record["connections"], 6, "{record:#}");
    assert_eq!(record["per_connection"]["less_baseline"], true);
    assert_eq!(record["per_connection"]["made"], 6);
    let (before, at_rest) = (&record["baseline"]["openssl"], &record["openssl"]);
    let bytes = |counts: &serde_json::Value| counts["inuse_bytes"].as_f64().unwrap();
    let each = (bytes(at_rest) - bytes(before)) / 6.0;
    // All at once, in a cold process: steps say less than the moment before.
    let steps = &record["steps"];
    let end = |at: usize| steps["bytes_interval"][at].as_f64().unwrap();
    let figure = record["per_connection"]["bytes"].as_f64().unwrap();
    if steps["changes"].as_u64().is_some_and(|changes| changes < 4) {
        assert!((figure - each).abs() < 1e-6, "{figure}, not {each}: {steps:#}");
    }
    assert!(end(0) <= end(1), "{steps:#}");
    assert!(each > 5_000.0, "an SSL object alone has more than {each} bytes");

    // The same in top, which says what it counted.
    let top = printed_json(&["top", path(&folder), "--json"]);
    assert_eq!((&top["connections"], &top["connections_from"]), (&6.into(), &"ssl_objects".into()));
    let in_top = top["per_connection"]["bytes"].as_f64().unwrap();
    assert!((in_top - figure).abs() < 1.0, "{in_top} in top, {figure} in the record");
    assert!(printed(&["top", path(&folder)]).contains("for each of 6 SSL objects\n"));
    let words = text(&output.stderr);
    assert!(words.contains("One connection (SSL object) costs "), "{words}");
    // The table of sites has whole names in it.
    let sentences = words.split("\nfor each SSL object").next().unwrap();
    assert!(sentences.lines().all(|line| line.chars().count() <= 100), "{words}");

    // The series and the time line.
    let series = record["series"].as_u64().unwrap();
    assert!(series >= 2, "{series} captures");
    let (first, last) = ("series/001.pb.gz", format!("series/{series:03}.pb.gz"));
    let (before, after) = (folder.join(first), folder.join(&last));
    let changes = ["diff", path(&before), path(&after), "--json"];
    assert!(printed_json(&changes)["rows"].as_array().unwrap().len() > 10);
    let lines = std::fs::read_to_string(folder.join("timeline.csv")).unwrap();
    let line_of = |capture: &str| {
        let line = lines.lines().find(|line| line.split(',').nth(7) == Some(capture));
        line.unwrap_or_else(|| panic!("{capture}: {lines}")).split(',').collect::<Vec<_>>()
    };
    assert_eq!(line_of(&last)[1], "1", "{lines}");
    assert_eq!(line_of("heap.pb.gz")[2], "6");
    assert!(line_of("heap.pb.gz")[3].parse::<u64>().unwrap() > 1_000_000, "{lines}");
    assert!(folder.join("timeline.svg").exists() && folder.join("baseline.pb.gz").exists());
}

#[test]
fn without_a_moment_before_the_first_connection_the_figure_is_an_upper_bound() {
    if !installed("python3") || !installed("openssl") {
        return;
    }
    let (place, output) = record_pairs(&["--at-rest=2"], 1, "0");
    let folder = place.path().join("run");
    let top = printed_json(&["top", path(&folder), "--json"]);
    let words = text(&output.stderr);
    // On a machine that is busy elsewhere, there may have been a moment all the same.
    match top["per_connection"]["less_baseline"].as_bool() {
        Some(false) => {
            assert!(words.contains("costs at most"), "{words}");
            assert!(printed(&["top", path(&folder)]).contains("SSL objects at most"));
        }
        _ => assert!(words.contains("costs "), "{words}"),
    }
    assert_eq!(top["connections"], 2);
}

#[test]
fn what_never_comes_to_rest_is_said() {
    if !installed("python3") || !installed("openssl") {
        return;
    }
    let (_place, output) = record_pairs(&["--at-rest=7", "--for=4s"], 3, "0");
    let words = text(&output.stderr);
    assert!(words.contains("captured after 4."), "{words}");
    assert!(words.contains("there never were 7 SSL objects: at most 6 were seen"), "{words}");
}

#[test]
fn a_program_that_has_gone_quiet_is_captured() {
    if !installed("python3") {
        return;
    }
    let place = TempDir::new().unwrap();
    let folder = place.path().join("run");
    let script = "import ssl, time; kept = ssl.SSLContext(ssl.PROTOCOL_TLS); time.sleep(600)";
    let output = tlsheap_record(&folder, &["--until-idle=1s"], &["python3", "-c", script]);
    let words = text(&output.stderr);
    assert!(output.status.success(), "{words}");
    assert!(words.contains("with no allocation for 1 s"), "{words}");
}

#[test]
fn one_process_of_several_can_be_looked_at() {
    if !installed("openssl") {
        return;
    }
    let script = format!("openssl version; openssl dgst -sha256 {FILE}");
    let recorded = Recorded::of(&["sh", "-c", &script]);
    recorded.is_transparent();
    let record = recorded.record();
    let folder = path(&recorded.folder);
    let mut sum = 0;
    for process in record["processes"].as_array().unwrap() {
        let pid = process["pid"].to_string();
        let top = printed_json(&["top", folder, "--process", &pid, "--json"]);
        assert_eq!(top["totals"]["alloc_blocks"], process["openssl"]["alloc_blocks"]);
        sum += top["totals"]["alloc_blocks"].as_u64().unwrap();
    }
    assert_eq!(record["openssl"]["alloc_blocks"], sum);
    let both = printed_json(&["top", folder, "--process", "openssl", "--json"]);
    assert_eq!(both["totals"]["alloc_blocks"], sum);
    let svg = printed(&["flame", folder, "--process=openssl", "--column=alloc_space", "-o", "-"]);
    assert!(svg.contains("<svg"));

    let refused = tlsheap(&["top", folder, "--process", "nginx"]);
    assert_eq!(refused.status.code(), Some(2));
    let words = text(&refused.stderr);
    assert!(
        words.contains("has no process nginx: it has ") && words.contains(" openssl"),
        "{words}"
    );
}
