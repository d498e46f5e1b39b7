//! What is said on standard error at the end.

mod after_close;
mod attached;
mod steps;

use std::collections::BTreeSet;
use std::path::Path;

use analysis::column::Column;
use analysis::group::{By, Row};
use analysis::notation::{exact, give_or_take, human, one_decimal, rounded};
use analysis::script_names::{Interpreter, nameless};
use analysis::top::Top;
use capture::Capture;
use capture::json::interval::{Ends, margin};
use capture::records::counts::CountsRecord;
use capture::records::recording::{PerSslObject, ProcessRecord, Recording};
use profile::Profile;
use profile::harmless::harmless;
use recording::found::{describe, describe_other};
use recording::{Recorded, coverage};
use report::losses::losses;
use report::medium::Medium;
use report::table::{self, TableOptions};
use report::wrapping::wrapped;
use report::{account, memory};

/// What the sites at the end are ordered by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shown {
    /// What each SSL object costs.
    PerSslObject,
    /// What was held at the capture.
    AtCapture,
    /// What was held at the highest total of each process: the program had ended.
    AtPeak,
}

impl Shown {
    /// What there is to show of a capture.
    fn of(record: &Recording) -> Shown {
        match &record.per_connection {
            _ if record.is_at_peak() => Shown::AtPeak,
            Some(cost) if cost.less_baseline => Shown::PerSslObject,
            _ => Shown::AtCapture,
        }
    }

    /// The sites, those that hold most first, and as a table shows them.
    fn sites(self, capture: &Capture) -> (Vec<Row>, Top) {
        let column = match self {
            Shown::PerSslObject => {
                let rows = capture.grown_rows(By::Site, Column::InUse);
                return (rows, capture.top(By::Site, Column::InUse));
            }
            Shown::AtCapture => Column::InUse,
            Shown::AtPeak => Column::Peak,
        };
        let mut rows = capture.rows(By::Site, column);
        rows.retain(|row| row.bytes() != Some(0));
        let top = Top::of_process(&rows);
        (rows, top)
    }
}

/// Sites shown.
const SITES: usize = 8;

/// Processes shown; a server may have hundreds.
const PROCESSES: usize = 6;

/// By how much the parts of a line after the first are indented.
const HANGING: usize = 2;

/// The whole answer.
pub fn of_recording(recorded: &Recorded, folder: &Path, medium: Medium) -> String {
    let Recorded { capture, at_end, going_on, .. } = recorded;
    let recording = capture.recording().expect("the capture was made by a recording");
    let shown = Shown::of(recording);
    let (rows, top) = shown.sites(capture);
    let mut text = String::from("\n");
    let program = recording.program();
    let mut say = |line: &str| wrap(&mut text, line, medium);
    match &recording.attached {
        None => {
            say(&format!(
                "tlsheap: {program} {}; captured {}",
                recording.ended, recording.captured
            ));
        }
        Some(attached) => attached::since(recording, attached).iter().for_each(|line| say(line)),
    }
    if let Some(answer) = account::one_connection(recording) {
        say("");
        say(&answer);
    }
    for line in headline(recording, shown) {
        say(&line);
    }
    if recording.per_connection.is_some() && has_both_ends(&capture.profile) {
        say(
            "It is a client as well as a server: a connection that goes through it, or that it has \
             with itself, has two SSL objects.",
        );
    }
    let after_close = after_close::sentences(capture, recording);
    for line in memory::sentences(recording).iter().chain(&after_close) {
        say(line);
    }
    for line in processes(recording) {
        say(&line);
    }
    for (found, pids) in coverage::openssls(at_end) {
        let version = if found.version.is_empty() { "OpenSSL" } else { &found.version };
        let processes = in_processes(&pids);
        say(&format!("{version} in {}: {}; {processes}", found.object, describe(&found)));
    }
    let others = coverage::others(at_end);
    for (other, pids) in &others {
        say(&format!("{}; {}", describe_other(other), in_processes(pids)));
    }
    if !others.is_empty() {
        say(match recording.heap {
            Some(_) => "(What it asks malloc for is counted with all else: --domain heap of top.)",
            None => "(What it asks malloc for is counted, with all else, by `record --heap`.)",
        });
    }
    for problem in &recording.problems {
        say(&format!("not seen: {problem}"));
    }
    if !going_on.is_empty() {
        let ids: Vec<String> = going_on.iter().map(ToString::to_string).collect();
        say(&format!("still running, and not recorded any more: process {}", ids.join(", ")));
    }
    if !top.rows.is_empty() {
        text += &match shown {
            Shown::PerSslObject => {
                "\nfor each SSL object, less what was there before the first:\n".to_owned()
            }
            Shown::AtCapture => "\nheld at the capture:\n".to_owned(),
            Shown::AtPeak => format!("\nheld {}, in each process:\n", recording.moment_of_peak()),
        };
        let mut options = TableOptions::by(By::Site);
        options.rows = SITES;
        options.medium = medium;
        text += &table::top(&top, &options);
        for line in script_names(&rows, recording) {
            text.push('\n');
            wrap(&mut text, line, medium);
        }
    }
    text += &next_steps(recording, folder, medium);
    text
}

