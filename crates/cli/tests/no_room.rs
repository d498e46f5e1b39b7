//! Recordings for which there is no room: no ledger is not success.

mod program;
mod recorded;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use program::{path, text};
use recorded::{installed, tlsheap_record};
use serde_json::Value;
use tempfile::TempDir;

#[test]
fn a_limit_that_leaves_no_ledger_is_the_programs_failure_with_its_reason() {
    if !installed("openssl") {
        return;
    }
    let place = TempDir::new().unwrap();
    for (limit, reason) in [
        ("-v 60000", "Cannot allocate memory"),
        ("-f 100", "RLIMIT_FSIZE"),
        ("-f 0", "write files"),
    ] {
        let line = format!("ulimit {limit}; exec openssl version");
        let output = tlsheap_record(&place.path().join("run"), &[], &["sh", "-c", &line]);
        let words = text(&output.stderr);
        assert_eq!(output.status.code(), Some(3), "{limit}: {words}");
        assert!(text(&output.stdout).starts_with("OpenSSL "), "the program runs: {words}");
        assert!(words.contains("nothing was recorded: "), "{limit}: {words}");
        assert!(words.contains(reason), "{limit}: {words}");
    }
}

/// A filesystem in memory, of its own size.
struct Disk(TempDir);

impl Disk {
    /// `None` where none can be mounted.
    fn of(size: &str) -> Option<Disk> {
        let place = TempDir::new().unwrap();
        fs::set_permissions(place.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let options = format!("size={size},mode=755");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &options, "tlsheap-test", path(place.path())]);
        if !mount.output().is_ok_and(|output| output.status.success()) {
            println!("skipped: no filesystem can be mounted here");
            return None;
        }
        Some(Disk(place))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Also when something has it open still.
        let _ = Command::new("umount").args(["--lazy", path(self.0.path())]).output();
    }
}

/// Fills the disk but for so many KiB.
fn fill(disk: &Path, kibibytes: u32) -> String {
    format!(
        "rest=$(($(df --output=avail -k {0} | tail -1) - {kibibytes})); \
         dd if=/dev/zero of={0}/filled bs=1024 count=$rest 2> /dev/null; ",
        path(disk)
    )
}

fn record_with(temporary: &Path, run: &Path, line: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_tlsheap"))
        .args(["record", "--out", path(run), "--", "sh", "-c", line])
        .env("TMPDIR", temporary)
        .output()
        .unwrap()
}

#[test]
fn a_disk_without_room_for_ledgers_is_named() {
    if !installed("openssl") {
        return;
    }
    let Some(disk) = Disk::of("24m") else { return };
    let place = TempDir::new().unwrap();
    // None for anything, room for a file, for a page of a ledger, for half of one.
    for kibibytes in [0, 4, 8, 64] {
        let line = fill(disk.path(), kibibytes) + "exec openssl version";
        let output = record_with(disk.path(), &place.path().join("run"), &line);
        fs::remove_file(disk.path().join("filled")).unwrap();
        let words = text(&output.stderr);
        assert_eq!(output.status.code(), Some(3), "{kibibytes}: {words}");
        assert!(
            words.contains("ENOSPC") || words.contains("No space left"),
            "{kibibytes}: {words}"
        );
        assert_eq!(entries(disk.path()), [] as [PathBuf; 0]);
    }
}

#[test]
fn a_full_disk_is_not_where_ledgers_go_from_the_beginning() {
    let Some(disk) = Disk::of("24m") else { return };
    assert!(Command::new("sh").args(["-c", &fill(disk.path(), 8_000)]).status().unwrap().success());
    let place = TempDir::new().unwrap();
    let output = record_with(disk.path(), &place.path().join("run"), "exec openssl version");
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
}

