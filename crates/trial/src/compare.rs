//! A comparison: the same load on each configuration, in fresh processes.

mod bare_server;
mod figures;

use std::path::Path;

use capture::Capture;
use capture::records::comparison::Comparison;
use echo_server::Configuration;

use crate::front_end::OneStep;
use crate::run::{self, Options};
use crate::{FrontEnd, TrialError, Workload, scale};

pub(crate) use bare_server::handshakes;
pub(crate) use figures::figures;

/// A comparison that was made.
#[derive(Debug)]
#[non_exhaustive]
pub struct Compared {
    /// The figures.
    pub comparison: Comparison,
    /// The run of each configuration, in the same order.
    pub captures: Vec<Capture>,
}

/// Measures each of these configurations, which have different names, and at each of the numbers
/// of connections in `scale` too. `folder` takes the files of each run while it lasts.
pub fn compare(
    configurations: &[Configuration],
    workload: &Workload,
    scale: &[usize],
    front_end: &FrontEnd<'_>,
    folder: &Path,
) -> Result<Compared, TrialError> {
    check(configurations)?;
    scale::check(scale)?;
    load::fd_limit::make_room_for(workload.connections, workload.warm_up)?;
    front_end.progress.steps(configurations.len() * (1 + scale.len() + workload.repeat));
    let mut captures = Vec::new();
    let mut slopes = Vec::new();
    for configuration in configurations {
        captures.push(capture(workload, configuration, front_end, folder)?);
        let template = template(workload, configuration);
        slopes.push(scale::measure(&template, scale, front_end, folder)?);
    }
    let rates = rates(workload, configurations, front_end, folder)?;
    let found = captures.iter().zip(configurations).zip(&rates).zip(slopes);
    let figures = found
        .map(|(((capture, configuration), rates), slopes)| {
            figures(configuration, capture, rates, slopes)
        })
        .collect::<Result<_, _>>()?;
    let comparison = Comparison::new(figures, front_end.command.clone());
    Ok(Compared { comparison, captures })
}

/// Says which configurations cannot be compared, before anything is started.
pub fn check(configurations: &[Configuration]) -> Result<(), TrialError> {
    for (at, one) in configurations.iter().enumerate() {
        if configurations[..at].iter().any(|other| other.name == one.name) {
            return Err(TrialError::Refused(format!(
                "the configuration {} is named twice: each has a folder of its own name",
                one.name
            )));
        }
    }
    Ok(())
}

/// How each configuration is run.
fn template(workload: &Workload, configuration: &Configuration) -> Options {
    Options {
        connections: workload.connections,
        interval: Some(workload.interval),
        hold: workload.hold,
        warm_up: workload.warm_up,
        ..Options::of(configuration.clone())
    }
}

/// One profiled run.
pub(crate) fn capture(
    workload: &Workload,
    configuration: &Configuration,
    front_end: &FrontEnd<'_>,
    folder: &Path,
) -> Result<Capture, TrialError> {
    let name = &configuration.name;
    front_end.progress.now(&format!("{name}: {} connections", workload.connections));
    let quiet = OneStep(front_end.progress);
    let run = run::run(&template(workload, configuration), &front_end.telling(&quiet), folder)?;
    let capture = run.ended_well(front_end)?;
    front_end.progress.step_done();
    Ok(capture)
}

/// What the rounds without the recorder found, one value each.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rates {
    pub handshakes_per_second: Vec<f64>,
    pub server_cpu_us: Vec<f64>,
    pub rss_per_connection: Vec<f64>,
}

/// Rates and resident memory without the recorder: one round over all configurations after the
/// other, so that a machine that grows slower does so for all of them.
pub(crate) fn rates(
    workload: &Workload,
    configurations: &[Configuration],
    front_end: &FrontEnd<'_>,
    folder: &Path,
) -> Result<Vec<Rates>, TrialError> {
    let mut rates = vec![Rates::default(); configurations.len()];
    for round in 1..=workload.repeat {
        for (configuration, rates) in configurations.iter().zip(&mut rates) {
            let name = &configuration.name;
            front_end.progress.now(&format!("{name}: handshakes, round {round}"));
            bare_server::measure(workload, configuration, front_end, folder, rates)?;
            front_end.progress.step_done();
        }
    }
    Ok(rates)
}
