//! Captures at regular times: `series/001.pb.gz` and so on, all processes in each.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use capture::{CaptureError, folder, whole_file};
use profile::{Symbols, pprof};

use crate::profiles::merged;
use crate::watch::Sight;

/// A series that is being made.
pub struct Series<'a> {
    every: Duration,
    next: Duration,
    captures: usize,
    folder: &'a Path,
}

impl Series<'_> {
    /// The first capture is made after `every`.
    pub fn start(every: Duration, folder: &Path) -> Result<Series<'_>, CaptureError> {
        let path = folder.join(folder::SERIES);
        fs::create_dir(&path)
            .map_err(|source| CaptureError::FolderNotNamed { path: path.clone(), source })?;
        Ok(Series { every, next: every, captures: 0, folder })
    }

    /// Whether it is time for a capture.
    pub fn is_due(&self, elapsed: Duration) -> bool {
        elapsed >= self.next
    }

    /// Writes a capture, and returns its path in the folder. Times that went by meanwhile are
    /// left out.
    pub fn add(
        &mut self,
        elapsed: Duration,
        sight: &Sight,
        symbols: &mut Symbols,
    ) -> Result<String, CaptureError> {
        while self.next <= elapsed {
            self.next += self.every;
        }
        let number = self.captures + 1;
        let mut profile = merged(&sight.ledgers, symbols);
        profile.time_nanos = jiff::Timestamp::now().as_nanosecond().try_into().unwrap_or(0);
        let name: PathBuf = [folder::SERIES, &format!("{number:03}.pb.gz")].iter().collect();
        let name = name.display().to_string();
        whole_file::write(&self.folder.join(&name), &pprof::write(&profile))?;
        self.captures = number;
        Ok(name)
    }

    /// How many there are.
    pub fn captures(&self) -> usize {
        self.captures
    }
}
