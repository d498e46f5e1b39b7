//! The folder of a recording's ledgers and coverage files, in which recorded processes of other
//! users can do as they like: what is read of it, and what is refused.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use contract::FixLine;
use ledger::{Coverage, LedgerError, Reading, Snapshot};
use thiserror::Error;

use crate::kernel;
use crate::opening::{self, NotOpened, Opened};

/// The longest ledger that is read; most of it is unused and takes no room.
pub const MOST_LEDGER_BYTES: u64 = 1 << 30;

/// The longest coverage file: some thousand libraries.
const MOST_COVERAGE_BYTES: u64 = 1 << 20;

/// So many files are looked at. A recording of 20,000 processes has two for each.
const MOST_FILES: usize = 100_000;

/// The names in the folder, in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Files {
    /// Of ledgers.
    pub ledgers: Vec<PathBuf>,
    /// Of coverage files.
    pub coverages: Vec<PathBuf>,
    /// Of reports of the fixes that were applied.
    pub fixes: Vec<PathBuf>,
    /// How many others there are, which no recorder has made.
    pub strange: usize,
    /// There are so many files that some were not looked at.
    pub cut: bool,
}

impl Files {
    /// Those in the folder now.
    pub fn of(folder: &Path) -> io::Result<Files> {
        let mut files = Files::default();
        for (at, entry) in fs::read_dir(folder)?.enumerate() {
            if at == MOST_FILES {
                files.cut = true;
                break;
            }
            let path = entry?.path();
            match (process_of(&path), path.extension().and_then(OsStr::to_str)) {
                (Some(_), Some(LEDGER)) => files.ledgers.push(path),
                (Some(_), Some(COVERAGE)) => files.coverages.push(path),
                (Some(_), Some(FIXES)) => files.fixes.push(path),
                _ => files.strange += 1,
            }
        }
        files.ledgers.sort();
        files.coverages.sort();
        files.fixes.sort();
        Ok(files)
    }
}

const LEDGER: &str = "ledger";
const COVERAGE: &str = "coverage";
const FIXES: &str = "fixes";

/// The longest report of fixes: some hundred libraries.
const MOST_FIXES_BYTES: u64 = 1 << 16;

/// The process that a file's name says it is of: `PID-TIME-NUMBER`, as recorders name files.
/// Nothing else is looked at, so that no name has to be made harmless where it is shown.
pub fn process_of(path: &Path) -> Option<u32> {
    let name = path.file_stem()?.to_str()?;
    let known = name.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-');
    name.split_once('-').filter(|_| known)?.0.parse().ok()
}

/// Why a file in the folder is not taken for what its name says.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum Refused {
    /// It is none that may be read.
    #[error(transparent)]
    NotOpened(#[from] NotOpened),
    /// It cannot be read as what it is called.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// It says of itself that it is of another process than its name says.
    #[error("{} claims to be of process {claimed}", path.display())]
    OtherProcess {
        /// The file.
        path: PathBuf,
        /// The process.
        claimed: u32,
    },
    /// The process that it claims to be of has not made it.
    #[error(
        "{} belongs to user {owner}, and process {pid}, which is another's, has not made it: it \
         was left out as forged",
        path.display()
    )]
    Forged {
        /// The file.
        path: PathBuf,
        /// Its owner.
        owner: u32,
        /// The process.
        pid: u32,
    },
}

impl Refused {
    /// The file is no ledger yet: its process is making it this moment, or was killed then.
    pub fn is_in_the_making(&self) -> bool {
        matches!(self, Refused::Ledger(LedgerError::Foreign { .. }))
    }
}

/// Reads a ledger. Returns its owner too.
pub fn ledger(path: &Path) -> Result<(Snapshot, u32), Refused> {
    let opened = opening::open(path, MOST_LEDGER_BYTES)?;
    let snapshot = Snapshot::read_open(&opened.file, &path.display().to_string())?;
    check_process(path, snapshot.pid)?;
    Ok((snapshot, opened.owner))
}

/// A ledger that was read, and what is known of it.
pub struct Read {
    /// What it says.
    pub snapshot: Snapshot,
    /// Whom the file belongs to.
    pub owner: u32,
    /// What it had counted.
    pub reading: Reading,
}

/// Reads a process's ledger again: `None` where nothing was counted since `before`.
pub fn changed_ledger(path: &Path, before: Option<&Reading>) -> Result<Option<Read>, Refused> {
    let opened = opening::open(path, MOST_LEDGER_BYTES)?;
    let changed = Snapshot::read_changed(&opened.file, &path.display().to_string(), before)?;
    let Some((snapshot, reading)) = changed else { return Ok(None) };
    check_process(path, snapshot.pid)?;
    Ok(Some(Read { snapshot, owner: opened.owner, reading }))
}

/// Reads a coverage file.
pub fn coverage(path: &Path) -> Result<Coverage, Refused> {
    let text = opening::open(path, MOST_COVERAGE_BYTES)?.read()?;
    let text = String::from_utf8_lossy(&text);
    let coverage = Coverage::parse(&path.display().to_string(), &text)?;
    // An empty one is of a process that was killed before it wrote.
    if coverage != Coverage::default() {
        check_process(path, coverage.pid)?;
    }
    Ok(coverage)
}

/// What the processes report of fixes, in lines: each of itself alone.
pub fn fixes(folder: &Path) -> String {
    let mut lines = String::new();
    for path in Files::of(folder).unwrap_or_default().fixes {
        let Ok(text) = opening::open(&path, MOST_FIXES_BYTES).and_then(Opened::read) else {
            continue;
        };
        for line in String::from_utf8_lossy(&text).lines() {
            let process = FixLine::parse(line).map(|line| line.process);
            if process.is_some() && process == process_of(&path) {
                lines += line;
                lines.push('\n');
            }
        }
    }
    lines
}

