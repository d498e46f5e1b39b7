//! The folder's files, and what is said at the end.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use analysis::category::label_categories;
use analysis::group::{By, group};
use analysis::top::Top;
use ledger::{Counts, Coverage, Snapshot};
use profile::{Metric, Profile, Symbols, from_recording, merge, pprof};
use report::bytes::exact;
use report::flamegraph::{FlameOptions, flamegraph};
use report::table::{self, Colour, TableOptions};

use crate::answer::losses;
use crate::commands::record::processes::Processes;
use crate::commands::record::program::Ended;
use crate::commands::record::{LEDGERS, Options, coverage};
use crate::failure::Failure;
use crate::machine::{Machine, commit};
use crate::recording::{
    InheritedRecord, OpensslRecord, ProcessRecord, Recording, SCHEMA, describe,
};
use crate::run_folder::{self, NewFolder};
use crate::whole_file;

/// Sites shown at the end.
const SITES: usize = 8;

/// What was written.
pub struct Written {
    pub recording: Recording,
    /// The sites, by what they held at the capture; by what they held at the highest total, where
    /// the program had ended by then.
    pub top: Top,
}

/// Writes every file of the folder, and removes the ledgers.
pub fn write(
    options: &Options,
    ended: &Ended,
    at_end: &Processes,
    folder: &NewFolder,
) -> Result<Written, Failure> {
    let (captured, when) = match &ended.captured {
        Some((captured, when)) => (captured, when.clone()),
        None => (at_end, "at the program's end".to_owned()),
    };
    let mut symbols = Symbols::new();
    let mut whole = Profile::of_heap();
    let mut processes = Vec::new();
    let mut names = Names::default();
    for (path, snapshot, coverage) in captured.recorded() {
        let openssls = coverage.openssl_names();
        let mut profile = from_recording(snapshot, &mut symbols, &openssls);
        label_categories(&mut profile);
        let name = names.of_process(snapshot.pid);
        let process = process_label(coverage);
        for sample in profile.samples_mut() {
            sample.set_label("process", &process);
        }
        whole_file::write(&folder.file(&name), &pprof::write(&profile))?;
        merge(&mut whole, &profile);
        let end = at_end.recorded().find(|(other, ..)| *other == path);
        processes.push(process_record(name, snapshot, coverage, end.map(|(_, end, _)| end)));
    }
    whole_file::write(&folder.file(run_folder::HEAP), &pprof::write(&whole))?;
    let shown = if ended.captured.is_some() { Metric::InuseSpace } else { Metric::PeakSpace };
    draw(&whole, shown, options, folder)?;

    let mut total = Counts::default();
    for (_, snapshot, _) in captured.recorded() {
        total.add(&snapshot.totals());
    }
    let recording = Recording {
        schema: SCHEMA,
        kind: Recording::KIND,
        command: options.command.iter().map(|word| word.to_string_lossy().into_owned()).collect(),
        ended: ended.in_words(),
        exit_code: ended.status.code(),
        captured: when,
        tlsheap: env!("CARGO_PKG_VERSION").to_owned(),
        commit: commit().map(str::to_owned),
        machine: Machine::this(),
        started: ended.started.clone(),
        seconds: ended.lasted.as_secs_f64(),
        openssl: total.into(),
        processes,
        problems: coverage::problems(at_end),
        symbols: symbols.summary().into(),
    };
    let mut json = serde_json::to_vec_pretty(&recording)?;
    json.push(b'\n');
    whole_file::write(&folder.file(run_folder::RUN), &json)?;
    fs::remove_dir_all(folder.file(LEDGERS))?;
    Ok(Written { recording, top: top_of(&whole, shown) })
}

/// A name for each process's profile: a process that calls exec keeps its id.
#[derive(Default)]
struct Names(Vec<String>);

impl Names {
    fn of_process(&mut self, pid: u32) -> String {
        let again =
            self.0.iter().filter(|name| name.starts_with(&format!("process-{pid}"))).count();
        let name = match again {
            0 => format!("process-{pid}.pb.gz"),
            n => format!("process-{pid}.{}.pb.gz", n + 1),
        };
        self.0.push(name.clone());
        name
    }
}

fn process_label(coverage: &Coverage) -> String {
    let program = coverage.program.rsplit('/').next().unwrap_or_default();
    format!("{} {program}", coverage.pid)
}

