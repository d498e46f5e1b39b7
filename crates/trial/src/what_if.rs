//! Fixes tried one by one, on the reference server or on a program that nobody rebuilt: what each
//! really saves, and what it costs.

mod fix;
mod process;
mod program;
mod rates;
mod reached;
mod recording;
mod server;

use analysis::diagnosis::Diagnosis;
use analysis::repetition::{median, spread};
use capture::folder::step_name;
use capture::records::what_if::{Cost, Tried, WhatIf};
use capture::{Capture, Examined};
use contract::Fix;
use echo_server::Configuration;

use crate::TrialError;

/// The name of the capture without any fix.
pub use capture::folder::AS_IT_IS;
pub use program::{LoadOn, Program, of_program};
pub use server::of_server;

/// Fixes that were tried.
#[derive(Debug)]
#[non_exhaustive]
pub struct Tested {
    /// The figures.
    pub what_if: WhatIf,
    /// The captures, [`AS_IT_IS`] first, the others under the names of their fixes.
    pub captures: Vec<Capture>,
    /// The reference server's configurations, as they were measured; none of a program.
    pub configurations: Vec<Configuration>,
}

/// What was found of the subject without any fix.
fn diagnosis_of(as_it_is: &Capture) -> Result<Diagnosis, TrialError> {
    Ok(Examined::of(&as_it_is.clone().part(None)?)?.diagnosis)
}

/// A fix that was applied, compared with the capture without it.
fn applied(fix: Fix, as_it_is: &Cost, cost: Cost, diagnosis: &Diagnosis) -> Tried {
    let before = as_it_is.bytes_per_connection;
    Tried {
        name: fix.name().to_owned(),
        not_applied: None,
        predicted_bytes_per_connection: predicted(fix, diagnosis),
        saved_bytes_per_connection: before
            .zip(cost.bytes_per_connection)
            .map(|(before, after)| before - after),
        predicted_resident_bytes: predicted_of_all(fix, diagnosis),
        saved_resident_bytes: as_it_is
            .resident_bytes
            .zip(cost.resident_bytes)
            .map(|(before, after)| before as f64 - after as f64),
        cost: Some(cost),
        flamegraph: Some(step_name(AS_IT_IS, fix.name())),
        reached: Vec::new(),
        remarks: Vec::new(),
    }
}

/// What the findings that a fix removes say that it saves while connections are open.
fn predicted(fix: Fix, diagnosis: &Diagnosis) -> Option<f64> {
    let removed = diagnosis
        .findings
        .iter()
        .filter(|finding| fix::findings(fix).contains(&finding.rule.id))
        .filter_map(|finding| finding.at_rest_per_connection);
    removed.reduce(|sum, bytes| sum + bytes)
}

/// What the findings about the whole program's memory that a fix removes say that it saves.
fn predicted_of_all(fix: Fix, diagnosis: &Diagnosis) -> Option<f64> {
    let removed = diagnosis
        .findings
        .iter()
        .filter(|finding| finding.rule.is_about_others())
        .filter(|finding| fix::findings(fix).contains(&finding.rule.id))
        .map(|finding| finding.bytes_total as f64);
    removed.reduce(|sum, bytes| sum + bytes)
}

/// Adds the handshakes per second of each round.
fn set_rates(cost: &mut Cost, rates: &[f64]) {
    cost.handshakes_per_second = median(rates);
    cost.handshakes_per_second_spread = spread(rates);
}
