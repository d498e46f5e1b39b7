//! The slope: the same configuration at several numbers of connections.

use std::num::NonZeroU64;

use analysis::slope::slopes;
use indicatif::ProgressBar;

use super::{BY, Options, Subject, capture, remove};
use crate::capture::Capture;
use crate::commands::compare::figures::Scale;
use crate::failure::Failure;
use crate::run_folder::NewFolder;

/// Runs at each number of connections asked for, and fits. `None` when none was.
pub fn measure(
    options: &Options,
    subject: &Subject,
    folder: &NewFolder,
    progress: &ProgressBar,
) -> Result<Option<Scale>, Failure> {
    if options.scale.is_empty() {
        return Ok(None);
    }
    let mut captures = Vec::new();
    for connections in &options.scale {
        progress.set_message(format!("{}: {connections} connections", subject.name()));
        let path = folder.file(&format!(".{}-{connections}", subject.name()));
        capture(options, subject, *connections, &path)?;
        let seen = Capture::open(&path)?;
        let open = seen.connections.map_or(0, NonZeroU64::get);
        captures.push((open, seen.rows(BY)));
        remove(&path);
        progress.inc(1);
    }
    let connections: Vec<u64> = captures.iter().map(|(connections, _)| *connections).collect();
    let slopes = slopes(&captures).ok_or_else(|| {
        Failure::usage("--scale needs at least two different numbers of connections")
    })?;
    Ok(Some(Scale::new(connections, &slopes)))
}
