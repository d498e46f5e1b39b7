//! The folder's files.

use std::sync::Arc;

use analysis::group::{By, group};
use analysis::objects::{Object, objects};
use analysis::top::Top;
use ledger::{Coverage, Snapshot};
use profile::{Metric, Profile, Symbols, merge, pprof};
use report::flamegraph::{FlameOptions, flamegraph};

use crate::commands::record::moments::Moment;
use crate::commands::record::observer::Observed;
use crate::commands::record::processes::Processes;
use crate::commands::record::program::Ended;
use crate::commands::record::shares::Shares;
use crate::commands::record::watch::Ledgers;
use crate::commands::record::{Options, coverage, perf_maps, profiles};
use crate::estimate::Estimate;
use crate::failure::Failure;
use crate::interval_json::of_any_bytes;
use crate::machine::{Machine, commit};
use crate::recording::{
    BaselineRecord, InheritedRecord, OpensslRecord, ProcessRecord, Recording, SCHEMA,
};
use crate::run_folder::{self, NewFolder};
use crate::run_record::{CountsRecord, RecorderRecord};
use crate::whole_file;

/// What was written.
pub struct Written {
    pub recording: Recording,
    pub shown: Shown,
    pub top: Top,
}

/// What the sites at the end are ordered by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shown {
    /// What each SSL object costs.
    PerSslObject,
    /// What was held at the capture.
    AtCapture,
    /// What was held at the highest total of each process: the program had ended.
    AtPeak,
}

/// Writes every file of the folder.
pub fn write(
    options: &Options,
    ended: &Ended,
    mut observed: Observed,
    at_end: &Processes,
    folder: &NewFolder,
) -> Result<Written, Failure> {
    let last: Ledgers = at_end
        .recorded()
        .map(|(path, snapshot, _)| (path.to_owned(), Arc::new(snapshot.clone())))
        .collect();
    let captured = observed.moments.captured.as_ref();
    let ledgers = captured.map_or(&last, |moment| &moment.ledgers);
    let symbols = &mut observed.symbols;
    let unnamed = perf_maps::add(symbols, at_end);

    let (whole, processes) = write_processes(ledgers, at_end, symbols, folder)?;
    whole_file::write(&folder.file(run_folder::HEAP), &pprof::write(&whole))?;
    let baseline = observed.moments.baseline.as_ref();
    let before = baseline.map(|moment| profiles::merged(&moment.ledgers, symbols));
    if let Some(profile) = &before {
        whole_file::write(&folder.file(run_folder::BASELINE), &pprof::write(profile))?;
    }
    let program = options.command[0].to_string_lossy();
    let table = observed.over_time.table(&last, symbols);
    let estimated = if options.sample.is_some() { ", estimated from samples" } else { "" };
    table.write(folder, &format!("OpenSSL in {program} over time{estimated}"))?;

    let shares = captured.and_then(|_| Shares::of(&whole, before.as_ref()));
    let (shown, top) = match (captured, &shares) {
        (Some(_), Some(shares)) if shares.record.less_baseline => {
            (Shown::PerSslObject, shares.top.clone())
        }
        (Some(_), _) => (Shown::AtCapture, top_of(&whole, Metric::InuseSpace)),
        (None, _) => (Shown::AtPeak, top_of(&whole, Metric::PeakSpace)),
    };
    draw(&whole, shown, &program, folder)?;

    let mut problems = coverage::problems(at_end);
    problems.extend(observed.lost.iter().map(|lost| lost.sentence().to_owned()));
    problems.extend(unnamed);
    problems.append(&mut observed.problems);
    let live = objects(&whole).unwrap_or_default();
    let recording = Recording {
        schema: SCHEMA,
        kind: Recording::KIND,
        command: options.command.iter().map(|word| word.to_string_lossy().into_owned()).collect(),
        ended: ended.in_words(),
        exit_code: ended.status.code(),
        captured: captured.map_or("at the program's end".to_owned(), Moment::in_words),
        captured_after_seconds: captured.map(|moment| moment.after.as_secs_f64()),
        connections: captured
            .filter(|_| options.sample.is_none())
            .map(|_| live.get(&Object::Ssl).copied().unwrap_or_default())
            .and_then(|count| u64::try_from(count).ok()),
        per_connection: shares.map(|shares| shares.record),
        baseline: baseline.map(|moment| BaselineRecord {
            after_seconds: moment.after.as_secs_f64(),
            openssl: totals(&moment.ledgers),
        }),
        objects: live.into_iter().map(|(object, n)| (object.name().to_owned(), n)).collect(),
        series: observed.captures,
        tlsheap: env!("CARGO_PKG_VERSION").to_owned(),
        commit: commit().map(str::to_owned),
        machine: Machine::this(),
        started: ended.started.clone(),
        seconds: ended.lasted.as_secs_f64(),
        openssl: totals(ledgers),
        processes,
        problems,
        symbols: symbols.summary().into(),
    };
    let mut json = serde_json::to_vec_pretty(&recording)?;
    json.push(b'\n');
    whole_file::write(&folder.file(run_folder::RUN), &json)?;
    Ok(Written { recording, shown, top })
}

