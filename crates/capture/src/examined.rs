//! A capture looked through for what costs more than it has to.

use std::path::PathBuf;

use analysis::diagnosis::case::{Case, Negotiated, Profiles};
use analysis::diagnosis::held_at::HeldAt;
use analysis::diagnosis::holding::holdings;
use analysis::diagnosis::series::{self, Series};
use analysis::diagnosis::{Diagnosis, diagnose_processes};
use analysis::inventory::Inventory;
use analysis::process;
use profile::{Metric, Profile};

use crate::records::recording::Recording;
use crate::records::run::NegotiatedRecord;
use crate::whole::whole;
use crate::{Capture, CaptureError};

/// A capture, and what was found in it.
#[derive(Debug)]
pub struct Examined {
    /// The newest capture's name.
    pub name: String,
    /// What was looked at, all processes together.
    pub case: Case,
    /// What was found, each process judged for itself.
    pub diagnosis: Diagnosis,
    /// The recording that was looked at, if it is one.
    pub recording: Option<Recording>,
}

/// So many processes are judged, those that hold most.
const MOST_PROCESSES: usize = 64;

impl Examined {
    /// Reads captures of one process, oldest first, and looks for everything there is to find. A
    /// recording that is alone brings its own series.
    pub fn open(paths: &[PathBuf]) -> Result<Examined, CaptureError> {
        let (last, earlier) = paths.split_last().ok_or(CaptureError::NoneNamed)?;
        let capture = Capture::open(last)?;
        let earlier = if earlier.is_empty() { capture.series() } else { earlier.to_vec() };
        examine(&capture, &open_all(&earlier)?, None)
    }

    /// Looks through one capture, of which the usual part was kept.
    pub fn of(capture: &Capture) -> Result<Examined, CaptureError> {
        examine(capture, &[], None)
    }

    /// Looks through one capture with its own series, where it has one on disk.
    pub fn with_series(capture: &Capture) -> Result<Examined, CaptureError> {
        examine(capture, &open_all(&capture.series())?, None)
    }

    /// Looks through one capture, as [`Examined::of`] does, at a moment of the caller's choice.
    pub fn at(capture: &Capture, moment: HeldAt) -> Result<Examined, CaptureError> {
        examine(capture, &[], Some(moment))
    }
}

fn open_all(paths: &[PathBuf]) -> Result<Vec<Capture>, CaptureError> {
    paths.iter().map(|path| Capture::open(path)).collect()
}

/// Looks at the moment `at`, or at the one that each process's figures speak for.
fn examine(
    capture: &Capture,
    earlier: &[Capture],
    at: Option<HeldAt>,
) -> Result<Examined, CaptureError> {
    capture.counted_exactly("a diagnosis")?;
    let moments = Moments {
        baseline: capture.baseline.clone().filter(|_| !is_baseline_of_capture(capture)),
        closed: capture.closed()?,
        earlier,
        at,
    };
    let judged = judged_processes(&capture.profile);
    let mut case = case_of(capture, &moments, None)?;
    case.whole = capture.recording().and_then(whole);
    // What the connections of a recording agreed on is not known.
    case.negotiated = capture.run().and_then(|record| negotiated(&record.negotiated));
    let processes = judged
        .iter()
        .map(|label| case_of(capture, &moments, Some(label)))
        .collect::<Result<Vec<_>, _>>()?;
    let diagnosis = diagnose_processes(&case, &processes);
    let recording = capture.recording().cloned();
    Ok(Examined { name: capture.name.clone(), case, diagnosis, recording })
}

/// The moments beside the capture.
struct Moments<'a> {
    baseline: Option<Profile>,
    closed: Option<Profile>,
    /// Those before it, oldest first.
    earlier: &'a [Capture],
    /// The one to look at, where it was chosen.
    at: Option<HeldAt>,
}