fn process_record(
    profile: String,
    snapshot: &Snapshot,
    coverage: &Coverage,
    end: Option<&Snapshot>,
) -> ProcessRecord {
    let end = end.unwrap_or(snapshot);
    // Of the statistics, the last reading: what is lost after the capture is lost all the same.
    let inherited = &end.statistics.inherited;
    ProcessRecord {
        pid: snapshot.pid,
        program: coverage.program.clone(),
        forked_from: coverage.forked_from,
        profile,
        openssl: snapshot.totals().into(),
        openssl_at_end: end.totals().into(),
        inherited: InheritedRecord {
            blocks: inherited.blocks,
            bytes: inherited.bytes,
            freed_blocks: inherited.freed_blocks,
            freed_bytes: inherited.freed_bytes,
        },
        openssls: coverage.openssls.iter().map(OpensslRecord::from).collect(),
        recorder: (&end.statistics).into(),
        broken_stacks: end.statistics.broken_stacks,
    }
}

/// The sites by one metric, as a table shows them.
fn top_of(profile: &Profile, metric: Metric) -> Top {
    let mut rows = group(profile, By::Site);
    if metric == Metric::PeakSpace {
        for row in &mut rows {
            row.counts.inuse_bytes = row.counts.peak_bytes;
            row.counts.inuse_blocks = row.counts.peak_blocks;
        }
    }
    rows.retain(|row| row.counts.inuse_bytes != Some(0));
    Top::in_use(&rows)
}

/// The flamegraph; a program that held nothing has none.
fn draw(
    profile: &Profile,
    metric: Metric,
    options: &Options,
    folder: &NewFolder,
) -> Result<(), Failure> {
    let Some(column) = profile.column(metric).filter(|column| profile.total(*column) > 0) else {
        return Ok(());
    };
    let mut flame = FlameOptions::titled(&options.command[0].to_string_lossy());
    flame.subtitle = Some(
        match metric {
            Metric::PeakSpace => "requested bytes of OpenSSL at each process's highest total",
            _ => "requested bytes of OpenSSL in use at the capture",
        }
        .to_owned(),
    );
    let svg = flamegraph(profile, column, &flame)?;
    Ok(whole_file::write(&folder.file(run_folder::FLAME), &svg)?)
}

/// What is said on standard error at the end.
pub fn answer(written: &Written, at_end: &Processes, folder: &Path) -> String {
    let recording = &written.recording;
    let mut text = String::from("\n");
    let mut say = |line: std::fmt::Arguments| {
        let _ = writeln!(text, "{line}"); // into a String: cannot fail
    };
    let program = &recording.command[0];
    say(format_args!("tlsheap: {program} {}; captured {}", recording.ended, recording.captured));
    if recording.processes.is_empty() {
        say(format_args!("its OpenSSL was never asked for memory: there is nothing to show"));
    }
    for process in &recording.processes {
        let forked = process.forked_from.map_or(String::new(), |pid| {
            let blocks = exact(process.inherited.blocks as i64);
            let bytes = exact(process.inherited.bytes as i64);
            format!(" (forked from {pid}, with {bytes} bytes in {blocks} blocks from there)")
        });
        let counts = &process.openssl;
        say(format_args!(
            "process {} {}{forked}: {} bytes in {} blocks in use, {} at the highest, {} \
             allocations",
            process.pid,
            process.program,
            exact(counts.inuse_bytes as i64),
            exact(counts.inuse_blocks as i64),
            exact(counts.peak_bytes as i64),
            exact(counts.alloc_blocks as i64),
        ));
        let lost = losses(&process.recorder);
        say(format_args!("  {}", lost.trim_end()));
        if process.broken_stacks > 0 {
            say(format_args!(
                "  {} of {} sites have stacks that end early: no unwind tables there",
                process.broken_stacks, process.recorder.sites
            ));
        }
    }
    for (found, pids) in coverage::openssls(at_end) {
        let pids: Vec<String> = pids.iter().map(ToString::to_string).collect();
        let version = if found.version.is_empty() { "OpenSSL" } else { &found.version };
        let how = describe(&found);
        say(format_args!("{version} in {}: {how}; process {}", found.object, pids.join(", ")));
    }
    for problem in &recording.problems {
        say(format_args!("not seen: {problem}"));
    }
    if !written.top.rows.is_empty() {
        let what = match recording.captured.as_str() {
            "at the program's end" => "held at the highest total of each process",
            _ => "held at the capture",
        };
        say(format_args!("\n{what}:"));
        let mut options = TableOptions::by(By::Site);
        options.rows = SITES;
        options.colour = Colour::Never;
        text += &table::top(&written.top, &options);
    }
    let folder = folder.display();
    text += &format!(
        "\nin {folder}: heap.pb.gz (all processes), one profile for each, flame.svg, run.json\n\
         next:\n  tlsheap top {folder} --by category\n"
    );
    text
}
