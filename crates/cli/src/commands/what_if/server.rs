//! Fixes of the reference server: changed configurations, each in a fresh server.

use std::path::Path;

use echo_server::Configuration;

use crate::commands::compare::figures::Figures;
use crate::commands::compare::{Subject, capture, draw_step, progress, rates, step_name};
use crate::commands::diagnose::Examined;
use crate::commands::what_if::outcome::{Cost, Outcome, Tried};
use crate::commands::what_if::{AS_IT_IS, Options, WHAT_IF, fix};
use crate::failure::Failure;
use crate::run_folder::NewFolder;
use crate::whole_file;

/// Measures the configuration and each of its fixes into the folder at `path`.
pub fn measure(options: &Options, path: &Path) -> Result<Outcome, Failure> {
    let configuration = Configuration::find(&options.config)?;
    load::fd_limit::make_room_for(options.workload.connections, options.workload.warm_up)?;
    let folder = NewFolder::prepare(path)?;

    let mut subjects = vec![subject(&configuration, AS_IT_IS, &folder)?];
    let mut applied = Vec::new();
    let mut tried = Vec::new();
    for fix in options.wanted() {
        match fix::apply(fix, &configuration) {
            Ok(fixed) => {
                subjects.push(subject(&fixed, fix.name(), &folder)?);
                applied.push(fix);
            }
            Err(reason) => tried.push(Tried::not_applied(fix, reason)),
        }
    }
    let costs = costs(options, &subjects, &folder)?;
    let (as_it_is, fixed) = costs.split_first().expect("the first subject has its cost");
    let run = folder.file(AS_IT_IS);
    let diagnosis = Examined::open(std::slice::from_ref(&run))?.diagnosis;
    for (fix, (cost, _)) in applied.iter().zip(fixed) {
        draw_step(&folder, AS_IT_IS, fix.name())?;
        let flamegraph = step_name(AS_IT_IS, fix.name());
        tried.push(Tried::applied(*fix, &as_it_is.0, cost.clone(), &diagnosis, flamegraph));
    }
    let outcome =
        Outcome::new(configuration.name, as_it_is.0.clone(), tried, as_it_is.1.versions.clone());
    let mut json = serde_json::to_vec_pretty(&outcome)?;
    json.push(b'\n');
    whole_file::write(&folder.file(WHAT_IF), &json)?;
    folder.finish()?;
    Ok(outcome)
}

/// What each subject costs: memory with the recorder, handshakes without it.
fn costs(
    options: &Options,
    subjects: &[Subject],
    folder: &NewFolder,
) -> Result<Vec<(Cost, Figures)>, Failure> {
    let workload = &options.workload;
    let progress = progress(subjects.len() * (1 + workload.repeat));
    let mut runs = Vec::new();
    for subject in subjects {
        let name = &subject.configuration.name;
        progress.set_message(format!("{name}: {} connections", workload.connections));
        runs.push(capture(workload, subject, &folder.file(name))?);
        progress.inc(1);
    }
    let rates = rates(workload, subjects, folder, &progress)?;
    progress.finish_and_clear();
    let figures = runs.iter().zip(subjects).zip(&rates).map(|((done, subject), rates)| {
        let figures = Figures::new(&subject.configuration, done, rates, None);
        (Cost::from(&figures), figures)
    });
    Ok(figures.collect())
}

/// A configuration under the name of its fix, in a file that server processes read.
fn subject(
    configuration: &Configuration,
    name: &str,
    folder: &NewFolder,
) -> Result<Subject, Failure> {
    let mut configuration = configuration.clone();
    name.clone_into(&mut configuration.name);
    let path = folder.file(&format!("{name}.toml"));
    whole_file::write(&path, configuration.to_toml().as_bytes())?;
    let given = path
        .to_str()
        .ok_or_else(|| Failure::usage("the output folder is not UTF-8: choose another with --out"))?
        .to_owned();
    Ok(Subject { given, configuration })
}