/// Whether handshakes were made on both sides: as a client, and as a server.
fn has_both_ends(profile: &Profile) -> bool {
    let has = |file: &str| {
        let mut leaves = profile.samples().iter().filter_map(|it| profile.frames(it).next());
        leaves.any(|leaf| leaf.file.ends_with(file))
    };
    has("ssl/statem/statem_clnt.c") && has("ssl/statem/statem_srvr.c")
}

/// The processes that something was found in.
fn in_processes(pids: &[u32]) -> String {
    match pids {
        [pid] => format!("process {pid}"),
        [first, more @ ..] => format!("process {first} and {} more", more.len()),
        [] => String::new(),
    }
}

/// What one SSL object costs, where that can be said.
fn headline(recording: &Recording, shown: Shown) -> Vec<String> {
    if recording.processes.is_empty() {
        return vec!["its OpenSSL was never asked for memory: there is nothing to show".to_owned()];
    }
    if let Some(steps) = recording.told_steps() {
        return steps::headline(recording, steps);
    }
    let (Some(cost), Some(live)) = (&recording.per_connection, recording.connections) else {
        return Vec::new();
    };
    let allocations = |cost: &PerSslObject| match cost.allocations {
        Some(each) => format!("{} allocations for each of {} made", rounded(each), cost.made),
        None => "none was made since".to_owned(),
    };
    let held = human(recording.openssl.inuse_bytes as f64);
    match &recording.baseline {
        Some(baseline) if shown == Shown::PerSslObject => vec![
            String::new(),
            format!(
                "One connection (SSL object) costs {} bytes of OpenSSL memory in {} blocks.",
                rounded(cost.bytes),
                one_decimal(cost.blocks),
            ),
            format!(
                "({held} with {live} SSL objects, less {} {:.1} s after the start without any; {})",
                human(baseline.openssl.inuse_bytes as f64),
                baseline.after_seconds,
                allocations(cost),
            ),
            String::new(),
        ],
        _ => vec![
            String::new(),
            format!(
                "One connection (SSL object) costs at most {} bytes of OpenSSL memory in {} \
                 blocks:",
                rounded(cost.bytes),
                one_decimal(cost.blocks),
            ),
            format!(
                "that is all of the {held} divided by {live} SSL objects: their number was too \
                 seldom seen to change, and there was no moment without any to take off.",
            ),
            String::new(),
        ],
    }
}

/// How functions of scripts get names, where some of the sites that are shown lack them.
fn script_names(rows: &[Row], recording: &Recording) -> Vec<&'static str> {
    let stacks = rows.iter().take(SITES).map(|row| row.stack.as_slice());
    let programs = recording.processes.iter().map(|process| process.program.as_str());
    let nameless = nameless(stacks, &programs.collect::<Vec<_>>());
    nameless.into_iter().map(Interpreter::advice).collect()
}

/// A line for each process, those that hold most first.
fn processes(recording: &Recording) -> Vec<String> {
    // Of a whole recording, those without OpenSSL are there too: shells, and what they start.
    let (mut all, without): (Vec<&ProcessRecord>, Vec<&ProcessRecord>) =
        recording.processes.iter().partition(|process| has_openssl(process));
    if all.is_empty() {
        all.clone_from(&without);
    }
    if all.len() > PROCESSES {
        all.sort_by_key(|process| {
            let counts = &process.openssl;
            std::cmp::Reverse((counts.inuse_bytes, counts.peak_bytes))
        });
    }
    let mut lines: Vec<String> = all.iter().take(PROCESSES).flat_map(|one| process(one)).collect();
    if let Some(rest) = all.get(PROCESSES..).filter(|rest| !rest.is_empty()) {
        let held = rest.iter().map(|process| &process.openssl);
        let bytes: u64 = held.clone().map(|counts| counts.inuse_bytes).sum();
        let margin = held.filter_map(in_use_margin).reduce(f64::hypot);
        let lossy = rest.iter().any(|process| {
            let said = losses(&process.recorder);
            !said.starts_with(EXACT) && !said.starts_with(SAMPLED)
        });
        let sampled = rest.iter().any(|it| it.recorder.sampled_every_bytes.is_some());
        lines.push(format!(
            "… and {} more processes, {} in use in them{}",
            rest.len(),
            give_or_take(bytes as f64, margin, human),
            match (lossy, sampled) {
                (true, _) => "; not all recorded exactly, see run.json",
                (false, true) => ", estimated from samples, see run.json",
                (false, false) => ", recorded exactly",
            },
        ));
    }
    if !without.is_empty() && all.iter().all(|process| has_openssl(process)) {
        lines.push(without_openssl(&without));
    }
    lines
}

/// Whether there is an OpenSSL in it that was found, or that was asked for memory.
fn has_openssl(process: &ProcessRecord) -> bool {
    process.openssl_at_end.alloc_blocks > 0 || !process.openssls.is_empty()
}

