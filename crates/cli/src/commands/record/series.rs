//! Captures at regular times: `series/001.pb.gz` and so on, all processes in each.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context;
use profile::{Symbols, pprof};

use crate::commands::record::profiles::merged;
use crate::commands::record::watch::Sight;
use crate::failure::Failure;
use crate::run_folder::{self, NewFolder};
use crate::whole_file;

/// A series that is being made.
pub struct Series<'a> {
    every: Duration,
    next: Duration,
    captures: usize,
    folder: &'a NewFolder,
}

impl Series<'_> {
    /// The first capture is made after `every`.
    pub fn start(every: Duration, folder: &NewFolder) -> Result<Series<'_>, Failure> {
        let path = folder.file(run_folder::SERIES);
        fs::create_dir(&path).with_context(|| format!("cannot make {}", path.display()))?;
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
    ) -> anyhow::Result<String> {
        while self.next <= elapsed {
            self.next += self.every;
        }
        let number = self.captures + 1;
        let mut profile = merged(&sight.ledgers, symbols);
        profile.time_nanos = jiff::Timestamp::now().as_nanosecond().try_into().unwrap_or(0);
        let name: PathBuf = [run_folder::SERIES, &format!("{number:03}.pb.gz")].iter().collect();
        let name = name.display().to_string();
        whole_file::write(&self.folder.file(&name), &pprof::write(&profile))?;
        self.captures = number;
        Ok(name)
    }

    /// How many there are.
    pub fn captures(&self) -> usize {
        self.captures
    }
}