#[test]
fn an_output_without_room_keeps_the_capture_beside_the_ledgers() {
    if !installed("openssl") {
        return;
    }
    let Some(disk) = Disk::of("4m") else { return };
    let temporary = TempDir::new().unwrap();
    fs::set_permissions(temporary.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let line = fill(disk.path(), 0) + "openssl version; exit 4";
    let output = record_with(temporary.path(), &disk.path().join("run"), &line);
    let words = text(&output.stderr);
    assert_eq!(output.status.code(), Some(4), "{words}");
    assert!(words.contains("No space left on device"), "{words}");
    let kept = entries(temporary.path());
    let [kept] = &kept[..] else { panic!("{kept:?}: {words}") };
    let json = fs::read_to_string(kept.join("run/run.json")).unwrap();
    let record: Value = serde_json::from_str(&json).unwrap();
    assert!(record["openssl"]["alloc_blocks"].as_u64().unwrap() > 0, "{record:#}");

    // Where there is no room for it either, the ledgers are what is left.
    let line = fill(disk.path(), 0) + "true";
    let _ = fs::remove_file(disk.path().join("filled"));
    let both = Disk::of("24m").expect("one could be mounted");
    let line = format!("openssl version; {line}; {} exit 4", fill(both.path(), 0));
    let output = record_with(both.path(), &disk.path().join("run"), &line);
    let words = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{words}");
    assert!(words.contains("its ledgers are kept in "), "{words}");
}

/// A shell's line: waits until there is such a file.
fn wait_for(pattern: &str) -> String {
    format!("until ls {pattern} > /dev/null 2>&1; do sleep 0.05; done; ")
}

/// A shell's line: a program that OpenSSL is busy in, for minutes.
const BUSY: &str = "openssl genrsa 16384 > /dev/null 2>&1 & ";

/// Where captures of a series go that cannot be written to the folder, as the shell has it.
const SPARE: &str = "\"$TLSHEAP_LEDGER_DIR\"/../series/*.pb.gz";

/// Records the line with a series of captures until it has ended `openssl`.
fn record_series(temporary: &Path, run: &Path, line: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_tlsheap"))
        .args(["record", "--every=250ms", "--out", path(run), "--", "sh", "-c"])
        .arg(format!("{BUSY}{line}kill $!; exit 4"))
        .env("TMPDIR", temporary)
        .output()
        .unwrap()
}

/// The series in the folder of the recording is what `run.json` says it is, and can be read.
fn assert_whole_series(run: &Path, words: &str) {
    let record: Value =
        serde_json::from_str(&fs::read_to_string(run.join("run.json")).unwrap()).unwrap();
    let captures = entries(&run.join("series"));
    assert!(captures.len() >= 2, "{captures:?}: {words}");
    assert_eq!(record["series"], captures.len(), "{captures:?}: {words}");
    for number in 1..=captures.len() {
        let capture = run.join(format!("series/{number:03}.pb.gz"));
        program::printed(&["top", path(&capture)]);
    }
}

#[test]
fn a_series_without_room_goes_on_beside_the_ledgers_and_is_put_together_in_the_end() {
    if !installed("openssl") {
        return;
    }
    let Some(disk) = Disk::of("4m") else { return };
    let temporary = TempDir::new().unwrap();
    fs::set_permissions(temporary.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let at = path(disk.path()).to_owned();
    let filled = wait_for(&format!("{at}/.run*/series/001.pb.gz"))
        + &fill(disk.path(), 0)
        + &wait_for(SPARE);

    // There is room again before the end.
    let run = disk.path().join("run");
    let output = record_series(temporary.path(), &run, &format!("{filled}rm {at}/filled; "));
    let words = text(&output.stderr);
    assert_eq!(output.status.code(), Some(4), "{words}");
    assert_whole_series(&run, &words);
    assert_eq!(entries(temporary.path()), [] as [PathBuf; 0], "{words}");
    fs::remove_dir_all(&run).unwrap();

    // There is none.
    let output = record_series(temporary.path(), &run, &filled);
    let words = text(&output.stderr);
    assert_eq!(output.status.code(), Some(4), "{words}");
    let kept = entries(temporary.path());
    let [kept] = &kept[..] else { panic!("{kept:?}: {words}") };
    assert_whole_series(&kept.join("run"), &words);
    assert!(!kept.join("series").exists() && !run.exists(), "{words}");
    assert!(words.contains(path(&kept.join("run"))), "{words}");
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}
