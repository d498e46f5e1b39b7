//! The recorded processes: their ledgers and coverage files, read back.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use contract::{Domain, NO_LEDGER, Scope};
use ledger::{Coverage, Outcome, Snapshot};

use crate::RecordingError;
use crate::ledger_folder::{self, Files};
use crate::watch::Ledgers;

/// What one process left, or has left so far.
#[derive(Clone, Debug)]
pub struct Process {
    /// What it counted; `None` when it never allocated in an OpenSSL.
    pub ledger: Option<(PathBuf, Arc<Snapshot>)>,
    /// What else it counted, which is not OpenSSL's; `None` where that is not recorded.
    pub heap: Option<Arc<Snapshot>>,
    /// The user it was when it made its ledger.
    pub user: Option<u32>,
    /// What was found in it, and how it was got into.
    pub coverage: Coverage,
}

/// All processes, and what could not be read of them.
#[derive(Clone, Debug, Default)]
pub struct Processes {
    /// In order of their ledgers' beginnings; those without a ledger come last.
    pub all: Vec<Process>,
    /// What could not be read, in sentences.
    pub problems: Vec<String>,
}

impl Processes {
    /// What is not OpenSSL's, of the processes where that is recorded.
    pub fn heap(&self) -> Ledgers {
        let of = |process: &Process| {
            let ((path, _), heap) = process.ledger.as_ref().zip(process.heap.as_ref())?;
            Some((path.clone(), Arc::clone(heap)))
        };
        self.all.iter().filter_map(of).collect()
    }

    /// Processes that counted something, in order of their beginnings.
    pub fn recorded(&self) -> impl Iterator<Item = (&Path, &Arc<Snapshot>, &Coverage)> {
        self.all.iter().filter_map(|process| {
            let (path, snapshot) = process.ledger.as_ref()?;
            Some((path.as_path(), snapshot, &process.coverage))
        })
    }
}

/// Whether a process counts that has this ledger at `path`; what is not OpenSSL's has been taken out
/// of it.
pub(crate) fn is_recorded_by(scope: Scope, path: &Path, openssl: &Snapshot) -> bool {
    if !scope.is_whole() || scope.has_all_processes() || openssl.totals().alloc_blocks > 0 {
        return true;
    }
    // None of the few that its OpenSSL asked for may be in the sample.
    let is_recorded = |coverage: Coverage| {
        coverage.openssls.iter().any(|openssl| openssl.outcome == Outcome::Recorded)
    };
    openssl.sampling.is_some()
        && ledger_folder::coverage(&path.with_extension("coverage")).is_ok_and(is_recorded)
}

/// Reads what is there now of the processes that count, but for the ledgers that were `refused` while their processes ran.
/// Processes may go on running.
pub(crate) fn read(
    folder: &Path,
    refused: &BTreeMap<PathBuf, String>,
    scope: Scope,
) -> Result<Processes, RecordingError> {
    let files = Files::of(folder).map_err(RecordingError::reading(folder))?;
    let mut processes = Processes::default();
    processes.problems.extend(refused.values().cloned());
    processes.problems.extend(strangers(folder, &files));
    for path in files.ledgers.iter().filter(|path| !refused.contains_key(*path)) {
        match ledger_folder::ledger(path) {
            Ok((mut snapshot, owner)) => {
                let heap = snapshot.take_all_but(Domain::Openssl);
                let counts = is_recorded_by(scope, path, &snapshot);
                processes.all.push(Process {
                    coverage: coverage_beside(path, snapshot.pid, &mut processes.problems),
                    user: Some(owner),
                    heap: (counts && !heap.sites.is_empty()).then(|| Arc::new(heap)),
                    ledger: counts.then(|| (path.clone(), Arc::new(snapshot))),
                });
            }
            // The file is no ledger until its header is complete: a process that was killed, or is
            // read, at that very moment has counted nothing.
            Err(error) if error.is_in_the_making() => {}
            Err(error) => processes.problems.push(error.to_string()),
        }
    }
    processes.all.sort_by_key(|process| {
        process.ledger.as_ref().map(|(_, snapshot)| (snapshot.started_nanos, snapshot.pid))
    });
    for path in &files.coverages {
        if files.ledgers.binary_search(&path.with_extension("ledger")).is_ok() {
            continue;
        }
        match ledger_folder::coverage(path) {
            Ok(mut coverage) => {
                if coverage == Coverage::default() {
                    coverage = could_say_nothing(path);
                }
                processes.all.push(Process { ledger: None, heap: None, user: None, coverage });
            }
            Err(error) => processes.problems.push(error.to_string()),
        }
    }
    Ok(processes)
}

/// What no recorder has put there, in a sentence.
fn strangers(folder: &Path, files: &Files) -> Option<String> {
    let folder = folder.display();
    if files.cut {
        return Some(format!("there are so many files in {folder} that not all were read"));
    }
    let (files, them) = match files.strange {
        0 => return None,
        1 => ("1 file".to_owned(), "it"),
        more => (format!("{more} files"), "them"),
    };
    Some(format!(
        "{files} in {folder} with a name that no recorder gives: a recorded process has put {them} \
         there; nothing of it was read"
    ))
}

/// Of a process that has left an empty file.
fn could_say_nothing(path: &Path) -> Coverage {
    Coverage {
        pid: ledger_folder::process_of(path).unwrap_or_default(),
        program: "of unknown name".to_owned(),
        problems: vec![format!(
            "{NO_LEDGER}the process may not write files (RLIMIT_FSIZE), or there was no room left \
             on the device (ENOSPC)"
        )],
        ..Coverage::default()
    }
}

fn coverage_beside(ledger: &Path, pid: u32, problems: &mut Vec<String>) -> Coverage {
    let path = ledger.with_extension("coverage");
    ledger_folder::coverage(&path).unwrap_or_else(|error| {
        problems.push(error.to_string());
        Coverage { pid, ..Coverage::default() }
    })
}
