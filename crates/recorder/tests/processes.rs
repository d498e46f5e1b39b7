//! What a process leaves behind when it exits, is killed, or forks. The test program runs itself
//! as the process to be recorded.

mod openssl;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use ledger::Snapshot;

use openssl::{at, free, malloc_at, read};
use recorder::{Children, Heap};

const ROLE: &str = "TLSHEAP_TEST_ROLE";
const LEDGER: &str = "TLSHEAP_TEST_LEDGER";

/// Does nothing in an ordinary run; in a child process it plays the role it was given.
#[test]
fn plays_its_role_when_run_as_a_child() {
    let (Ok(role), Some(ledger)) = (std::env::var(ROLE), std::env::var_os(LEDGER)) else { return };
    let mut options = openssl::options_at(ledger);
    if role == "has recorded children" {
        options.children = Children::Recorded;
    }
    openssl::install_over(&options, Heap::libc()).expect("first in this process");
    malloc_at(c"kept.c", 1, 1_234);
    match role.as_str() {
        "exits" => {
            extern "C" fn at_exit() {
                free(malloc_at(c"atexit.c", 1, 55));
            }
            // SAFETY: a function without arguments that does not unwind.
            unsafe { libc::atexit(at_exit) };
            std::process::exit(0);
        }
        "loops" => loop {
            free(malloc_at(c"loop.c", 1, 10));
        },
        "forks" | "has recorded children" => {
            // SAFETY: the child only calls the hooks and _exit.
            let child = unsafe { libc::fork() };
            if child == 0 {
                let block = malloc_at(c"child.c", 1, 4_321);
                // SAFETY: ends the child without running the parent's handlers.
                unsafe { libc::_exit(i32::from(block.is_null())) };
            }
            let mut status = 0;
            // SAFETY: a child of ours and a place for its status.
            unsafe { libc::waitpid(child, &raw mut status, 0) };
            assert_eq!(status, 0, "the child runs on");
            free(malloc_at(c"parent.c", 1, 3));
            std::process::exit(0);
        }
        other => panic!("no role {other}"),
    }
}

fn child(role: &str, ledger: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("this program has a path"));
    command
        .args(["--exact", "plays_its_role_when_run_as_a_child", "--nocapture"])
        .env(ROLE, role)
        .env(LEDGER, ledger)
        .stdout(Stdio::null());
    command
}

/// Killed at the latest when the test is over, however it ends.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        self.0.kill().expect("a child of ours");
        self.0.wait().expect("it ends");
    }
}

fn temporary(name: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join(name);
    (folder, path)
}

#[test]
fn what_runs_at_exit_is_counted() {
    let (_folder, path) = temporary("ledger");
    let status = child("exits", &path).status().expect("it starts");
    assert!(status.success());
    let snapshot = read(&path);
    assert_eq!(at(&snapshot, "kept.c", 1).inuse_bytes, 1_234);
    assert_eq!(at(&snapshot, "atexit.c", 1).alloc_bytes, 55);
    assert_eq!(at(&snapshot, "atexit.c", 1).inuse_bytes, 0);
}

#[test]
fn a_killed_process_leaves_everything_counted_up_to_then() {
    let (_folder, path) = temporary("ledger");
    let mut process = Running(child("loops", &path).spawn().expect("it starts"));
    // Readable while it runs …
    let counted = |snapshot: Snapshot| at(&snapshot, "loop.c", 1).alloc_blocks > 1_000;
    // The file is no ledger until its header is complete.
    while !Snapshot::read_file(&path).is_ok_and(counted) {
        assert!(process.0.try_wait().expect("a child of ours").is_none(), "it ended by itself");
        std::thread::yield_now();
    }
    assert_eq!(at(&read(&path), "kept.c", 1).inuse_bytes, 1_234);
    assert_eq!(read(&path).pid, process.0.id());
    drop(process);
    // … and after SIGKILL in the middle of an event.
    let snapshot = read(&path);
    assert_eq!(at(&snapshot, "kept.c", 1).inuse_bytes, 1_234);
    assert!(at(&snapshot, "loop.c", 1).inuse_blocks <= 1);
    assert!(at(&snapshot, "loop.c", 1).alloc_blocks > 1_000);
}

#[test]
fn a_forked_child_has_a_ledger_of_its_own_where_the_host_says_so() {
    let (folder, path) = temporary("ledger");
    let mut command = child("has recorded children", Path::new("ledger"));
    // A path that means something in this folder alone.
    assert!(command.current_dir(&folder).status().expect("it starts").success());
    let parent = read(&path);
    assert_eq!(at(&parent, "child.c", 1).alloc_blocks, 0);
    assert_eq!(parent.totals().inuse_bytes, 1_234);
    let entries = std::fs::read_dir(&folder).expect("the folder");
    let mut others = entries.map(|entry| entry.expect("an entry").path()).filter(|it| *it != path);
    let child = read(&others.next().expect("the child's"));
    assert_eq!(others.next(), None);
    assert_eq!(child.totals().inuse_bytes, 4_321);
    assert_eq!(at(&child, "child.c", 1).alloc_blocks, 1);
    let inherited = child.statistics.inherited;
    assert_eq!((inherited.blocks, inherited.bytes), (1, 1_234));
}

#[test]
fn a_forked_child_does_not_count_in_its_parents_ledger() {
    let (_folder, path) = temporary("ledger");
    let status = child("forks", &path).status().expect("it starts");
    assert!(status.success());
    let snapshot = read(&path);
    assert_eq!(at(&snapshot, "child.c", 1).alloc_blocks, 0);
    assert_eq!(at(&snapshot, "parent.c", 1).alloc_blocks, 1);
    assert_eq!(snapshot.totals().inuse_bytes, 1_234);
}
