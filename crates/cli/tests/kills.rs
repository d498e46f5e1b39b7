//! Recordings that are killed at any moment: the program, tlsheap, or both. Ledgers stay readable
//! and add up, and the next recording clears away what was left.
//!
//! `TLSHEAP_KILLS=1000 cargo test --release -p tlsheap --test kills` does it so many times.

mod program;
mod recorded;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use ledger::Snapshot;
use program::{path, printed_json, signal};
use recorded::installed;
use rustix::process::{Pid, Signal, kill_process_group};
use tempfile::TempDir;

/// Allocates about 7,600 times, then calculates for minutes.
const BUSY: [&str; 3] = ["openssl", "genrsa", "16384"];

/// Recordings that are killed, unless the environment says how many.
const KILLED: u32 = 42;

/// Who is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Victim {
    Program,
    Tlsheap,
    Both,
}

#[test]
fn recordings_that_are_killed_at_any_moment_leave_ledgers_that_add_up_and_then_nothing() {
    if !installed("openssl") {
        return;
    }
    let killed = match std::env::var("TLSHEAP_KILLS") {
        Ok(number) => number.parse().expect("TLSHEAP_KILLS is a number"),
        Err(_) => KILLED,
    };
    let place = TempDir::new().unwrap();
    fs::set_permissions(place.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let kill_all = |which: u32| -> u32 {
        let with_counts = |number| u32::from(killed_recording(place.path(), number));
        (0..killed).filter(|number| number % 2 == which).map(with_counts).sum()
    };
    let counted = std::thread::scope(|scope| {
        let other = scope.spawn(|| kill_all(1));
        kill_all(0) + other.join().unwrap()
    });
    // The first of each kind are killed as soon as their ledgers are there.
    assert!(counted + 3 >= killed, "{counted} of {killed} recordings had counted something");
}

/// Kills a recording at a moment of its own, and has another one clear away what is left; whether
/// there were counts.
fn killed_recording(place: &Path, number: u32) -> bool {
    let victim = [Victim::Program, Victim::Tlsheap, Victim::Both][number as usize % 3];
    let temporary = place.join(format!("{number}"));
    fs::create_dir(&temporary).unwrap();
    let mut child = record(&temporary, &BUSY);
    // So far it comes, in allocations, before it is killed: into OpenSSL's start, or its work. Then
    // some time more, which is no multiple of anything.
    let far = u64::from(number) * 70 % 7_000;
    while allocations(&temporary).is_none_or(|blocks| blocks < far) {
        assert!(child.try_wait().unwrap().is_none(), "it has ended by itself");
    }
    std::thread::sleep(Duration::from_micros(u64::from(number) * 737 % 3_000));
    let counted = match victim {
        Victim::Program => {
            signal(busy(&temporary), Signal::KILL);
            let status = child.wait().unwrap();
            has_captured(&temporary, status)
        }
        Victim::Tlsheap => {
            signal(child.id(), Signal::KILL);
            child.wait().unwrap();
            // The program goes on counting, and another recording leaves its files alone.
            clear_up(&temporary);
            let counted = ledgers(&temporary).iter().any(|ledger| adds_up(ledger));
            signal(busy(&temporary), Signal::KILL);
            counted
        }
        Victim::Both => {
            let group = Pid::from_raw(child.id().try_into().unwrap()).unwrap();
            kill_process_group(group, Signal::KILL).unwrap();
            child.wait().unwrap();
            ledgers(&temporary).iter().any(|ledger| adds_up(ledger))
        }
    };
    // A killed process keeps its memory until it has ended.
    while !clear_up(&temporary).is_empty() {
        std::thread::sleep(Duration::from_millis(10));
    }
    counted
}

fn record(temporary: &Path, command: &[&str]) -> Child {
    Command::new(env!("CARGO_BIN_EXE_tlsheap"))
        .args(["record", "--out", path(&temporary.join("run")), "--"])
        .args(command)
        .env("TMPDIR", temporary)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .unwrap()
}

/// The recorded program, by the ledger that it has.
fn busy(temporary: &Path) -> u32 {
    let ledgers = ledgers(temporary);
    let name = ledgers[0].file_name().unwrap().to_str().unwrap();
    name.split('-').next().unwrap().parse().unwrap()
}

/// The recording of a program that was killed has said so, and has its capture, or had nothing to
/// capture yet; whether there were counts.
fn has_captured(temporary: &Path, status: ExitStatus) -> bool {
    let run = temporary.join("run");
    if status.code() == Some(3) {
        return false;
    }
    assert_eq!(status.code(), Some(137));
    let top = printed_json(&["top", path(&run), "--json"]);
    fs::remove_dir_all(run).unwrap();
    top["totals"]["alloc_blocks"].as_u64().unwrap() > 0
}

/// Records something short, and returns what is left in the folder for temporary files beside it.
fn clear_up(temporary: &Path) -> Vec<PathBuf> {
    let status = record(temporary, &["openssl", "version"]).wait().unwrap();
    assert!(status.success(), "{status}");
    fs::remove_dir_all(temporary.join("run")).unwrap();
    fs::read_dir(temporary).unwrap().map(|entry| entry.unwrap().path()).collect()
}

/// How many were counted up to now; `None` before there is a ledger.
fn allocations(temporary: &Path) -> Option<u64> {
    let ledgers = ledgers(temporary);
    let read = ledgers.iter().filter_map(|ledger| Snapshot::read_file(ledger).ok());
    (!ledgers.is_empty()).then(|| read.map(|snapshot| snapshot.totals().alloc_blocks).sum())
}

/// Those of the recording whose folder for temporary files this is.
fn ledgers(temporary: &Path) -> Vec<PathBuf> {
    let entries = |folder: &Path| fs::read_dir(folder).into_iter().flatten().flatten();
    entries(temporary)
        .flat_map(|scratch| entries(&scratch.path()))
        .flat_map(|secret| entries(&secret.path().join("ledgers")))
        .map(|file| file.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "ledger"))
        .collect()
}

