//! A run's folder: made under a temporary name, and given its own when everything is in it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::CaptureError;
use crate::held::{self, Held};
use crate::temporary_name::{is_temporary, made_under};

/// The run's description.
pub const RUN: &str = "run.json";
/// The profile at rest.
pub const HEAP: &str = "heap.pb.gz";
/// The profile before the first connection.
pub const BASELINE: &str = "baseline.pb.gz";
/// The profile before the first connection, where [`BASELINE`] is what the steps between looks say.
pub const BEFORE: &str = "before.pb.gz";
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
/// Beside that, the run folder of the capture without any fix.
pub const AS_IT_IS: &str = "as-it-is";

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
        held::clear(parent, |other| is_temporary(other, &name), |_| false);
        let made = made_under(&name, |temporary| {
            let temporary = parent.join(temporary);
            // Refuses what is there, a link too.
            match Held::make(&temporary, 0o777) {
                // Another run has taken it for left behind before it was held.
                Err(error) if held::was_cleared(&error) => Err(io::ErrorKind::AlreadyExists.into()),
                made => made.map(|held| (temporary, held)),
            }
        });
        let (temporary, held) = made.map_err(|error| cannot(Some(error)))?;
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

    /// Gives the folder its name, and returns it. When that fails, it is still being filled.
    pub fn finish(&mut self) -> Result<PathBuf, CaptureError> {
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

/// Whether a folder of the name `other` is one that is to be called `name` when it is full.
pub fn is_being_filled(other: &str, name: &str) -> bool {
    is_temporary(other, name)
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

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use tempfile::TempDir;

    use super::*;

    #[test]
    fn a_link_where_an_earlier_version_made_its_folder_is_not_followed() {
        let place = TempDir::new().unwrap();
        let elsewhere = TempDir::new().unwrap();
        let guessed = place.path().join(format!(".run.{}", std::process::id()));
        symlink(elsewhere.path(), &guessed).unwrap();
        let mut folder = NewFolder::prepare(&place.path().join("run")).unwrap();
        let name = folder.path().file_name().unwrap().to_string_lossy().into_owned();
        assert!(name.starts_with(".run.tlsheap-"), "{name}");
        fs::write(folder.file(RUN), "{}").unwrap();
        assert_eq!(folder.finish().unwrap(), place.path().join("run"));
        assert!(place.path().join("run").join(RUN).is_file());
        assert_eq!(fs::read_dir(elsewhere.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_folder_that_is_not_finished_leaves_nothing() {
        let place = TempDir::new().unwrap();
        let folder = NewFolder::prepare(&place.path().join("run")).unwrap();
        fs::write(folder.file(RUN), "{}").unwrap();
        drop(folder);
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 0);
    }
}
