//! `tlsheap record` on programs of the distribution, which nobody rebuilt.

mod program;

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use program::{path, printed_json, text};
use serde_json::Value;
use tempfile::TempDir;

/// Whether a program is installed. Where everything is that the tests need, none may be missing.
fn installed(program: &str) -> bool {
    let answers = Command::new(program)
        .arg(if program == "openssl" { "version" } else { "--version" })
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    let there = answers.is_ok_and(|status| status.success());
    assert!(there || std::env::var_os("CI").is_none(), "missing: {program}");
    if !there {
        println!("skipped: {program} is not installed");
    }
    there
}

/// One recording, and the program by itself.
struct Recorded {
    _place: TempDir,
    folder: PathBuf,
    output: Output,
    plain: Output,
}

impl Recorded {
    fn of(command: &[&str]) -> Recorded {
        Recorded::with(&[], command)
    }

    fn with(options: &[&str], command: &[&str]) -> Recorded {
        let place = TempDir::new().unwrap();
        let folder = place.path().join("run");
        let output = tlsheap_record(&folder, options, command);
        let plain = Command::new(command[0]).args(&command[1..]).output().unwrap();
        Recorded { _place: place, folder, output, plain }
    }

    /// What the program said and how it ended are as without the recorder.
    fn is_transparent(&self) {
        assert_eq!(text(&self.output.stdout), text(&self.plain.stdout));
        let words = text(&self.output.stderr);
        assert!(words.starts_with(&text(&self.plain.stderr)), "{words}");
        assert_eq!(self.output.status.code(), self.plain.status.code(), "{words}");
    }

    fn record(&self) -> Value {
        let file = self.folder.join("run.json");
        let json = std::fs::read_to_string(&file).unwrap_or_else(|error| {
            panic!("{}: {error}: {}", file.display(), text(&self.output.stderr))
        });
        serde_json::from_str(&json).unwrap()
    }

    fn top(&self) -> Value {
        printed_json(&["top", path(&self.folder), "--json", "-n", "0"])
    }
}

fn tlsheap_record(folder: &Path, options: &[&str], command: &[&str]) -> Output {
    let start = ["record", "--out", path(folder)];
    program::tlsheap(&[&start, options, &["--"], command].concat())
}

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
    let drawn =
        program::printed(&["flame", path(&recorded.folder), "--column", "alloc_space", "-o", "-"]);
    assert!(drawn.contains("__libc_start_main"), "no stack reaches the C library's start");
}
