//! How much was seen; and when it was nothing, why.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::Path;
use std::sync::Arc;

use contract::NO_LEDGER;
use ledger::{Coverage, Found, Other, Snapshot};

use crate::found::{describe, describe_other};
use crate::processes::{Process, Processes};
use crate::program_file;

/// Some OpenSSL in some process was recorded, whether it allocated or not.
pub fn anything_recorded(processes: &Processes) -> bool {
    let recorded = |found: &Found| found.outcome.is_recorded();
    processes.recorded().next().is_some()
        || processes.all.iter().any(|process| process.coverage.openssls.iter().any(recorded))
}

/// Why nothing was counted although there was something to count, as the end of a sentence: there
/// was no ledger, or no room for one. `None` when something was, or nothing was asked for. `full`:
/// there is no room left where the ledgers are.
pub fn nothing(processes: &Processes, full: bool) -> Option<String> {
    let mut ledgers = processes.recorded().map(|(_, ledger, _)| ledger);
    if ledgers.any(|ledger| ledger.totals().alloc_blocks > 0) {
        return None;
    }
    let all = problems(processes);
    let without = all.iter().find(|problem| problem.contains(NO_LEDGER) || is_uncounted(problem));
    without.cloned().or_else(|| {
        full.then(|| "there is no room left for ledgers on the device (ENOSPC)".to_owned())
    })
}

/// Every OpenSSL that was found, with the processes it was found in. Numbers, which each process
/// gives for itself, are left out.
pub fn openssls(processes: &Processes) -> BTreeMap<Found, Vec<u32>> {
    let mut found: BTreeMap<Found, Vec<u32>> = BTreeMap::new();
    for process in &processes.all {
        for openssl in &process.coverage.openssls {
            let pids = found.entry(Found { number: None, ..openssl.clone() }).or_default();
            if !pids.contains(&process.coverage.pid) {
                pids.push(process.coverage.pid);
            }
        }
    }
    found
}

/// Every other TLS library that was found, with the processes it was found in.
pub fn others(processes: &Processes) -> BTreeMap<Other, Vec<u32>> {
    let mut found: BTreeMap<Other, Vec<u32>> = BTreeMap::new();
    for Process { coverage, .. } in &processes.all {
        for other in &coverage.others {
            let pids = found.entry(other.clone()).or_default();
            if !pids.contains(&coverage.pid) {
                pids.push(coverage.pid);
            }
        }
    }
    found
}

/// What went wrong in the processes, in sentences.
pub fn problems(processes: &Processes) -> Vec<String> {
    let mut sentences = processes.problems.clone();
    for process in &processes.all {
        let coverage = &process.coverage;
        for problem in &coverage.problems {
            sentences.push(format!("process {} ({}): {problem}", coverage.pid, coverage.program));
        }
    }
    sentences.extend(sandboxes(processes));
    sentences.extend(processes.recorded().filter_map(unrecorded_children));
    sentences.extend(processes.recorded().filter_map(uncounted));
    sentences.sort();
    sentences.dedup();
    sentences
}

/// What cannot be seen behind the system-call filters of recorded processes, in a sentence.
fn sandboxes(processes: &Processes) -> Option<String> {
    let mut shut_in = processes.recorded().filter(|(_, ledger, _)| ledger.statistics.sandboxed);
    let (_, _, first) = shut_in.next()?;
    let more = match shut_in.count() {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    Some(format!(
        "process {} ({}){more} put up a system-call filter (seccomp): from then on, libraries it \
         loads and processes it forks are not recorded, and of threads that come into OpenSSL for \
         the first time the innermost frame only",
        first.pid, first.program
    ))
}

/// Children that had no way to make a ledger.
fn unrecorded_children(
    (_, ledger, coverage): (&Path, &Arc<Snapshot>, &Coverage),
) -> Option<String> {
    let children = match ledger.statistics.unrecorded_children {
        0 => return None,
        1 => "1 process".to_owned(),
        more => format!("{more} processes"),
    };
    Some(format!(
        "{children} forked from process {} ({}): no ledger could be made there, behind another \
         root directory, a system-call filter or a limit",
        coverage.pid, coverage.program
    ))
}

/// A process whose ledger has taken nothing of what there was to count.
fn uncounted((_, ledger, coverage): (&Path, &Arc<Snapshot>, &Coverage)) -> Option<String> {
    let lost = ledger.statistics.untracked_blocks;
    (lost > 0 && ledger.totals().alloc_blocks == 0).then(|| {
        format!(
            "process {} ({}){UNCOUNTED}{lost} allocations: there was no room left on the device \
             with the ledgers (ENOSPC), or the process may not have as much memory",
            ledger.pid, coverage.program
        )
    })
}

const UNCOUNTED: &str = " counted none of its ";

fn is_uncounted(problem: &str) -> bool {
    problem.contains(UNCOUNTED)
}

/// Other TLS libraries that are named where nothing was recorded.
const OTHERS: usize = 3;

/// Why nothing was recorded, and what would help.
pub fn why_nothing(processes: &Processes, pid: u32, program: &OsStr) -> String {
    let shown = program.display();
    let problems = problems(processes);
    if let Some(first) = problems.first() {
        return first.clone();
    }
    if let Some((found, _)) = openssls(processes).into_iter().next() {
        return format!("the OpenSSL in {}: {}", found.object, describe(&found));
    }
    let others: Vec<String> = others(processes).keys().map(describe_other).take(OTHERS).collect();
    if !others.is_empty() {
        return others.join("; ");
    }
    if processes.all.iter().any(|process| process.coverage.pid == pid) {
        return format!(
            "no OpenSSL was found in {shown}, nor in what it loaded, and no other TLS library that \
             tlsheap knows"
        );
    }
    match program_file::on_path(program).as_deref().map(program_file::obstacle) {
        Some(Some(obstacle)) => format!("{shown} {obstacle}"),
        _ => format!(
            "{shown} did not load the recorder's library: it may have been started with another \
             environment, may not write files, or may be built for another C library or processor"
        ),
    }
}
