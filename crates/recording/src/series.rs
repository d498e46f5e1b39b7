//! Captures at regular times: `series/001.pb.gz` and so on, all processes in each.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use capture::{CaptureError, folder, whole_file};
use profile::{Symbols, pprof};

use crate::error::sentence;
use crate::profiles::whole;
use crate::watch::Sight;

/// A series that is being made.
pub struct Series<'a> {
    every: Duration,
    next: Duration,
    captures: usize,
    folder: &'a Path,
    /// Where captures go that cannot be written to the folder.
    spare: PathBuf,
    lost: usize,
    /// Why the first of these was.
    why: Option<String>,
}

impl Series<'_> {
    /// The first capture is made after `every`. What cannot be written to `folder` is kept in
    /// `spare`, which is made when it is needed.
    pub fn start(
        every: Duration,
        folder: &Path,
        spare: PathBuf,
    ) -> Result<Series<'_>, CaptureError> {
        let path = folder.join(folder::SERIES);
        fs::create_dir(&path)
            .map_err(|source| CaptureError::FolderNotNamed { path: path.clone(), source })?;
        Ok(Series { every, next: every, captures: 0, folder, spare, lost: 0, why: None })
    }

    /// Whether it is time for a capture.
    pub fn is_due(&self, elapsed: Duration) -> bool {
        elapsed >= self.next
    }

    /// Writes a capture, and returns the path that it has in the folder of the recording, in the
    /// end at least; `None` where it could be written nowhere. Times that went by meanwhile are
    /// left out.
    pub fn add(
        &mut self,
        elapsed: Duration,
        sight: &Sight,
        symbols: &mut Symbols,
    ) -> Option<String> {
        while self.next <= elapsed {
            self.next = self.next.saturating_add(self.every);
        }
        let mut profile = whole(&sight.ledgers, &sight.heap, symbols);
        profile.time_nanos = jiff::Timestamp::now().as_nanosecond().try_into().unwrap_or(0);
        let name = format!("{:03}.pb.gz", self.captures + 1);
        match self.write(&name, &pprof::write(&profile)) {
            Ok(()) => {
                self.captures += 1;
                Some(Path::new(folder::SERIES).join(name).display().to_string())
            }
            Err(error) => {
                self.lost += 1;
                self.why.get_or_insert_with(|| sentence(&error));
                None
            }
        }
    }

    fn write(&self, name: &str, bytes: &[u8]) -> Result<(), CaptureError> {
        let path = self.folder.join(folder::SERIES).join(name);
        whole_file::write(&path, bytes).or_else(|error| {
            // Not readable by the other users of a recording of root's.
            let made = DirBuilder::new().recursive(true).mode(0o700).create(&self.spare);
            let kept = made.is_ok() && whole_file::write(&self.spare.join(name), bytes).is_ok();
            if kept { Ok(()) } else { Err(error) }
        })
    }

    /// How many there are.
    pub fn captures(&self) -> usize {
        self.captures
    }

    /// Those that are missing, in a sentence.
    pub fn lost(&self) -> Option<String> {
        let why = self.why.as_ref()?;
        Some(match self.lost {
            1 => format!("a capture of the series: {why}"),
            more => format!("{more} captures of the series: {why}"),
        })
    }
}

/// Moves all captures of a series to another folder, which is made, each whole or not at all. Those
/// that cannot be moved stay. A series that is not there has none.
pub fn move_all(from: &Path, to: &Path) -> io::Result<()> {
    let entries = match fs::read_dir(from) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    fs::create_dir_all(to)?;
    for entry in entries {
        let entry = entry?;
        let moved = to.join(entry.file_name());
        // Not by its name: it may be another device.
        whole_file::write(&moved, &fs::read(entry.path())?).map_err(io::Error::other)?;
        fs::remove_file(entry.path())?;
    }
    fs::remove_dir(from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_written_where_it_should_be_is_kept_beside_it_and_moved_later() {
        let place = tempfile::tempdir().expect("a temporary folder");
        let (run, spare) = (place.path().join("run"), place.path().join("secret/series"));
        fs::create_dir(&run).expect("our own folder");
        let every = Duration::from_secs(1);
        let mut series = Series::start(every, &run, spare.clone()).expect("our own folder");
        let (sight, mut symbols) = (Sight::default(), Symbols::new());
        let own = run.join(folder::SERIES);
        let mut add = |at: u32| series.add(every * at, &sight, &mut symbols);
        assert_eq!(add(1).as_deref(), Some("series/001.pb.gz"));
        fs::rename(&own, run.join("gone")).expect("our own folder");
        assert_eq!(add(2).as_deref(), Some("series/002.pb.gz"));
        fs::rename(run.join("gone"), &own).expect("our own folder");
        assert_eq!(add(3).as_deref(), Some("series/003.pb.gz"));
        assert!(spare.join("002.pb.gz").exists() && !own.join("002.pb.gz").exists());
        move_all(&spare, &own).expect("our own folders");
        assert!(own.join("002.pb.gz").exists() && !spare.exists());
        move_all(&spare, &own).expect("there is nothing to move");
        assert_eq!((series.captures(), series.lost()), (3, None));
    }

    #[test]
    fn captures_that_can_be_written_nowhere_are_counted_and_named_once() {
        let place = tempfile::tempdir().expect("a temporary folder");
        let run = place.path().join("run");
        fs::create_dir(&run).expect("our own folder");
        let every = Duration::from_secs(1);
        let spare = Path::new("/dev/null/series").to_owned();
        let mut series = Series::start(every, &run, spare).expect("our own folder");
        fs::remove_dir(run.join(folder::SERIES)).expect("our own folder");
        for at in 1..=3 {
            let (sight, mut symbols) = (Sight::default(), Symbols::new());
            assert_eq!(series.add(every * at, &sight, &mut symbols), None);
        }
        let said = series.lost().expect("three are missing");
        assert!(said.starts_with("3 captures of the series: cannot write "), "{said}");
        assert!(said.contains("001.pb.gz: No such file"), "{said}");
    }
}
