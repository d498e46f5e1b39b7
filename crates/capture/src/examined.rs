//! A capture looked through for what costs more than it has to.

use std::path::PathBuf;

use analysis::diagnosis::case::{Case, Negotiated, Profiles};
use analysis::diagnosis::holding::holdings;
use analysis::diagnosis::series::{self, Series};
use analysis::diagnosis::{Diagnosis, diagnose};
use analysis::inventory::Inventory;

use crate::records::run::NegotiatedRecord;
use crate::{Capture, CaptureError};

/// A capture, and what was found in it.
#[derive(Debug)]
pub struct Examined {
    /// The newest capture's name.
    pub name: String,
    /// What was looked at.
    pub case: Case,
    /// What was found.
    pub diagnosis: Diagnosis,
}

impl Examined {
    /// Reads captures of one process, oldest first, and looks for everything there is to find. A
    /// recording that is alone brings its own series.
    pub fn open(paths: &[PathBuf]) -> Result<Examined, CaptureError> {
        let (last, earlier) = paths.split_last().ok_or(CaptureError::NoneNamed)?;
        let capture = Capture::open(last)?;
        let earlier = if earlier.is_empty() { capture.series() } else { earlier.to_vec() };
        if earlier.is_empty() {
            return Examined::of(&capture);
        }
        let mut case = case_of(&capture)?;
        let mut captures = Vec::new();
        for path in &earlier {
            captures.push(moment(&Capture::open(path)?)?);
        }
        captures.push(moment(&capture)?);
        case.series = Series(captures);
        let diagnosis = diagnose(&case);
        Ok(Examined { name: capture.name, case, diagnosis })
    }

    /// Looks through one capture, of which the usual part was kept.
    pub fn of(capture: &Capture) -> Result<Examined, CaptureError> {
        let case = case_of(capture)?;
        let diagnosis = diagnose(&case);
        Ok(Examined { name: capture.name.clone(), case, diagnosis })
    }
}

/// What there is to look at in one capture.
fn case_of(capture: &Capture) -> Result<Case, CaptureError> {
    capture.counted_exactly("a diagnosis")?;
    let closed = capture.closed()?;
    let profiles = Profiles {
        at_rest: &capture.profile,
        baseline: capture.baseline.as_ref(),
        closed: closed.as_ref(),
    };
    let mut case =
        Case::new(profiles, capture.connections).ok_or_else(|| lacks_columns(capture))?;
    // What the connections of a recording agreed on is not known.
    case.negotiated = capture.run().and_then(|record| negotiated(&record.negotiated));
    Ok(case)
}

fn moment(capture: &Capture) -> Result<series::Capture, CaptureError> {
    capture.counted_exactly("a diagnosis")?;
    let of = || {
        Some(series::Capture {
            holdings: holdings(&capture.profile, None)?,
            objects: Inventory::of(&capture.profile)?,
        })
    };
    of().ok_or_else(|| lacks_columns(capture))
}

fn lacks_columns(capture: &Capture) -> CaptureError {
    CaptureError::NothingInUse(capture.name.clone())
}

/// What most connections agreed on.
fn negotiated(all: &[NegotiatedRecord]) -> Option<Negotiated> {
    let most = all.iter().max_by_key(|one| one.connections)?;
    Some(Negotiated { protocol: most.protocol.clone(), group: most.group.clone() })
}