/// The processes without an OpenSSL.
fn without_openssl(processes: &[&ProcessRecord]) -> String {
    let programs: BTreeSet<&str> = processes.iter().map(|it| short(&it.program)).collect();
    let more = if programs.len() > PROGRAMS { ", …" } else { "" };
    let named: Vec<&str> = programs.into_iter().take(PROGRAMS).collect();
    let is_exact = processes.iter().all(|it| losses(&it.recorder).starts_with(EXACT));
    format!(
        "{} {} without OpenSSL ({}{more}){}",
        processes.len(),
        if processes.len() == 1 { "more process" } else { "more processes" },
        named.join(", "),
        if is_exact { ", recorded exactly" } else { "; not all recorded exactly, see run.json" },
    )
}

/// Programs named of those without OpenSSL.
const PROGRAMS: usize = 3;

/// The program's name without its folder.
fn short(program: &str) -> &str {
    program.rsplit('/').next().unwrap_or_default()
}

/// How [`losses`] begins when there are none.
const EXACT: &str = "recorded exactly";
/// How [`losses`] begins in a sampled recording.
const SAMPLED: &str = "sampled every";

/// Of a process that had ended nothing is in use: that is no estimate.
fn in_use_margin(counts: &CountsRecord) -> Option<f64> {
    counts.inuse_bytes_margin().filter(|_| counts.inuse_bytes > 0)
}

fn process(process: &ProcessRecord) -> Vec<String> {
    let counts = &process.openssl;
    let name = short(&process.program);
    let off = counts.interval95;
    let say = |figure: u64, ends: Option<Ends>, say: fn(f64) -> String| {
        give_or_take(figure as f64, margin(figure as f64, ends), say)
    };
    let now = off.filter(|_| counts.inuse_bytes > 0);
    let mut lines = vec![format!(
        "process {} {name}: {} in use in {} blocks, {} at the highest, {} allocations",
        process.pid,
        give_or_take(counts.inuse_bytes as f64, in_use_margin(counts), human),
        say(counts.inuse_blocks, now.and_then(|off| off.inuse_blocks), rounded),
        say(counts.peak_bytes, off.and_then(|off| off.peak_bytes), human),
        say(counts.alloc_blocks, off.and_then(|off| off.alloc_blocks), rounded),
    )];
    if let Some(parent) = process.forked_from {
        let inherited = &process.inherited;
        let bytes = say(inherited.bytes, inherited.bytes_interval95, human);
        // Blocks have no interval where they are estimates, and are not said.
        let blocks = match inherited.bytes_interval95 {
            None => format!(" in {} blocks", exact(inherited.blocks as i64)),
            Some(_) => String::new(),
        };
        lines.push(format!("  forked from {parent}, and has {bytes}{blocks} from there"));
    }
    lines.push(format!("  {}", losses(&process.recorder).trim_end()));
    if process.broken_stacks > 0 {
        lines.push(format!(
            "  {} of {} sites have stacks that end early: no unwind tables there",
            process.broken_stacks, process.recorder.sites
        ));
    }
    lines
}

fn next_steps(recording: &Recording, folder: &Path, medium: Medium) -> String {
    let folder = folder.display().to_string();
    let folder = harmless(&folder);
    let mut files = String::from("heap.pb.gz (all processes), one profile for each");
    if recording.baseline.is_some() {
        files += ", baseline.pb.gz";
    }
    if recording.series > 0 {
        files += &format!(", series ({} captures)", recording.series);
    }
    let mut text = String::from("\n");
    wrap(
        &mut text,
        &format!("in {folder}: {files}, flame.svg, timeline.svg, timeline.csv, run.json"),
        medium,
    );
    text += &format!(
        "next:\n  tlsheap diagnose {folder}\n  tlsheap top {folder} --by category\n  \
         tlsheap report {folder}\n"
    );
    if let [first, _, ..] = &recording.processes[..] {
        text += &format!("  tlsheap top {folder} --process {}\n", first.pid);
    }
    text
}

/// Adds a line, broken at blanks where it is too long. The parts after the first are indented.
fn wrap(text: &mut String, line: &str, medium: Medium) {
    let words = line.trim_start();
    let wrapped = wrapped(words, line.len() - words.len() + HANGING, medium);
    *text += wrapped.get(HANGING..).unwrap_or_default();
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(line: &str) -> String {
        let mut text = String::new();
        wrap(&mut text, line, Medium::PLAIN);
        text
    }

    #[test]
    fn long_lines_are_broken_at_blanks_and_short_ones_are_not() {
        assert_eq!(line("short line"), "short line\n");
        assert_eq!(line(""), "\n");
        let words = ["twelve-chars"; 10].join(" ");
        let (first, second) = (["twelve-chars"; 7].join(" "), ["twelve-chars"; 3].join(" "));
        assert_eq!(line(&words), format!("{first}\n  {second}\n"));
        let long = "x".repeat(150);
        assert_eq!(line(&format!("  {long}")), format!("  {long}\n"));
    }
}
