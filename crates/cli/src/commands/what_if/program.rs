//! Fixes of a program that nobody rebuilt, applied from outside by the library that `record`
//! preloads.

use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use indicatif::ProgressBar;

use crate::commands::compare::{draw_step, progress, step_name};
use crate::commands::what_if::fix::{self, Fix};
use crate::commands::what_if::outcome::{Cost, Outcome, Tried};
use crate::commands::what_if::recording::{Recorded, Start, record};
use crate::commands::what_if::{AS_IT_IS, Options, WHAT_IF, rates};
use crate::failure::Failure;
use crate::run_folder::NewFolder;
use crate::whole_file;

/// A recording looks twenty times a second, on a busy machine less often: what is left of the
/// warm-up has to be seen in the pause behind it.
const WARM: [Start; 2] = [Start::Warm(Duration::from_secs(1)), Start::Warm(Duration::from_secs(5))];

/// Records the program as it is and with each fix into the folder at `path`.
pub fn measure(options: &Options, path: &Path) -> Result<Outcome, Failure> {
    let wanted = options.wanted();
    let (reachable, others): (Vec<Fix>, Vec<Fix>) =
        wanted.into_iter().partition(|fix| fix.reaches_from_outside());
    let rounds = if options.port.is_some() { options.workload.repeat } else { 0 };
    let progress = progress((1 + reachable.len()) * (1 + rounds));
    let folder = NewFolder::prepare(path)?;
    let warm: &[Start] =
        if options.port.is_some() && options.workload.warm_up > 0 { &WARM } else { &[] };
    let mut all = None;
    for start in warm.iter().chain([&Start::Cold]) {
        all = record_all(options, &reachable, *start, &folder, &progress)?;
        if all.is_some() {
            break;
        }
    }
    let (mut before, recorded) = all.context("a cold start leaves nothing behind")?;

    let mut applied = Vec::new();
    let mut tried = Vec::new();
    for (fix, recorded) in reachable.into_iter().zip(recorded) {
        match recorded.reached.not_applied() {
            Some(why) => tried.push(Tried::not_applied(fix, &why)),
            None => applied.push((fix, recorded)),
        }
    }
    for fix in others {
        if let Err(reason) = fix::reaches_from_outside(fix) {
            tried.push(Tried::not_applied(fix, reason));
        }
    }

    let subjects: Vec<Option<Fix>> =
        std::iter::once(None).chain(applied.iter().map(|(fix, _)| Some(*fix))).collect();
    let mut rates = rates::measure(options, &subjects, &progress)?.into_iter();
    before.cost.set_rates(&rates.next().unwrap_or_default());
    for ((fix, mut recorded), rates) in applied.into_iter().zip(rates) {
        let effect = without_effect(fix, &before, &recorded);
        recorded.cost.set_rates(&rates);
        draw_step(&folder, AS_IT_IS, fix.name())?;
        let picture = step_name(AS_IT_IS, fix.name());
        let mut one = Tried::applied(fix, &before.cost, recorded.cost, &before.found, picture);
        one.remarks.extend(recorded.reached.missed().into_iter().chain(effect));
        one.reached = recorded.reached.applied;
        tried.push(one);
    }
    progress.finish_and_clear();
    let command: Vec<String> =
        options.command.iter().map(|word| word.to_string_lossy().into_owned()).collect();
    let outcome = Outcome::new(command.join(" "), before.cost, tried, None);
    let mut json = serde_json::to_vec_pretty(&outcome)?;
    json.push(b'\n');
    whole_file::write(&folder.file(WHAT_IF), &json)?;
    folder.finish()?;
    Ok(outcome)
}

/// Records the program as it is and with each fix. `None` when connections of a warm start were
/// still there at their end: Python, for example, frees what is garbage in a circle some time
/// later, and figures with such connections in some recordings and not in others do not compare.
fn record_all(
    options: &Options,
    fixes: &[Fix],
    start: Start,
    folder: &NewFolder,
    progress: &ProgressBar,
) -> Result<Option<(Recorded, Vec<Recorded>)>, Failure> {
    progress.reset();
    let mut all = Vec::new();
    let subjects = std::iter::once(None).chain(fixes.iter().copied().map(Some));
    for fix in subjects {
        let name = fix.map_or(AS_IT_IS, Fix::name);
        progress.set_message(name);
        let out = folder.file(name);
        if out.exists() {
            std::fs::remove_dir_all(&out)?;
        }
        let recorded = record(options, name, fix, start, folder)?;
        if start != Start::Cold && !recorded.was_clean {
            return Ok(None);
        }
        all.push(recorded);
        progress.inc(1);
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
    let same = all.is_empty() && is_same(&before.cost, &with_fix.cost);
    same.then(|| {
        "changes nothing: the program sets it differently afterwards, or idle connections hold \
         nothing that it makes smaller"
            .to_owned()
    })
}

/// Neither memory nor allocations differ by more than chance.
fn is_same(before: &Cost, with_fix: &Cost) -> bool {
    let near = |old: Option<f64>, new: Option<f64>, most: f64| {
        old.zip(new).is_some_and(|(old, new)| (old - new).abs() <= most)
    };
    near(before.bytes_per_connection, with_fix.bytes_per_connection, 16.0)
        && near(before.allocs_per_handshake, with_fix.allocs_per_handshake, 10.0)
}