/// The processes to judge for themselves; none where there is only one.
fn judged_processes(profile: &Profile) -> Vec<String> {
    let mut labels: Vec<String> =
        process::present(profile).into_iter().map(str::to_owned).collect();
    if labels.len() < 2 {
        return Vec::new();
    }
    let most = |label: &String| {
        let of = |metric| {
            let column = profile.column(metric)?;
            let samples = profile.samples().iter();
            let own = samples.filter(|sample| sample.label(process::LABEL) == Some(label));
            Some(own.fold(0_i64, |sum, sample| sum.saturating_add(sample.values[column])))
        };
        of(Metric::InuseSpace).max(of(Metric::PeakSpace))
    };
    labels.sort_by_cached_key(|label| std::cmp::Reverse(most(label)));
    labels.truncate(MOST_PROCESSES);
    labels
}

/// What there is to look at in one process of the capture, or in all of them.
fn case_of(
    capture: &Capture,
    moments: &Moments<'_>,
    process: Option<&str>,
) -> Result<Case, CaptureError> {
    let at_rest = part_of(&capture.profile, process);
    let baseline = moments.baseline.as_ref().map(|profile| part_of(profile, process));
    let closed = moments.closed.as_ref().map(|profile| part_of(profile, process));
    let profiles =
        Profiles { at_rest: &at_rest, baseline: baseline.as_ref(), closed: closed.as_ref() };
    let ending = capture.ending();
    // How many connections there are was said of all processes together.
    let told = capture.connections.filter(|_| process.is_none() && capture.is_told());
    let at = moments.at.unwrap_or_else(|| HeldAt::of(&at_rest, ending));
    let mut case = Case::new(profiles, told, at).ok_or_else(|| lacks_columns(capture))?;
    case.ending = ending;
    case.by_steps = capture.recording().is_some_and(Recording::has_baseline_by_steps);
    case.program = program(capture, process);
    if !moments.earlier.is_empty() {
        let mut captures = Vec::new();
        for earlier in moments.earlier {
            captures.push(moment(earlier, process)?);
        }
        captures.push(moment(capture, process)?);
        case.series = Series(captures);
    }
    Ok(case)
}

fn part_of(profile: &Profile, process: Option<&str>) -> Profile {
    let mut part = profile.clone();
    if let Some(label) = process {
        process::keep(&mut part, label);
    }
    part
}

fn moment(capture: &Capture, process: Option<&str>) -> Result<series::Capture, CaptureError> {
    capture.counted_exactly("a diagnosis")?;
    let profile = part_of(&capture.profile, process);
    let of = || {
        Some(series::Capture {
            holdings: holdings(&profile, None, HeldAt::Capture)?,
            objects: Inventory::of(&profile)?,
        })
    };
    of().ok_or_else(|| lacks_columns(capture))
}

/// A baseline that is no older than this is the capture itself: nothing came in between.
const YOUNGEST_BASELINE: f64 = 1.0;

fn is_baseline_of_capture(capture: &Capture) -> bool {
    let of_recording = || {
        // By steps between looks it is made of the capture's own moment, and good at any.
        let record = capture.recording().filter(|record| !record.has_baseline_by_steps())?;
        let captured = record.captured_after_seconds.unwrap_or(record.seconds);
        Some(captured - record.baseline?.after_seconds < YOUNGEST_BASELINE)
    };
    of_recording().unwrap_or(false)
}

/// The program of a recorded process; of all of them together, the one that was started.
fn program(capture: &Capture, process: Option<&str>) -> Option<String> {
    let record = capture.recording()?;
    let pid = process.and_then(|label| label.split(' ').next()?.parse::<u32>().ok());
    let of_process = |pid| record.processes.iter().find(|one| one.pid == pid);
    let process = if let Some(pid) = pid {
        of_process(pid)
    } else {
        // Not a shell that has started it.
        let with_openssl = record.processes.iter().find(|one| !one.openssls.is_empty());
        with_openssl.or(record.processes.first())
    };
    process.map(|process| process.program.clone())
}

fn lacks_columns(capture: &Capture) -> CaptureError {
    CaptureError::NothingInUse(capture.name.clone())
}

/// What most connections agreed on.
fn negotiated(all: &[NegotiatedRecord]) -> Option<Negotiated> {
    let most = all.iter().max_by_key(|one| one.connections)?;
    Some(Negotiated { protocol: most.protocol.clone(), group: most.group.clone() })
}