fn totals(ledgers: &Ledgers) -> CountsRecord {
    CountsRecord::of(ledgers.values().map(|snapshot| &**snapshot))
}

/// One file for each process, and all of them as one profile.
fn write_processes(
    ledgers: &Ledgers,
    at_end: &Processes,
    symbols: &mut Symbols,
    folder: &NewFolder,
) -> Result<(Profile, Vec<ProcessRecord>), Failure> {
    let mut whole = Profile::of_heap();
    let mut records = Vec::new();
    let mut names = Names::default();
    for (path, snapshot) in profiles::in_order(ledgers) {
        // A ledger that could be read before can be read at the end; if not, that is a problem
        // that has been said, and the process has no name.
        let end = at_end.recorded().find(|(other, ..)| *other == path);
        let (end, coverage) = match end {
            Some((_, end, coverage)) => (end, coverage.clone()),
            None => (snapshot, Coverage::default()),
        };
        let profile = profiles::of_process(snapshot, &coverage, symbols);
        let name = names.of_process(snapshot.pid);
        whole_file::write(&folder.file(&name), &pprof::write(&profile))?;
        merge(&mut whole, &profile);
        records.push(process_record(name, snapshot, &coverage, end));
    }
    Ok((whole, records))
}

/// A name for each process's profile: a process that calls exec keeps its id.
#[derive(Default)]
struct Names(Vec<u32>);

impl Names {
    fn of_process(&mut self, pid: u32) -> String {
        self.0.push(pid);
        match self.0.iter().filter(|other| **other == pid).count() {
            1 => format!("process-{pid}.pb.gz"),
            again => format!("process-{pid}.{again}.pb.gz"),
        }
    }
}

/// Of the statistics, those at the end: what is lost after the capture is lost all the same.
fn process_record(
    profile: String,
    snapshot: &Snapshot,
    coverage: &Coverage,
    end: &Snapshot,
) -> ProcessRecord {
    let inherited = &end.statistics.inherited;
    ProcessRecord {
        pid: snapshot.pid,
        program: coverage.program.clone(),
        forked_from: coverage.forked_from,
        profile,
        openssl: CountsRecord::of(std::iter::once(snapshot)),
        openssl_at_end: CountsRecord::of(std::iter::once(end)),
        inherited: InheritedRecord {
            blocks: inherited.blocks,
            bytes: inherited.bytes,
            freed_blocks: inherited.freed_blocks,
            freed_bytes: inherited.freed_bytes,
            bytes_interval95: of_any_bytes(inherited.bytes, end.sampling),
            freed_bytes_interval95: of_any_bytes(inherited.freed_bytes, end.sampling),
        },
        openssls: coverage.openssls.iter().map(OpensslRecord::from).collect(),
        recorder: RecorderRecord::new(&end.statistics, end.sampling),
        broken_stacks: end.statistics.broken_stacks,
    }
}

/// The sites by one metric, as a table shows them.
fn top_of(profile: &Profile, metric: Metric) -> Top {
    let mut rows = group(profile, By::Site);
    if metric == Metric::PeakSpace {
        for row in &mut rows {
            row.counts = row.counts.at_peak();
        }
    }
    rows.retain(|row| row.counts.inuse_bytes != Some(0));
    Top::in_use(&rows)
}

/// The flamegraph; a program that held nothing has none.
fn draw(profile: &Profile, shown: Shown, program: &str, folder: &NewFolder) -> Result<(), Failure> {
    let (metric, subtitle) = match shown {
        Shown::AtPeak => {
            (Metric::PeakSpace, "requested bytes of OpenSSL at each process's highest total")
        }
        _ => (Metric::InuseSpace, "requested bytes of OpenSSL in use at the capture"),
    };
    let Some(column) = profile.column(metric).filter(|column| profile.total(*column) > 0) else {
        return Ok(());
    };
    let mut flame = FlameOptions::titled(program);
    flame.subtitle = Some(match Estimate::of(profile, column) {
        None => subtitle.to_owned(),
        Some(estimate) => format!("{subtitle}; {estimate}"),
    });
    let svg = flamegraph(profile, column, &flame)?;
    Ok(whole_file::write(&folder.file(run_folder::FLAME), &svg)?)
}
