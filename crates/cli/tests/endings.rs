//! How a recording ends when it is told to, and where its capture goes when that cannot be written.

mod program;
mod recorded;

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use program::{path, printed_json, signal, text, tlsheap};
use recorded::{installed, tlsheap_record};
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::Value;
use tempfile::TempDir;

/// A program that holds a context and does not listen to SIGTERM.
const DEAF: &str = "\
import signal, ssl
signal.signal(signal.SIGTERM, signal.SIG_IGN)
kept = ssl.SSLContext(ssl.PROTOCOL_TLS)
print('ready', flush=True)
while True: signal.pause()
";

/// Records [`DEAF`], and returns when it is there. It ends with the value, whatever happens.
struct Recording {
    place: TempDir,
    child: Child,
}

impl Recording {
    fn of_a_deaf_program() -> Recording {
        let place = TempDir::new().unwrap();
        fs::set_permissions(place.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let mut child = Command::new(env!("CARGO_BIN_EXE_tlsheap"))
            .args(["record", "--out", path(&place.path().join("run")), "--"])
            .args(["python3", "-c", DEAF])
            .env("TMPDIR", place.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n");
        Recording { place, child }
    }

    fn folder(&self) -> PathBuf {
        self.place.path().join("run")
    }

    /// The capture is there, with what the program holds.
    fn has_captured(&self) {
        let top = printed_json(&["top", path(&self.folder()), "--json"]);
        assert!(top["totals"]["inuse_bytes"].as_u64().unwrap() > 10_000, "{top:#}");
    }

    fn ended(&mut self) -> (Option<i32>, String) {
        let mut words = Vec::new();
        std::io::Read::read_to_end(self.child.stderr.as_mut().unwrap(), &mut words).unwrap();
        (self.child.wait().unwrap().code(), text(&words))
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        if let Some(group) = self.child.id().try_into().ok().and_then(Pid::from_raw) {
            // All may have ended.
            let _ = kill_process_group(group, Signal::KILL);
        }
        let _ = self.child.wait();
    }
}

/// Waits for what comes when the other process has come so far.
fn wait_until(it_is_so: impl Fn() -> bool) {
    while !it_is_so() {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
}

#[test]
fn a_program_that_ignores_a_sigterm_is_killed_and_the_capture_is_there() {
    if !installed("python3") {
        return;
    }
    let mut recording = Recording::of_a_deaf_program();
    signal(recording.child.id(), Signal::TERM);
    let (code, words) = recording.ended();
    assert_eq!(code, Some(137), "{words}");
    assert!(words.contains("it had not ended 15 s after a SIGTERM"), "{words}");
    assert!(words.contains("at a SIGTERM"), "{words}");
    recording.has_captured();
}

#[test]
fn a_second_sigterm_ends_it_at_once() {
    if !installed("python3") {
        return;
    }
    let mut recording = Recording::of_a_deaf_program();
    signal(recording.child.id(), Signal::TERM);
    // By then the first was seen.
    wait_until(|| recording.folder().join("run.json").exists());
    signal(recording.child.id(), Signal::TERM);
    let (code, words) = recording.ended();
    assert_eq!(code, Some(137), "{words}");
    assert!(words.contains("there was another SIGTERM"), "{words}");
    recording.has_captured();
}

#[test]
fn a_recording_that_is_killed_while_it_waits_has_left_its_capture() {
    if !installed("python3") {
        return;
    }
    let mut recording = Recording::of_a_deaf_program();
    signal(recording.child.id(), Signal::TERM);
    wait_until(|| recording.folder().join("run.json").exists());
    signal(recording.child.id(), Signal::KILL);
    recording.child.wait().unwrap();
    recording.has_captured();
    let json = fs::read_to_string(recording.folder().join("run.json")).unwrap();
    let record: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(record["ended"], "was still running");
}

#[test]
fn a_capture_that_cannot_be_written_is_whole_elsewhere() {
    if !installed("python3") {
        return;
    }
    let place = TempDir::new().unwrap();
    fs::set_permissions(place.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let (output, temporary) = (place.path().join("output"), place.path().join("temporary"));
    for folder in [&output, &temporary] {
        fs::create_dir(folder).unwrap();
    }
    // As a disk that is gone, or cannot be written to any more.
    let script = "import shutil, ssl, sys; kept = ssl.SSLContext(ssl.PROTOCOL_TLS); \
                  shutil.rmtree(sys.argv[1]); sys.exit(5)";
    let recorded = Command::new(env!("CARGO_BIN_EXE_tlsheap"))
        .args(["record", "--out", path(&output.join("run")), "--"])
        .args(["python3", "-c", script, path(&output)])
        .env("TMPDIR", &temporary)
        .output()
        .unwrap();
    let words = text(&recorded.stderr);
    assert_eq!(recorded.status.code(), Some(5), "{words}");
    assert!(words.contains("could not be written: cannot write "), "{words}");
    let kept: Vec<PathBuf> = entries(&temporary);
    let [kept] = &kept[..] else { panic!("{kept:?}: {words}") };
    assert!(words.contains(path(&kept.join("run"))), "{words}");
    let top = printed_json(&["top", path(&kept.join("run")), "--json"]);
    // Where a script finds the interpreter, its shell has one too.
    let mut ledgers = entries(kept);
    ledgers.retain(|it| it.extension().is_some_and(|it| it == "ledger"));
    let allocations =
        |it: &PathBuf| printed_json(&["top", path(it), "--json"])["totals"]["alloc_blocks"].clone();
    let kept_ledgers: Vec<Value> = ledgers.iter().map(allocations).collect();
    assert!(kept_ledgers.contains(&top["totals"]["alloc_blocks"]), "{kept_ledgers:?}: {top:#}");
    // Another recording leaves it where it is.
    let next = tlsheap_record(&place.path().join("next"), &[], &["python3", "-c", "import ssl"]);
    assert!(kept.exists(), "{}", text(&next.stderr));
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}

#[test]
fn arguments_are_left_out_when_asked_and_secrets_are_for_the_owner_alone() {
    if !installed("openssl") {
        return;
    }
    let place = TempDir::new().unwrap();
    let key = "00112233445566778899aabbccddeeff";
    let encrypt = ["openssl", "enc", "-aes-128-ecb", "-K", key, "-in", "/dev/null"];
    let mode =
        |folder: &Path| fs::metadata(folder.join("run.json")).unwrap().permissions().mode() & 0o077;
    let with = place.path().join("with");
    assert!(tlsheap_record(&with, &[], &encrypt).status.success());
    assert!(fs::read_to_string(with.join("run.json")).unwrap().contains(key));
    assert_eq!(mode(&with), 0);

    let without = place.path().join("without");
    assert!(tlsheap_record(&without, &["--no-arguments"], &encrypt).status.success());
    let page = place.path().join("page.html");
    assert!(tlsheap(&["report", path(&without), "-o", path(&page)]).status.success());
    for file in [without.join("run.json"), page] {
        let written = fs::read_to_string(&file).unwrap();
        assert!(!written.contains(key) && written.contains("openssl"), "{}", file.display());
    }
    let plain = place.path().join("plain");
    assert!(tlsheap_record(&plain, &[], &["openssl", "version"]).status.success());
    assert_eq!(mode(&without), mode(&plain));
}
