//! Captures read from files: a run folder, a profile of any format, or a ledger.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use analysis::category::label_categories;
use ledger::Snapshot;
use profile::{Content, Profile, Symbols, from_ledger, read_any, read_standard_input};

use super::{Beside, Capture, Known, Moments};
use crate::part_of_folder::has_to_be_a_file;
use crate::records::recording::{KIND, Recording};
use crate::records::run::RunRecord;
use crate::records::{parse_value, read_json};
use crate::{CaptureError, Part, folder};

impl Capture {
    /// Reads whatever is at `path`, and keeps OpenSSL's part where there is one: its figures are
    /// exact.
    pub fn open(path: &Path) -> Result<Capture, CaptureError> {
        Capture::open_whole(path)?.part(None)
    }

    /// Reads whatever is at `path`, and keeps the part of the caller's choice.
    pub fn open_part(path: &Path, wanted: Option<Part>) -> Result<Capture, CaptureError> {
        Capture::open_whole(path)?.part(wanted)
    }

    /// Reads whatever is at `path`, all of it. `-` is a profile on standard input.
    pub fn open_whole(path: &Path) -> Result<Capture, CaptureError> {
        if path == Path::new(STANDARD_INPUT) {
            return match read_standard_input()? {
                Content::Profile(profile) => Ok(Capture::of_profile("standard input", profile)),
                Content::Ledger => Err(CaptureError::LedgerPiped),
            };
        }
        let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        let mut capture = if path.is_dir() { open_run(path)? } else { open_file(path)? };
        capture.name = name;
        Ok(capture)
    }

    /// The profile after the last connection was closed, as [`Capture::open`] has profiles: the
    /// usual part, with categories.
    pub fn closed(&self) -> Result<Option<Profile>, CaptureError> {
        match &self.beside {
            Beside::Nowhere => Ok(None),
            Beside::Here(moments) => {
                let Moments { closed: Some(closed), .. } = &**moments else { return Ok(None) };
                let closed = Capture::of_profile(folder::CLOSED, closed.clone()).part(None)?;
                Ok(Some(closed.profile))
            }
            Beside::In(run) => {
                let path = run.join(folder::CLOSED);
                if !path.is_file() {
                    return Ok(None);
                }
                Ok(Some(Capture::open(&path)?.profile))
            }
        }
    }

    /// Whole profiles, with categories, of the moments before the first connection and after the
    /// last was closed; `None` where either is not known.
    pub fn around_connections(&self) -> Result<Option<[Profile; 2]>, CaptureError> {
        let baseline = || self.baseline.clone();
        let moments = match &self.beside {
            Beside::Nowhere => None,
            Beside::Here(moments) => {
                let Moments { before, closed, .. } = &**moments;
                before.clone().or_else(baseline).zip(closed.clone())
            }
            Beside::In(run) => {
                let before = profile_in(run, folder::BEFORE)?.or_else(baseline);
                before.zip(profile_in(run, folder::CLOSED)?)
            }
        };
        Ok(moments.map(|(mut before, mut closed)| {
            label_categories(&mut before);
            label_categories(&mut closed);
            [before, closed]
        }))
    }

    /// Captures of the series that lies beside, whole, each with the second at which it was made,
    /// oldest first: all of them, or so many, as far from each other as they can be.
    pub fn series_over_time(&self, most: usize) -> Result<Vec<(f64, Capture)>, CaptureError> {
        let Beside::In(run) = &self.beside else { return Ok(Vec::new()) };
        let seconds = crate::timeline::captured(&run.join(folder::TIMELINE))?;
        let timed = |path: PathBuf| Some((*seconds.get(path.file_name()?.to_str()?)?, path));
        let all: Vec<(f64, PathBuf)> = self.series().into_iter().filter_map(timed).collect();
        let kept = all.len().min(most);
        let chosen = (0..kept).map(|at| &all[at * all.len() / kept]);
        chosen.map(|(seconds, path)| Ok((*seconds, Capture::open_whole(path)?))).collect()
    }

    /// The files of the series that a recording has kept on its way, oldest first.
    pub(crate) fn series(&self) -> Vec<PathBuf> {
        let Beside::In(run) = &self.beside else { return Vec::new() };
        let entries = std::fs::read_dir(run.join(folder::SERIES)).into_iter().flatten().flatten();
        let profile = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "gz");
        let mut captures: Vec<PathBuf> = entries
            .map(|entry| entry.path())
            .filter(profile)
            .filter(|path| path.is_file())
            .collect();
        captures.sort();
        captures
    }
}

/// What stands for standard input in the place of a file's name.
const STANDARD_INPUT: &str = "-";

fn open_run(path: &Path) -> Result<Capture, CaptureError> {
    let record = path.join(folder::RUN);
    if !record.exists() {
        return Err(CaptureError::NoRunFolder(path.to_owned()));
    }
    // Whoever handed the folder over may have put anything into it.
    for part in [folder::HEAP, folder::BASELINE] {
        has_to_be_a_file(&path.join(part))?;
    }
    let heap = open_file(&path.join(folder::HEAP))?.profile;
    let baseline = path.join(folder::BASELINE);
    let text = read_json(&record)?;
    let mut capture = if is_recording(&text, &record) {
        let record = Recording::parse(&text, &record)?;
        let baseline = if baseline.exists() { Some(open_file(&baseline)?.profile) } else { None };
        Capture::of_recording("", record, heap, baseline, Moments::default())
    } else {
        let record = RunRecord::parse(&text, &record)?;
        let baseline = open_file(&baseline)?.profile;
        Capture::of_run(record, heap, baseline, Moments::default())
    };
    capture.beside = Beside::In(path.to_owned());
    Ok(capture)
}

/// A profile of the folder, if it is there.
fn profile_in(run: &Path, name: &str) -> Result<Option<Profile>, CaptureError> {
    let path = run.join(name);
    if !path.exists() {
        return Ok(None);
    }
    has_to_be_a_file(&path)?;
    Ok(Some(open_file(&path)?.profile))
}

/// Whether this `run.json` is a recording's. One that cannot be read is not.
fn is_recording(text: &str, path: &Path) -> bool {
    parse_value(text, path).is_ok_and(|value| value["kind"] == KIND)
}

/// How long a ledger has counted whose process runs; 0 where it has ended, nobody knows when.
fn until_now(snapshot: &Snapshot) -> i64 {
    let began = SystemTime::UNIX_EPOCH + Duration::from_nanos(snapshot.started_nanos);
    let runs = Path::new("/proc").join(snapshot.pid.to_string()).exists();
    let lasted = SystemTime::now().duration_since(began).ok().filter(|_| runs);
    lasted.map_or(0, |lasted| i64::try_from(lasted.as_nanos()).unwrap_or_default())
}

fn open_file(path: &Path) -> Result<Capture, CaptureError> {
    let (profile, statistics) = match read_any(path)? {
        Content::Profile(profile) => (profile, None),
        Content::Ledger => {
            // Read through the file and not the bytes at hand: its process may be running.
            let snapshot = Snapshot::read_file(path)?;
            let mut profile = from_ledger(&snapshot, &mut Symbols::new());
            profile.duration_nanos = until_now(&snapshot);
            (profile, Some(snapshot.statistics))
        }
    };
    Ok(Capture { statistics, known: Known::Nothing, ..Capture::of_profile("", profile) })
}
