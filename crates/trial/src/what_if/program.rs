//! Fixes of a program that nobody rebuilt, applied from outside by the library that a recording
//! preloads.

use std::ffi::OsString;
use std::path::Path;
use std::time::Duration;

use analysis::cost::{BeforeAndAfter, is_same};
use capture::records::what_if::{Cost, Tried, WhatIf};
use contract::Fix;
use load::Conversation;

use super::recording::{Recorded, Start, record};
use super::{AS_IT_IS, Tested, applied, fix, rates, set_rates};
use crate::{FrontEnd, TrialError, Workload};

/// A program, and the load on it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Program {
    /// The program and its arguments.
    pub command: Vec<OsString>,
    /// The load; without one nothing can be measured.
    pub load: Option<LoadOn>,
    /// How long its connections may take to come to rest. Default: 60 seconds.
    pub patience: Duration,
}

/// What is put on a program.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum LoadOn {
    /// Our clients, on this port of this machine.
    Port {
        /// The port on which the program listens.
        port: u16,
        /// What is said on each connection.
        conversation: Conversation,
    },
    /// A shell command that is started with the program, and keeps connections open until it is
    /// ended.
    Command(String),
}

impl Program {
    /// This command, without a load.
    pub fn of(command: Vec<OsString>) -> Program {
        Program { command, load: None, patience: Duration::from_secs(60) }
    }

    /// The port, where our clients are the load.
    pub(super) fn port(&self) -> Option<u16> {
        match &self.load {
            Some(LoadOn::Port { port, .. }) => Some(*port),
            _ => None,
        }
    }
}

/// A recording looks twenty times a second, on a busy machine less often: what is left of the
/// warm-up has to be seen in the pause behind it.
const WARM: [Start; 2] = [Start::Warm(Duration::from_secs(1)), Start::Warm(Duration::from_secs(5))];

/// Records the program as it is, and once more with each of the fixes. What the program says goes
/// to files in `folder`, one for each recording.
pub fn of_program(
    program: &Program,
    fixes: &[Fix],
    workload: &Workload,
    front_end: &FrontEnd<'_>,
    folder: &Path,
) -> Result<Tested, TrialError> {
    let (reachable, others): (Vec<Fix>, Vec<Fix>) =
        fixes.iter().partition(|fix| fix::reaches_from_outside(**fix).is_ok());
    let ours = program.port().is_some();
    let rounds = if ours { workload.repeat } else { 0 };
    let warm: &[Start] = if ours && workload.warm_up > 0 { &WARM } else { &[] };
    let mut all = None;
    for start in warm.iter().chain([&Start::Cold]) {
        front_end.progress.steps((1 + reachable.len()) * (1 + rounds));
        all = record_all(program, workload, &reachable, *start, front_end, folder)?;
        if all.is_some() {
            break;
        }
    }
    let (mut before, recorded) = all.expect("a cold start leaves nothing behind");

    let mut with_effect = Vec::new();
    let mut without = Vec::new();
    let mut tried = Vec::new();
    for (fix, recorded) in reachable.into_iter().zip(recorded) {
        match recorded.reached.not_applied() {
            Some(why) => {
                tried.push(Tried::not_applied(fix.name(), &why));
                without.push(recorded.capture);
            }
            None => with_effect.push((fix, recorded)),
        }
    }
    for fix in others {
        if let Err(reason) = fix::reaches_from_outside(fix) {
            tried.push(Tried::not_applied(fix.name(), reason));
        }
    }

    let subjects: Vec<Option<Fix>> =
        std::iter::once(None).chain(with_effect.iter().map(|(fix, _)| Some(*fix))).collect();
    let mut rates = rates::measure(program, workload, &subjects, front_end)?.into_iter();
    set_rates(&mut before.cost, &rates.next().unwrap_or_default());
    let mut captures = vec![before.capture.clone()];
    for ((fix, mut recorded), rates) in with_effect.into_iter().zip(rates) {
        let effect = without_effect(fix, &before, &recorded);
        set_rates(&mut recorded.cost, &rates);
        let mut one = applied(fix, &before.cost, recorded.cost, &before.found);
        one.remarks.extend(recorded.reached.missed().into_iter().chain(effect));
        one.reached = recorded.reached.applied;
        tried.push(one);
        captures.push(recorded.capture);
    }
    captures.extend(without);
    let words: Vec<_> = program.command.iter().map(|word| word.to_string_lossy()).collect();
    let command = front_end.command.clone();
    let what_if = WhatIf::new(words.join(" "), before.cost, tried, None, command);
    Ok(Tested { what_if, captures, configurations: Vec::new() })
}