fn check_process(path: &Path, claimed: u32) -> Result<(), Refused> {
    if process_of(path) == Some(claimed) {
        return Ok(());
    }
    Err(Refused::OtherProcess { path: path.to_owned(), claimed })
}

/// What speaks against a ledger of another user's.
///
/// Whoever a recorded process becomes can put a file here that claims to be another process's. So
/// the kernel is asked when a ledger is seen for the first time: a process that is running, that
/// has not mapped the file, and that is not the file's owner, has not made it. Of a process that
/// has ended nobody can tell any more; but then, a process that would lie could do so in its own
/// ledger. `is_recorded` knows the processes of the recording: an id of another namespace may be
/// anybody's here.
pub fn forged(
    path: &Path,
    pid: u32,
    owner: u32,
    is_recorded: impl FnOnce(u32) -> bool,
) -> Option<Refused> {
    // Whoever can make files as root or as this user needs no forgery.
    if owner == 0 || owner == rustix::process::geteuid().as_raw() || !is_recorded(pid) {
        return None;
    }
    let users = kernel::users(pid)?;
    let made_it = users.contains(&owner) || is_mapped(path, pid);
    (!made_it).then(|| Refused::Forged { path: path.to_owned(), owner, pid })
}

/// The process still counts in the ledger: it has neither ended nor become another program. One
/// that cannot be looked into counts as running while it is there.
pub fn is_mapped(ledger: &Path, pid: u32) -> bool {
    match kernel::memory_map(pid) {
        Ok(maps) => {
            let name = ledger.file_name().unwrap_or_default().as_encoded_bytes();
            maps.windows(name.len()).any(|window| window == name)
        }
        Err(error) => error.kind() == io::ErrorKind::PermissionDenied,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_that_a_recorder_gives_are_looked_at() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        for name in [
            "77-1234-0.ledger",
            "77-1234-0.coverage",
            "78-99.coverage",
            "78-0.fixes",
            "\u{1b}]0;owned\u{7}-1.ledger",
            "-1.ledger",
            "77.ledger",
            "99999999999-1-0.ledger",
            "77-1-0.txt",
            "core",
        ] {
            fs::write(folder.path().join(name), "").expect("a writable folder");
        }
        let files = Files::of(folder.path()).expect("a folder");
        let of = |names: &[&str]| -> Vec<PathBuf> {
            names.iter().map(|name| folder.path().join(name)).collect()
        };
        assert_eq!(files.ledgers, of(&["77-1234-0.ledger"]));
        assert_eq!(files.coverages, of(&["77-1234-0.coverage", "78-99.coverage"]));
        assert_eq!(files.fixes, of(&["78-0.fixes"]));
        assert_eq!((files.strange, files.cut), (6, false));
    }

    #[test]
    fn a_process_reports_of_fixes_in_itself_alone() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let write = |name: &str, lines: &str| {
            fs::write(folder.path().join(name), lines).expect("a writable folder");
        };
        write("77-0.fixes", "77\t-\t/lib/libssl.so.3\tslots\tapplied\n77\thalf a");
        write("78-0.fixes", "77\t-\t/lib/forged.so\tslots\tapplied\n");
        write("79-0.fixes", &"79\t-\t/lib/endless.so\tslots\tapplied\n".repeat(9_999));
        let pipe = folder.path().join("80-0.fixes");
        rustix::fs::mkfifoat(rustix::fs::CWD, &pipe, rustix::fs::Mode::RWXU).expect("a pipe");
        assert_eq!(fixes(folder.path()), "77\t-\t/lib/libssl.so.3\tslots\tapplied\n");
    }

    #[test]
    fn a_coverage_file_is_of_the_process_in_its_name() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = folder.path().join("77-1.coverage");
        fs::write(&path, "process\t77\t/bin/true\n").expect("a writable folder");
        assert_eq!(coverage(&path).expect("sound").program, "/bin/true");
        fs::write(&path, "process\t78\t/bin/true\n").expect("a writable folder");
        let error = coverage(&path).expect_err("another process");
        assert!(error.to_string().ends_with("claims to be of process 78"), "{error}");
        fs::write(&path, "").expect("a writable folder");
        assert!(coverage(&path).is_ok_and(|empty| empty == Coverage::default()));
        fs::write(&path, "root:x:0:0:secret\n").expect("a writable folder");
        let error = coverage(&path).expect_err("a foreign file").to_string();
        assert!(error.contains("line of a coverage file") && !error.contains("secret"), "{error}");
    }
    #[test]
    fn a_running_process_that_has_neither_the_file_nor_its_owner_has_not_made_it() {
        let own = rustix::process::geteuid().as_raw();
        let (pid, path) = (std::process::id(), Path::new("/no/such/77-1.ledger"));
        assert!(forged(path, pid, own, |_| true).is_none());
        assert!(forged(path, pid, 0, |_| true).is_none());
        let error = forged(path, pid, own + 1, |_| true).expect("another user's");
        assert!(error.to_string().contains("left out as forged"), "{error}");
        assert!(forged(path, pid, own + 1, |_| false).is_none(), "of another namespace");
        assert!(forged(path, u32::MAX, own + 1, |_| true).is_none(), "it has ended");
        // As a ledger of its own: a file that it has mapped.
        let program = std::env::current_exe().expect("it has a file");
        assert!(forged(&program, pid, own + 1, |_| true).is_none());
    }
}
