//! Recordings that are going on: where their ledgers are, for whoever looks at them from outside.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use capture::folder;

use crate::kernel;
use crate::ledger_folder::process_of;
use crate::place::places_of_this_user;

/// So many ledgers of one process are looked for: its own, and those that it has from its parents.
const MOST_LEDGERS: usize = 1_000;

/// A recording that goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InProgress {
    /// The folder of its ledgers.
    pub ledgers: PathBuf,
    /// The processes that count in them, in order of their ids.
    pub running: Vec<u32>,
}

/// The recordings of this user in which something runs.
pub fn recordings() -> Vec<InProgress> {
    let places = places_of_this_user();
    if places.is_empty() {
        return Vec::new();
    }
    let processes = kernel::processes();
    let mapped: Vec<(u32, Vec<PathBuf>)> =
        processes.iter().map(|process| (process.pid, ledgers_of(process.pid))).collect();
    let mut found: Vec<InProgress> = Vec::new();
    for ledgers in places {
        let is_in = |ledger: &PathBuf| ledger.starts_with(&ledgers);
        let mut running: Vec<u32> = mapped
            .iter()
            .filter(|(_, mapped)| mapped.iter().any(is_in))
            .map(|(pid, _)| *pid)
            .collect();
        running.sort_unstable();
        if !running.is_empty() {
            found.push(InProgress { ledgers, running });
        }
    }
    found
}

/// The ledgers that a process counts in, by its memory map; none where this user cannot look into
/// it. A forked process has its parent's mapped as well: where some have its own id in their
/// names, those are its own.
pub fn ledgers_of(pid: u32) -> Vec<PathBuf> {
    let maps = kernel::memory_map(pid).unwrap_or_default();
    let mut all: Vec<PathBuf> = Vec::new();
    for line in maps.split(|byte| *byte == b'\n') {
        let path = line.iter().position(|byte| *byte == b'/').map(|at| &line[at..]);
        let Some(path) = path.filter(|path| path.ends_with(b".ledger")) else { continue };
        let path = PathBuf::from(OsStr::from_bytes(path));
        if all.last() != Some(&path) && !all.contains(&path) && all.len() < MOST_LEDGERS {
            all.push(path);
        }
    }
    if all.iter().any(|path| process_of(path) == Some(pid)) {
        all.retain(|path| process_of(path) == Some(pid));
    }
    all.into_iter().filter_map(|path| within_reach(path, pid)).collect()
}

/// The file as this process can open it: the other may have another root.
fn within_reach(path: PathBuf, pid: u32) -> Option<PathBuf> {
    if path.is_file() {
        return Some(path);
    }
    let root = Path::new("/proc").join(pid.to_string()).join("root");
    let there = root.join(path.strip_prefix("/").ok()?);
    there.is_file().then_some(there)
}

/// The process that is recording into the run folder `path`, which it makes when it has ended.
pub fn recorder_of(path: &Path) -> Option<u32> {
    let absolute = std::path::absolute(path).ok()?;
    let (name, parent) = (absolute.file_name()?.to_str()?.to_owned(), absolute.parent()?);
    let parent = parent.canonicalize().ok()?;
    let filled: Vec<PathBuf> = fs::read_dir(&parent)
        .ok()?
        .flatten()
        .filter(|entry| {
            entry.file_name().to_str().is_some_and(|it| folder::is_being_filled(it, &name))
        })
        .map(|entry| entry.path())
        .collect();
    let holds = |pid: u32| {
        let files = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
        files.filter_map(|file| fs::read_link(file.path()).ok()).any(|file| filled.contains(&file))
    };
    if filled.is_empty() {
        return None;
    }
    kernel::processes().into_iter().map(|process| process.pid).find(|pid| holds(*pid))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_known_of_a_process_that_is_not_there_or_not_recorded() {
        assert_eq!(ledgers_of(u32::MAX), [] as [PathBuf; 0]);
        assert_eq!(ledgers_of(std::process::id()), [] as [PathBuf; 0]);
        assert_eq!(recorder_of(Path::new("/nowhere/run")), None);
    }

    #[test]
    fn a_folder_that_is_being_filled_leads_to_who_fills_it() {
        let place = tempfile::tempdir().expect("a temporary folder");
        let path = place.path().join("run");
        let folder = folder::NewFolder::prepare(&path).expect("a writable folder");
        assert_eq!(recorder_of(&path), Some(std::process::id()));
        assert_eq!(recorder_of(&place.path().join("other")), None);
        drop(folder);
        assert_eq!(recorder_of(&path), None);
    }
}
