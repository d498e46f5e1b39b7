//! Whether a process is to be attached to, before anything is done to it.

use std::path::{Path, PathBuf};

use attach::{Prospect, Target};

use crate::doctor::{Examined, NOT_LOOKED_AT};
use crate::kernel::{self, ProcessNow};
use crate::place::{CONTENT, Place};
use crate::{RecordingError, doctor};

/// What is to be done with a process.
pub(super) enum Fitness {
    /// It is to be attached to. What was left in it by an earlier tlsheap, in a sentence.
    Fit(Option<String>),
    /// It was forked by one that was attached to, and is recorded by that.
    Inherits,
    /// It does not use TLS, as far as it can be looked into.
    Without,
}

/// What is to be done with a process that was named.
pub(super) fn of_named(pid: u32) -> Result<Fitness, RecordingError> {
    let left = of_target(pid)?;
    let examined = doctor::examine_process(pid)?;
    if examined.libraries.iter().any(|library| library.recordable) {
        return Ok(Fitness::Fit(left));
    }
    Err(nothing(&examined, pid))
}

/// What is to be done with one of many, of whose ledgers those in `ours` are the recording's.
pub(super) fn of_one_of_many(
    process: &ProcessNow,
    ours: Option<&Path>,
) -> Result<Fitness, RecordingError> {
    let pid = process.pid;
    if ours.is_some_and(|ours| counts_in(pid).is_some_and(|ledger| ledger.starts_with(ours))) {
        return Ok(Fitness::Inherits);
    }
    let examined = doctor::examine_process(pid)?;
    if examined.libraries.is_empty() {
        let unknown = examined.notes.iter().any(|note| note.starts_with(NOT_LOOKED_AT));
        return if unknown { Err(nothing(&examined, pid)) } else { Ok(Fitness::Without) };
    }
    let left = of_target(pid)?;
    if examined.libraries.iter().any(|library| library.recordable) {
        return Ok(Fitness::Fit(left));
    }
    Err(nothing(&examined, pid))
}

/// What was left in the process, if it can be attached to.
fn of_target(pid: u32) -> Result<Option<String>, RecordingError> {
    let target = Target::of(pid, CONTENT)?;
    if target.prospect() != Prospect::Attached {
        return Ok(None);
    }
    // Its parent is recorded, and it has found no place for a ledger of its own, as in a container.
    let Some(ledger) = counts_in(pid) else { return Ok(None) };
    if Place::is_of_another(&ledger) {
        return Err(RecordingError::Taken { pid, ledger });
    }
    Ok(Some(format!(
        "what an earlier tlsheap had counted, which did not let the process go: it is in {}, for \
         `tlsheap top` to read until the next recording",
        ledger.display()
    )))
}

fn nothing(examined: &Examined, pid: u32) -> RecordingError {
    let why = match examined.notes.iter().find(|note| note.starts_with(NOT_LOOKED_AT)) {
        Some(note) => format!(
            "{note}; of a process behind another root directory, its files have to be there"
        ),
        None => examined.verdict(),
    };
    RecordingError::NothingToAttachTo { pid, why }
}

/// The ledger that a process counts in, by its map.
fn counts_in(pid: u32) -> Option<PathBuf> {
    let maps = kernel::memory_map(pid).ok()?;
    let maps = String::from_utf8_lossy(&maps).into_owned();
    let mut paths = maps.lines().filter_map(|line| Some(&line[line.find('/')?..]));
    let path = paths.find(|path| path.ends_with(".ledger"))?;
    Some(PathBuf::from(path))
}
