//! The server is killed in mid-run: the run says so, and keeps what was counted up to then.

mod program;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use ledger::Snapshot;
use program::{Running, path, printed_json, signal, text, tlsheap};
use rustix::process::Signal;
use tempfile::TempDir;

/// How long the connections may take to come: only a hang is cut short.
const PATIENCE: Duration = Duration::from_secs(60);

#[test]
fn a_killed_server_leaves_what_was_counted() {
    let place = TempDir::new().unwrap();
    let folder = place.path().join("run");
    let child = Command::new(env!("CARGO_BIN_EXE_tlsheap"))
        .args(["run", "--config=no-compression", "-n=20", "--interval=200ms", "--hold=10m"])
        .args(["--warm-up=0", "--out", path(&folder)])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let child = Killed(Some(child));

    // Most of 20 connections of some 54 KB each, on top of the 1.2 MB of the process by itself.
    let counted = wait_for(|| {
        let totals = Snapshot::read_file(&ledger_in(place.path())?).ok()?.totals();
        (totals.inuse_bytes > 2_000_000).then_some(totals)
    });
    signal(server_of(child.pid()), Signal::KILL);
    let output = child.wait();

    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains("the server was killed by signal 9 (SIGKILL)"), "{said}");
    assert!(said.contains(path(&folder)), "{said}");

    let record: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(folder.join("run.json")).unwrap()).unwrap();
    assert!(record["ended"].as_str().unwrap().contains("SIGKILL"), "{}", record["ended"]);
    let top = printed_json(&["top", path(&folder), "--json"]);
    let kept = top["totals"]["alloc_bytes"].as_u64().unwrap();
    assert!(kept >= counted.alloc_bytes, "{kept} bytes kept, {counted:?} seen before the end");
    assert!(tlsheap(&["flame", path(&folder)]).status.success());

    let names: Vec<_> = fs::read_dir(place.path()).unwrap().map(|e| e.unwrap().path()).collect();
    assert_eq!(names, [folder], "something half-written is left");
}

#[test]
fn a_load_ends_when_its_server_has_gone() {
    let mut server = Running::start(&["serve", "--config=tls13", "--listen=127.0.0.1:0", "--json"]);
    let listening = server.next_json().expect("a server says where it listens");
    let address = listening["address"].as_str().unwrap().to_owned();
    let port = address.rsplit(':').next().unwrap();
    // By its name, which may stand for more than one address.
    let named = format!("localhost:{port}");
    let mut load = Running::start(&["load", &named, "-n=5", "--interval=1h", "--json"]);
    while load.next_json().expect("it comes to rest")["event"] != "at_rest" {}
    signal(server.pid(), Signal::KILL);
    // It has no other reason to end, and says so with its last words.
    let state = format!("/proc/{}/stat", load.pid());
    wait_for(|| fs::read_to_string(&state).ok().filter(|it| it.contains(") Z ")));
    assert_eq!(load.ended().code(), Some(3));
    let mut last = load.next_json();
    while let Some(event) = load.next_json() {
        last = Some(event);
    }
    let last = last.expect("a last word");
    assert_eq!(last["event"], "finished");
    assert_eq!(last["clean"], false, "{last}");
}

/// Asks again and again, since the server tells nobody but its run what it does.
fn wait_for<T>(ask: impl Fn() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(began.elapsed() < PATIENCE, "the connections never came");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The ledger in the folder that is being filled.
fn ledger_in(place: &Path) -> Option<PathBuf> {
    let folder = fs::read_dir(place).ok()?.next()?.ok()?.path();
    Some(folder.join("ledger")).filter(|ledger| ledger.exists())
}

/// The child of a run that serves.
fn server_of(run: u32) -> u32 {
    let children = fs::read_to_string(format!("/proc/{run}/task/{run}/children")).unwrap();
    children
        .split_whitespace()
        .find(|pid| {
            let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            line.split(|byte| *byte == 0).nth(1) == Some(b"serve")
        })
        .expect("a run has a server")
        .parse()
        .unwrap()
}

/// A process that is killed when dropped before its end.
struct Killed(Option<std::process::Child>);

impl Killed {
    fn pid(&self) -> u32 {
        self.0.as_ref().unwrap().id()
    }

    fn wait(mut self) -> std::process::Output {
        self.0.take().unwrap().wait_with_output().unwrap()
    }
}

impl Drop for Killed {
    fn drop(&mut self) {
        if let Some(mut child) = self.0.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