/// Records the program as it is and with each fix. `None` when connections of a warm start were
/// still there at their end: Python, for example, frees what is garbage in a circle some time
/// later, and figures with such connections in some recordings and not in others do not compare.
fn record_all(
    program: &Program,
    workload: &Workload,
    fixes: &[Fix],
    start: Start,
    front_end: &FrontEnd<'_>,
    folder: &Path,
) -> Result<Option<(Recorded, Vec<Recorded>)>, TrialError> {
    let mut all = Vec::new();
    let subjects = std::iter::once(None).chain(fixes.iter().copied().map(Some));
    for fix in subjects {
        front_end.progress.now(fix.map_or(AS_IT_IS, Fix::name));
        let recorded = record(program, workload, fix, start, front_end, folder)?;
        if start != Start::Cold && !recorded.was_clean {
            return Ok(None);
        }
        all.push(recorded);
        front_end.progress.step_done();
    }
    let with_fixes = all.split_off(1);
    Ok(all.pop().map(|as_it_is| (as_it_is, with_fixes)))
}

/// What is to be said of a fix that changes nothing: the program does so by itself, or undoes it.
fn without_effect(fix: Fix, before: &Recorded, with_fix: &Recorded) -> Option<String> {
    let has = |recorded: &Recorded, id: &str| {
        recorded.found.findings.iter().any(|finding| finding.rule.id == id)
    };
    let all = fix::findings(fix);
    let found: Vec<&str> = all.iter().copied().filter(|id| has(before, id)).collect();
    let left: Vec<&str> = found.iter().copied().filter(|id| has(with_fix, id)).collect();
    if !left.is_empty() {
        return Some(format!(
            "still there with it: {}. The program sets it differently afterwards, or has made \
             these connections in a way that is not reached",
            left.join(", ")
        ));
    }
    if !all.is_empty() && found.is_empty() {
        let what = all.join(" or ");
        return Some(format!(
            "nothing to remove: `tlsheap diagnose` does not find {what} in the program as it is"
        ));
    }
    if fix.variable().is_some() {
        return is_same_size(&before.cost, &with_fix.cost).then(|| {
            "changes nothing that is more than chance: the program's memory is as large with it"
                .to_owned()
        });
    }
    let same = all.is_empty() && is_same_cost(&before.cost, &with_fix.cost);
    same.then(|| {
        "changes nothing: the program sets it differently afterwards, or idle connections hold \
         nothing that it makes smaller"
            .to_owned()
    })
}

/// Resident memory differs by less than one part in so many, as it does from run to run.
fn is_same_size(before: &Cost, with_fix: &Cost) -> bool {
    const PARTS: u64 = 50;
    before
        .resident_bytes
        .zip(with_fix.resident_bytes)
        .is_some_and(|(before, after)| before.abs_diff(after).saturating_mul(PARTS) <= before)
}

/// Neither memory nor allocations differ by more than chance.
fn is_same_cost(before: &Cost, with_fix: &Cost) -> bool {
    let pair =
        |of: fn(&Cost) -> Option<f64>| BeforeAndAfter { before: of(before), after: of(with_fix) };
    is_same(pair(|cost| cost.bytes_per_connection), pair(|cost| cost.allocs_per_handshake))
}
