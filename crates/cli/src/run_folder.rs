//! A run's folder: made under a temporary name, and given its own when everything is in it.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::failure::Failure;

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

/// A folder that is being filled. Dropped unfinished, it is removed with all that is in it.
pub struct NewFolder {
    temporary: PathBuf,
    destination: PathBuf,
    finished: bool,
}

impl NewFolder {
    /// Prepares a folder at `path`, which must not exist or be empty.
    pub fn prepare(path: &Path) -> Result<NewFolder, Failure> {
        let taken = match fs::read_dir(path) {
            Ok(mut entries) => entries.next().is_some(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => false,
            Err(error) => {
                let sentence = format!(
                    "cannot use {} as the output folder: choose another with --out",
                    path.display()
                );
                return Err(anyhow::Error::new(error).context(sentence).into());
            }
        };
        if taken {
            return Err(Failure::usage(format!(
                "the output folder {} exists and is not empty: choose another with --out",
                path.display()
            )));
        }
        let cannot = || {
            format!("cannot make the output folder {}: choose another with --out", path.display())
        };
        let absolute = std::path::absolute(path).with_context(cannot)?;
        let name = absolute.file_name().with_context(cannot)?.to_string_lossy().into_owned();
        let parent = absolute.parent().with_context(cannot)?;
        fs::create_dir_all(parent).with_context(cannot)?;
        let temporary = parent.join(format!(".{name}.{}", std::process::id()));
        fs::create_dir(&temporary).with_context(cannot)?;
        Ok(NewFolder { temporary, destination: path.to_owned(), finished: false })
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
    pub fn finish(mut self) -> Result<PathBuf, Failure> {
        // An empty folder may be in the place; rename replaces it.
        fs::rename(&self.temporary, &self.destination)
            .with_context(|| format!("cannot make {}", self.destination.display()))?;
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

/// The folder for a run that was given none: `profiles/runs/NAME-DATE-TIME`.
pub fn default_path(name: &str) -> PathBuf {
    let now = jiff::Timestamp::now().to_string();
    let digits: String = now.chars().filter(char::is_ascii_digit).take(14).collect();
    let (date, time) = digits.split_at(8);
    Path::new("profiles/runs").join(format!("{name}-{date}-{time}"))
}
