//! Fixes of the reference server: changed configurations, each in a fresh server.

use std::path::Path;

use capture::records::what_if::{Cost, Tried, WhatIf};
use contract::Fix;
use echo_server::Configuration;

use super::{AS_IT_IS, Tested, applied, diagnosis_of, fix};
use crate::compare::{capture, figures, rates};
use crate::{FrontEnd, TrialError, Workload};

/// Measures the configuration, and once more with each of the fixes that can be applied to it.
/// `folder` takes the files of each run while it lasts.
pub fn of_server(
    configuration: &Configuration,
    fixes: &[Fix],
    workload: &Workload,
    front_end: &FrontEnd<'_>,
    folder: &Path,
) -> Result<Tested, TrialError> {
    load::fd_limit::make_room_for(workload.connections, workload.warm_up)?;
    let mut configurations = vec![named(configuration.clone(), AS_IT_IS)];
    let mut possible = Vec::new();
    let mut tried = Vec::new();
    for fix in fixes {
        match fix::apply(*fix, configuration) {
            Ok(changed) => {
                configurations.push(named(changed, fix.name()));
                possible.push(*fix);
            }
            Err(reason) => tried.push(Tried::not_applied(fix.name(), reason)),
        }
    }
    front_end.progress.steps(configurations.len() * (1 + workload.repeat));
    let captures = configurations
        .iter()
        .map(|configuration| capture(workload, configuration, front_end, folder))
        .collect::<Result<Vec<_>, _>>()?;
    let rates = rates(workload, &configurations, front_end, folder)?;
    let found = captures.iter().zip(&configurations).zip(&rates);
    let figures = found
        .map(|((capture, configuration), rates)| figures(configuration, capture, rates, None))
        .collect::<Result<Vec<_>, _>>()?;
    let (first, others) = figures.split_first().expect("the first is measured as it is");
    let as_it_is = Cost::from(first);
    let diagnosis = diagnosis_of(&captures[0])?;
    for (fix, figures) in possible.into_iter().zip(others) {
        tried.push(applied(fix, &as_it_is, Cost::from(figures), &diagnosis));
    }
    let what_if = WhatIf::new(
        configuration.name.clone(),
        as_it_is,
        tried,
        first.versions.clone(),
        front_end.command.clone(),
    );
    Ok(Tested { what_if, captures, configurations })
}

/// A configuration under the name of its fix.
fn named(mut configuration: Configuration, name: &str) -> Configuration {
    name.clone_into(&mut configuration.name);
    configuration
}