/// Holds a ledger against itself; whether it has counts.
fn adds_up(ledger: &Path) -> bool {
    let snapshot = match Snapshot::read_file(ledger) {
        Ok(snapshot) => snapshot,
        // Killed before the header was complete: nothing had been counted.
        Err(ledger::LedgerError::Foreign { .. }) => return false,
        Err(error) => panic!("{error}"),
    };
    for site in &snapshot.sites {
        let counts = site.counts;
        assert!(counts.inuse_blocks <= counts.alloc_blocks, "{site:?}");
        assert!(counts.inuse_bytes <= counts.alloc_bytes, "{site:?}");
        assert!(counts.peak_bytes <= counts.alloc_bytes, "{site:?}");
        assert!(counts.alloc_blocks == 0 || site.file.is_some() || site.line == 0, "{site:?}");
    }
    let totals = snapshot.totals();
    let sum = |of: fn(&ledger::Counts) -> u64| -> u64 {
        snapshot.sites.iter().map(|site| of(&site.counts)).sum::<u64>()
    };
    assert_eq!(sum(|counts| counts.inuse_bytes), totals.inuse_bytes);
    assert_eq!(sum(|counts| counts.alloc_blocks), totals.alloc_blocks);
    // A thread that is killed between its count and the process's is off by the one block.
    let largest = snapshot.sites.iter().map(|site| site.counts.alloc_bytes).max().unwrap_or(0);
    assert!(totals.peak_bytes + largest >= totals.inuse_bytes, "{totals:?}");
    assert_eq!(snapshot.statistics.foreign_frees, 0);
    assert_eq!(snapshot.statistics.dropped, ledger::Counts::default());
    totals.alloc_blocks > 0
}
