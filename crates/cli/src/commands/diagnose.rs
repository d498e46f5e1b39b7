//! `tlsheap diagnose`: what costs more than it has to, why, and what to do about it.

use std::num::NonZeroU64;
use std::path::{Path, PathBuf};

use analysis::diagnosis::case::{Case, Negotiated, Profiles};
use analysis::diagnosis::holding::holdings;
use analysis::diagnosis::series::{self, Series};
use analysis::diagnosis::{Diagnosis, diagnose};
use analysis::inventory::Inventory;
use clap::Args;
use report::findings::{self, Subject};
use serde_json::Value;

use crate::capture::Capture;
use crate::diagnosis_json::DiagnosisJson;
use crate::failure::Failure;
use crate::recording::Recording;
use crate::run_record::RunRecord;
use crate::{output, run_folder};

#[derive(Debug, Args)]
#[command(after_help = "\
Several captures of one process, oldest first, also show what only grows; so does a recording with \
a series of them (`tlsheap record --every`). Nothing is claimed without a number of the capture \
itself; a finding's bytes are what its remedy would save.")]
pub struct Options {
    /// A run folder, a profile of any format, or a ledger; several of one process, oldest first
    #[arg(value_name = "CAPTURE", required = true)]
    pub captures: Vec<PathBuf>,
    /// Say what each finding would cost with so many connections
    #[arg(long, short = 'n', value_name = "N")]
    pub connections: Option<NonZeroU64>,
    /// Print the findings as JSON (docs/json.md)
    #[arg(long)]
    pub json: bool,
}

/// Prints what was found.
pub fn run(options: &Options) -> Result<(), Failure> {
    let examined = Examined::open(&options.captures)?;
    let projected_to = options.connections.map(NonZeroU64::get);
    if options.json {
        return output::print_json(&DiagnosisJson::new(&examined, projected_to));
    }
    let subject = Subject {
        name: &examined.name,
        connections: examined.case.connections.map(NonZeroU64::get),
        projected_to,
        negotiated: examined.case.negotiated.as_ref(),
    };
    output::print(&findings::diagnosis(&examined.diagnosis, &subject, output::colour()))
}

/// A capture, and what was found in it.
pub struct Examined {
    /// The newest capture's name.
    pub name: String,
    pub case: Case,
    pub diagnosis: Diagnosis,
}

impl Examined {
    /// Reads captures, oldest first, and looks for everything there is to find.
    pub fn open(paths: &[PathBuf]) -> Result<Examined, Failure> {
        let (last, earlier) =
            paths.split_last().ok_or_else(|| Failure::usage("no capture is named"))?;
        let capture = Capture::open(last)?;
        let earlier = if earlier.is_empty() { series_of(last) } else { earlier.to_vec() };
        if earlier.is_empty() {
            return Examined::of(&capture, last);
        }
        let mut case = case_of(&capture, last)?;
        let mut captures = Vec::new();
        for path in &earlier {
            captures.push(moment(&Capture::open(path)?)?);
        }
        captures.push(moment(&capture)?);
        case.series = Series(captures);
        let diagnosis = diagnose(&case);
        Ok(Examined { name: capture.name, case, diagnosis })
    }

    /// Looks through a capture that was read from `path`.
    pub fn of(capture: &Capture, path: &Path) -> Result<Examined, Failure> {
        let case = case_of(capture, path)?;
        let diagnosis = diagnose(&case);
        Ok(Examined { name: capture.name.clone(), case, diagnosis })
    }
}

/// The captures that a recording has kept on its way, oldest first.
fn series_of(run: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(run.join(run_folder::SERIES)).into_iter().flatten().flatten();
    let profile = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "gz");
    let mut captures: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(profile).collect();
    captures.sort();
    captures
}

/// What there is to look at in one capture.
fn case_of(capture: &Capture, path: &Path) -> Result<Case, Failure> {
    capture.counted_exactly("a diagnosis")?;
    let closed = path.join(run_folder::CLOSED);
    let closed = if closed.is_file() { Some(Capture::open(&closed)?.profile) } else { None };
    let profiles = Profiles {
        at_rest: &capture.profile,
        baseline: capture.baseline.as_ref(),
        closed: closed.as_ref(),
    };
    let mut case =
        Case::new(profiles, capture.connections).ok_or_else(|| lacks_columns(capture))?;
    let record = path.join(run_folder::RUN);
    // What the connections of a recording agreed on is not known.
    if record.is_file() && !Recording::is_at(&record) {
        case.negotiated = negotiated(&RunRecord::read(&record)?.negotiated);
    }
    Ok(case)
}

fn moment(capture: &Capture) -> Result<series::Capture, Failure> {
    capture.counted_exactly("a diagnosis")?;
    let of = || {
        Some(series::Capture {
            holdings: holdings(&capture.profile, None)?,
            objects: Inventory::of(&capture.profile)?,
        })
    };
    of().ok_or_else(|| lacks_columns(capture))
}

fn lacks_columns(capture: &Capture) -> Failure {
    Failure::usage(format!(
        "{} says nothing about blocks and bytes in use: it needs the columns inuse_objects and \
         inuse_space",
        capture.name
    ))
}

/// What most connections agreed on.
fn negotiated(all: &[Value]) -> Option<Negotiated> {
    let most = all.iter().max_by_key(|one| one["connections"].as_u64())?;
    let text = |name: &str| most[name].as_str().unwrap_or_default().to_owned();
    Some(Negotiated { protocol: text("protocol"), group: text("group") })
}
