//! The recorded processes: their ledgers and coverage files, read back.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use ledger::{Coverage, LedgerError, Snapshot};

use crate::RecordingError;

/// What one process left, or has left so far.
#[derive(Clone, Debug)]
pub struct Process {
    /// What it counted; `None` when it never allocated in an OpenSSL.
    pub ledger: Option<(PathBuf, Snapshot)>,
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
    /// Processes that counted something, in order of their beginnings.
    pub fn recorded(&self) -> impl Iterator<Item = (&Path, &Snapshot, &Coverage)> {
        self.all.iter().filter_map(|process| {
            let (path, snapshot) = process.ledger.as_ref()?;
            Some((path.as_path(), snapshot, &process.coverage))
        })
    }
}

/// Reads what is there now. Processes may go on running.
pub fn read(folder: &Path) -> Result<Processes, RecordingError> {
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(RecordingError::reading(folder))? {
        paths.push(entry.map_err(RecordingError::reading(folder))?.path());
    }
    paths.sort();
    let mut processes = Processes::default();
    let with = |extension: &str| {
        let has = |path: &&PathBuf| path.extension().is_some_and(|it| it == extension);
        paths.iter().filter(has).cloned().collect::<Vec<_>>()
    };
    for path in with("ledger") {
        match Snapshot::read_file(&path) {
            Ok(snapshot) => processes.all.push(Process {
                coverage: coverage_beside(&path, snapshot.pid, &mut processes.problems),
                user: path.metadata().ok().map(|ledger| ledger.uid()),
                ledger: Some((path, snapshot)),
            }),
            // The file is no ledger until its header is complete: a process that was killed, or is
            // read, at that very moment has counted nothing.
            Err(LedgerError::Foreign { .. }) => {}
            Err(error) => processes.problems.push(error.to_string()),
        }
    }
    processes.all.sort_by_key(|process| {
        process.ledger.as_ref().map(|(_, snapshot)| (snapshot.started_nanos, snapshot.pid))
    });
    for path in with("coverage").iter().filter(|path| !path.with_extension("ledger").exists()) {
        match Coverage::read_file(path) {
            Ok(coverage) => {
                processes.all.push(Process { ledger: None, user: None, coverage });
            }
            Err(error) => processes.problems.push(error.to_string()),
        }
    }
    Ok(processes)
}

fn coverage_beside(ledger: &Path, pid: u32, problems: &mut Vec<String>) -> Coverage {
    let path = ledger.with_extension("coverage");
    Coverage::read_file(&path).unwrap_or_else(|error| {
        problems.push(error.to_string());
        Coverage { pid, ..Coverage::default() }
    })
}
