//! The files of a run folder, with its pictures.

use std::num::NonZero;
use std::path::Path;
use std::thread::{Scope, ScopedJoinHandle};

use capture::records::recording::Recording;
use capture::records::run::RunRecord;
use capture::timeline::Table;
use capture::whole_file::Readers;
use capture::{Capture, CaptureError, Known, folder, secrets, whole_file};
use profile::{Metric, Profile, pprof};
use thiserror::Error;

use crate::differential::{DifferentialOptions, Ratio, SideOf, differential};
use crate::estimate::Estimate;
use crate::exactness::exactness;
use crate::flamegraph::{FlameError, FlameOptions, flamegraph};
use crate::timeline::{TimelineError, timeline};

/// Why a folder could not be filled.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum FolderError {
    /// A file could not be written, or a part of a capture not be read.
    #[error(transparent)]
    Capture(#[from] CaptureError),
    /// A flamegraph could not be drawn.
    #[error(transparent)]
    Flame(#[from] FlameError),
    /// Memory over time could not be drawn.
    #[error(transparent)]
    Timeline(#[from] TimelineError),
}

/// Writes every file of a capture that was made just now into the folder at `path`, which is
/// there: profiles, memory over time, `run.json`, and pictures of the first two.
pub fn write(capture: &Capture, path: &Path) -> Result<(), FolderError> {
    let put = |name: &str, bytes: &[u8]| whole_file::write(&path.join(name), bytes);
    let moments = capture.moments();
    let processes = moments.map_or(&[][..], |moments| &moments.processes);
    std::thread::scope(|scope| {
        let picture = scope.spawn(|| {
            let picture = match &capture.known {
                Known::Run(record) => flame_of_run(capture, record)?,
                Known::Recording(record) => flame_of_recording(capture, record)?,
                _ => None,
            };
            Ok(picture.map_or(Ok(()), |svg| put(folder::FLAME, &svg))?)
        });
        let profiles = [
            (folder::BASELINE, capture.baseline.as_ref()),
            (folder::HEAP, Some(&capture.profile)),
            (folder::BEFORE, moments.and_then(|moments| moments.before.as_ref())),
            (folder::CLOSED, moments.and_then(|moments| moments.closed.as_ref())),
        ];
        let write = |name: &str, profile: &Profile| put(name, &pprof::write(profile));
        let profiles = profiles.map(|(name, profile)| {
            scope.spawn(move || Ok(profile.map_or(Ok(()), |profile| write(name, profile))?))
        });
        let each = write_each(scope, processes, write);
        if let Some(table) = moments.and_then(|moments| moments.timeline.as_ref()) {
            write_timeline(table, path, &title_of(capture))?;
        }
        [picture].into_iter().chain(profiles).chain(each).try_for_each(|part| match part.join() {
            Ok(written) => written,
            Err(panic) => std::panic::resume_unwind(panic),
        })
    })?;
    let record = path.join(folder::RUN);
    match &capture.known {
        Known::Run(run) => whole_file::write_json(&record, run)?,
        Known::Recording(recording) => {
            let secret = secrets::seem_to_be_in(&recording.command);
            let readers = if secret { Readers::Owner } else { Readers::All };
            whole_file::write_json_for(readers, &record, recording)?;
        }
        _ => {}
    }
    Ok(())
}

/// Writers at least: most of their time they wait for the disk.
const WRITERS: usize = 4;

/// Has `write` called for each profile, on several threads: a program may have had thousands of
/// processes. Of several errors it is the first one's in the profiles' order.
fn write_each<'scope, 'env>(
    scope: &'scope Scope<'scope, 'env>,
    profiles: &'env [(String, Profile)],
    write: impl Fn(&str, &Profile) -> Result<(), CaptureError> + Copy + Send + 'scope,
) -> Vec<ScopedJoinHandle<'scope, Result<(), FolderError>>> {
    let threads = std::thread::available_parallelism().map_or(1, NonZero::get).max(WRITERS);
    let part = profiles.len().div_ceil(threads).max(1);
    let parts = profiles.chunks(part).map(|part| {
        scope.spawn(move || Ok(part.iter().try_for_each(|(name, profile)| write(name, profile))?))
    });
    parts.collect()
}

/// Writes `timeline.csv`, and the picture unless there is too little to draw.
fn write_timeline(table: &Table, path: &Path, title: &str) -> Result<(), FolderError> {
    whole_file::write(&path.join(folder::TIMELINE), &table.csv())?;
    if table.timeline.seconds.len() >= 2 {
        let svg = timeline(&table.timeline, title)?;
        whole_file::write(&path.join(folder::TIMELINE_PICTURE), svg.as_bytes())?;
    }
    Ok(())
}

fn title_of(capture: &Capture) -> String {
    match &capture.known {
        Known::Run(record) => title_of_run(capture, record),
        Known::Recording(record) => title_of_recording(capture, record),
        _ => capture.name.clone(),
    }
}

fn title_of_run(capture: &Capture, record: &RunRecord) -> String {
    let estimated = match capture.profile.sampling {
        Some(_) => ", OpenSSL's estimated from samples",
        None => "",
    };
    format!("{}: memory over time{estimated}", record.configuration)
}

fn title_of_recording(capture: &Capture, record: &Recording) -> String {
    let estimated = match capture.profile.sampling {
        Some(_) => ", estimated from samples",
        None => "",
    };
    let whose = if record.heap.is_some() { "Memory of" } else { "OpenSSL in" };
    format!("{whose} {} over time{estimated}", record.program())
}

/// The flamegraph of a run; a process that held nothing has none.
fn flame_of_run(capture: &Capture, record: &RunRecord) -> Result<Option<Vec<u8>>, FlameError> {
    let heap = &capture.profile;
    let Some(column) = heap.column(Metric::InuseSpace).filter(|column| heap.total(*column) > 0)
    else {
        return Ok(None);
    };
    let mut flame = FlameOptions::titled(&record.configuration);
    let exactness = exactness(heap, column).phrase();
    flame.subtitle = Some(match capture.connections {
        Some(n) => format!("bytes in use, {n} connections at rest; {exactness}"),
        None => format!("bytes in use when the run ended early; {exactness}"),
    });
    flamegraph(heap, column, &flame).map(Some)
}

/// The flamegraph of a recording; a program that held nothing has none.
fn flame_of_recording(
    capture: &Capture,
    record: &Recording,
) -> Result<Option<Vec<u8>>, FlameError> {
    let (metric, when) = if record.is_at_peak() {
        (Metric::PeakSpace, record.moment_of_peak())
    } else {
        (Metric::InuseSpace, "in use at the capture")
    };
    let profile = &capture.profile;
    let Some(column) = profile.column(metric).filter(|column| profile.total(*column) > 0) else {
        return Ok(None);
    };
    let mut flame = FlameOptions::titled(record.program());
    let subtitle = if record.heap.is_some() {
        format!("requested bytes {when}: {}", exactness(profile, column).phrase())
    } else {
        format!("requested bytes of OpenSSL {when}")
    };
    flame.subtitle = Some(match Estimate::of(profile, column) {
        None => subtitle,
        Some(estimate) => format!("{subtitle}; {estimate}"),
    });
    flamegraph(profile, column, &flame).map(Some)
}

/// Draws the change from one capture to another, of both as the usual part
/// ([`capture::Part::usual`]), into the folder at `path`. Both sides are as of the other's number
/// of connections, where both are known.
pub fn draw_step(before: &Capture, after: &Capture, path: &Path) -> Result<(), FolderError> {
    let scale = match (before.connections, after.connections) {
        (Some(old), Some(new)) => Ratio { numerator: new.get(), denominator: old },
        _ => Ratio::ONE,
    };
    let (old, new) = (before.clone().part(None)?, after.clone().part(None)?);
    let shown = Capture::common_column(&[&old, &new], None)?;
    let [old, new] = [(&old, scale), (&new, Ratio::ONE)].map(|(capture, scale)| {
        capture.column(Some(shown.bytes())).map(|column| SideOf {
            profile: &capture.profile,
            column,
            name: &capture.name,
            scale,
        })
    });
    let title = format!("OpenSSL bytes {}", shown.phrase());
    let svg = differential(&old?, &new?, &DifferentialOptions::titled(&title))?;
    whole_file::write(&path.join(folder::step_name(&before.name, &after.name)), &svg)?;
    Ok(())
}
