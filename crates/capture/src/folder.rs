//! A run's folder: made under a temporary name, and given its own when everything is in it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::CaptureError;
use crate::held::{self, Held};

/// The run's description.
pub const RUN: &str = "run.json";
/// The profile at rest.
pub const HEAP: &str = "heap.pb.gz";
/// The profile before the first connection.
pub const BASELINE: &str = "baseline.pb.gz";
/// The profile after the last connection was closed.
pub const CLOSED: &str = "closed.pb.gz";
/// Memory over time.
pub const TIMELINE: &str = "timeline.csv";
/// Memory over time, drawn.
pub const TIMELINE_PICTURE: &str = "timeline.svg";
/// The flamegraph of `heap.pb.gz`.
pub const FLAME: &str = "flame.svg";
/// The slope over several numbers of connections.
pub const SCALE: &str = "scale.json";
/// Captures at regular times.
pub const SERIES: &str = "series";
/// The ledger, while the server runs.
pub const LEDGER: &str = "ledger";
/// The page that tells of the folder.
pub const REPORT: &str = "report.html";
/// The figures of a comparison.
pub const COMPARISON: &str = "compare.json";
/// What each fix of `what-if` saved.
pub const WHAT_IF: &str = "what-if.json";

/// A folder that is being filled. Dropped unfinished, it is removed with all that is in it.
pub struct NewFolder {
    temporary: PathBuf,
    destination: PathBuf,
    finished: bool,
    /// What nobody holds is cleared away by the next run.
    _held: Held,
}

impl NewFolder {
    /// Prepares a folder at `path`, which must not exist or be empty.
    pub fn prepare(path: &Path) -> Result<NewFolder, CaptureError> {
        let taken = match fs::read_dir(path) {
            Ok(mut entries) => entries.next().is_some(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => false,
            Err(source) => {
                return Err(CaptureError::FolderUnusable { path: path.to_owned(), source });
            }
        };
        if taken {
            return Err(CaptureError::FolderTaken(path.to_owned()));
        }
        let cannot = |source| CaptureError::FolderNotMade { path: path.to_owned(), source };
        let absolute = std::path::absolute(path).map_err(|error| cannot(Some(error)))?;
        let (Some(name), Some(parent)) = (absolute.file_name(), absolute.parent()) else {
            return Err(cannot(None));
        };
        let name = name.to_string_lossy();
        fs::create_dir_all(parent).map_err(|error| cannot(Some(error)))?;
        // What killed runs have left of folders of this name.
        let before = format!(".{name}.");
        let is_one = |other: &str| {
            let number = other.strip_prefix(&before);
            number.is_some_and(|it| !it.is_empty() && it.bytes().all(|byte| byte.is_ascii_digit()))
        };
        held::clear(parent, is_one, |_| false);
        let own = parent.join(format!("{before}{}", std::process::id()));
        let (temporary, held) = match Held::make(&own, 0o777) {
            // Another run has taken it for left behind before it was held.
            Err(error) if held::was_cleared(&error) => {
                let next = parent.join(format!("{before}{}0", std::process::id()));
                Held::make(&next, 0o777).map(|held| (next, held))
            }
            made => made.map(|held| (own, held)),
        }
        .map_err(|error| cannot(Some(error)))?;
        let destination = path.to_owned();
        Ok(NewFolder { temporary, destination, finished: false, _held: held })
    }

    /// Where the folder is while it is being filled.
    pub fn path(&self) -> &Path {
        &self.temporary
    }

    /// Where a file of the folder is while it is being filled.
    pub fn file(&self, name: &str) -> PathBuf {
        self.temporary.join(name)
    }

    /// Gives the folder its name, and returns it.
    pub fn finish(mut self) -> Result<PathBuf, CaptureError> {
        // An empty folder may be in the place; rename replaces it.
        fs::rename(&self.temporary, &self.destination).map_err(|source| {
            CaptureError::FolderNotNamed { path: self.destination.clone(), source }
        })?;
        self.finished = true;
        Ok(self.destination.clone())
    }
}

impl Drop for NewFolder {
    fn drop(&mut self) {
        if !self.finished {
            // Best effort: there is nothing to be done about a folder that cannot be removed.
            let _ = fs::remove_dir_all(&self.temporary);
        }
    }
}

/// The differential flamegraph from one capture to another, by their names.
pub fn step_name(before: &str, after: &str) -> String {
    format!("{before}-to-{after}.svg")
}

/// The folder for a run that was given none: `profiles/runs/NAME-DATE-TIME`.
pub fn default_path(name: &str) -> PathBuf {
    let now = jiff::Timestamp::now().to_string();
    let digits: String = now.chars().filter(char::is_ascii_digit).take(14).collect();
    let (date, time) = digits.split_at(8);
    Path::new("profiles/runs").join(format!("{name}-{date}-{time}"))
}
