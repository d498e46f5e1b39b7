//! A recording from the program's start to its capture.

use std::io;
use std::path::{Path, PathBuf};

use capture::Capture;
use capture::folder::SERIES;

use crate::attached::{self, Visits};
use crate::descendants::Lost;
use crate::gathering::gather;
use crate::goals::Reached;
use crate::observer::Observed;
use crate::options::Options;
use crate::place::Place;
use crate::processes::Processes;
use crate::running::Ended;
use crate::{RecordingError, coverage, ledger_folder, processes, program_file, running, series};

/// A recording that has come to its end.
#[derive(Debug)]
#[non_exhaustive]
pub struct Recorded {
    /// What was found.
    pub capture: Capture,
    /// How the program ended.
    pub ended: Ended,
    /// The goal that was reached; `None` where the program ended, or was interrupted, before.
    pub reached: Option<Reached>,
    /// The processes when all was over.
    pub at_end: Processes,
    /// What the processes report of fixes that were applied to them: lines as
    /// [`contract::FixLine`] has them.
    pub fixes: String,
    /// Processes that have the recorder in them and go on.
    pub going_on: Vec<u32>,
    /// The ledgers are in it.
    pub(crate) place: Place,
}

/// Runs the program and records it and whatever it starts. Captures of a series go into `folder`,
/// which is there and is not otherwise written to.
pub fn record(options: &Options, folder: &Path) -> Result<Recorded, RecordingError> {
    if let Some(to) = &options.attach_to {
        return attached::record(to, options, folder);
    }
    program_file::refuse(&options.command[0])?;
    let place = Place::make()?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(RecordingError::system("start a runtime"))?;
    let (ended, observed) = runtime.block_on(running::run(options, &place, folder))?;
    recorded(options, place, ended, observed, None)
}

/// What a recording comes to whose processes have ended or been let go.
pub(crate) fn recorded(
    options: &Options,
    mut place: Place,
    ended: Ended,
    mut observed: Observed,
    visits: Option<Visits>,
) -> Result<Recorded, RecordingError> {
    let at_end = processes::read(place.ledgers(), &observed.refused, options.scope)?;
    if let Some(why) = coverage::nothing(&at_end, place.is_full()) {
        return Err(RecordingError::NothingRecorded { why, ended: ended.in_words() });
    }
    if !coverage::anything_recorded(&at_end) {
        let why = match observed.lost.first() {
            Some(Lost::Certainly(sentence)) => sentence.clone(),
            _ => coverage::why_nothing(&at_end, ended.pid, &options.command[0]),
        };
        return Err(RecordingError::NothingRecorded { why, ended: ended.in_words() });
    }
    let reached = observed.reached.take();
    let capture = gather(options, &ended, &mut observed, &at_end, visits);
    let fixes = ledger_folder::fixes(place.ledgers());
    let going_on = place.leave();
    Ok(Recorded { capture, ended, reached, at_end, fixes, going_on, place })
}

impl Recorded {
    /// Moves captures of the series that could not be written where they should be, and are removed
    /// with this value, to the series of the recording's folder, where there is room now.
    pub fn complete_series(&self, folder: &Path) -> io::Result<()> {
        series::move_all(&self.place.series(), &folder.join(SERIES))
    }

    /// Moves the ledgers, which are removed with this value, to a folder of the user's that stays,
    /// and returns its path: for when the capture cannot be written where it should be. Captures
    /// that [`Recorded::complete_series`] has left are in `series` there.
    pub fn keep_ledgers(&self) -> io::Result<PathBuf> {
        self.place.keep_ledgers()
    }
}
