//! `tlsheap compare`: the same load on each configuration, in fresh processes.

pub mod bare_server;
pub mod figures;
mod table;

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, ValueEnum};
use echo_server::Configuration;
use echo_server::configuration::{staircase, standard_names};
use report::differential::{DifferentialOptions, Ratio, SideOf, differential};

use crate::arguments::connections;
use crate::capture::Capture;
use crate::commands::compare::bare_server::Rates;
use crate::commands::compare::figures::{Comparison, Figures};
use crate::commands::report::{REPORT, page_of};
use crate::commands::run::{self, Done};
use crate::failure::Failure;
use crate::run_folder::{self, NewFolder};
use crate::workload::Workload;
use crate::{output, scale, whole_file};

/// The comparison's figures.
pub const COMPARISON: &str = "compare.json";

#[derive(Debug, Args)]
pub struct Options {
    /// Standard configurations, or paths of TOML files; without any, the staircase of 2011
    #[arg(value_name = "CONFIG")]
    pub configurations: Vec<String>,
    /// Every standard configuration
    #[arg(long, conflicts_with = "configurations")]
    pub all: bool,
    /// Measure nothing: print the figures of a comparison made before
    #[arg(long, value_name = "DIR", conflicts_with_all = ["configurations", "all", "out"])]
    pub show: Option<PathBuf>,
    #[command(flatten)]
    pub workload: Workload,
    /// Measure at these numbers of connections too, and fit a line: bytes = fixed + slope × N
    #[arg(long, value_name = "N,N,…", value_delimiter = ',', value_parser = connections)]
    pub scale: Vec<usize>,
    /// The folder to make; without it, a new one in profiles/runs
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// How to print the figures
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    pub format: Format,
    /// Print the figures as JSON (docs/json.md)
    #[arg(long, conflicts_with = "format")]
    pub json: bool,
}

/// How figures are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// A table for the terminal
    Table,
    /// JSON, as in docs/json.md
    Json,
    /// Comma-separated values
    Csv,
    /// A Markdown table
    Markdown,
}

/// Measures, writes the folder, and prints the figures.
pub fn run(options: &Options) -> Result<(), Failure> {
    if let Some(folder) = &options.show {
        let comparison = Comparison::read(&folder.join(COMPARISON))?;
        return print(options, &comparison, folder);
    }
    let subjects = subjects(options)?;
    scale::check(&options.scale)?;
    load::fd_limit::make_room_for(options.workload.connections, options.workload.warm_up)?;
    let path = options.out.clone().unwrap_or_else(|| run_folder::default_path("compare"));
    let folder = NewFolder::prepare(&path)?;
    let workload = &options.workload;
    let steps = 1 + options.scale.len() + workload.repeat;
    let progress = progress(subjects.len() * steps);

    let mut runs = Vec::new();
    let mut slopes = Vec::new();
    for subject in &subjects {
        let name = subject.name();
        progress.set_message(format!("{name}: {} connections", workload.connections));
        let done = capture(workload, subject, &folder.file(name))?;
        runs.push(done);
        progress.inc(1);
        slopes.push(scale::measure(
            &template(workload, subject),
            &subject.configuration,
            &options.scale,
            folder.path(),
            &progress,
        )?);
    }
    let rates = rates(workload, &subjects, &folder, &progress)?;
    draw_steps(&subjects, &folder)?;
    progress.finish_and_clear();

    let figures = runs
        .iter()
        .zip(&subjects)
        .zip(&rates)
        .zip(slopes)
        .map(|(((done, subject), rates), slopes)| {
            Figures::new(&subject.configuration, done, rates, slopes)
        })
        .collect();
    let comparison = Comparison::new(figures);
    let mut json = serde_json::to_vec_pretty(&comparison)?;
    json.push(b'\n');
    whole_file::write(&folder.file(COMPARISON), &json)?;
    // As `tlsheap report` makes it of the finished folder, byte for byte.
    let page = page_of(&[folder.path().to_owned()])?;
    whole_file::write(&folder.file(REPORT), page.as_bytes())?;
    let path = folder.finish()?;
    print(options, &comparison, &path)
}

/// A configuration to measure.
pub struct Subject {
    /// As the user named it: a name or a path, by which a server process finds it too.
    pub given: String,
    pub configuration: Configuration,
}

impl Subject {
    fn name(&self) -> &str {
        &self.configuration.name
    }
}

/// Those that were named, each once, or the staircase.
fn subjects(options: &Options) -> Result<Vec<Subject>, Failure> {
    let named: Vec<String> = match (options.all, options.configurations.as_slice()) {
        (true, _) => standard_names().map(str::to_owned).collect(),
        (false, []) => staircase().map(str::to_owned).collect(),
        (false, names) => names.to_vec(),
    };
    let mut found: Vec<Subject> = Vec::new();
    for given in named {
        let configuration = Configuration::find(&given)?;
        if found.iter().any(|other| other.name() == configuration.name) {
            return Err(Failure::usage(format!(
                "the configuration {} is named twice: each has a folder of its own name",
                configuration.name
            )));
        }
        found.push(Subject { given, configuration });
    }
    Ok(found)
}

/// How each configuration is run.
fn template(workload: &Workload, subject: &Subject) -> run::Options {
    run::Options {
        config: subject.given.clone(),
        connections: workload.connections,
        interval: Some(workload.interval),
        hold: workload.hold,
        warm_up: workload.warm_up,
        ..run::Options::defaults()
    }
}

/// One profiled run into a folder of its own.
pub fn capture(workload: &Workload, subject: &Subject, path: &Path) -> Result<Done, Failure> {
    let done = run::run_into(&template(workload, subject), &subject.configuration, path)?;
    done.ended_well(path)?;
    Ok(done)
}

/// Rates and resident memory without the recorder: one round over all configurations after the
/// other, so that a machine that grows slower does so for all of them.
pub fn rates(
    workload: &Workload,
    subjects: &[Subject],
    folder: &NewFolder,
    progress: &indicatif::ProgressBar,
) -> Result<Vec<Rates>, Failure> {
    let mut rates = vec![Rates::default(); subjects.len()];
    for round in 1..=workload.repeat {
        for (subject, rates) in subjects.iter().zip(&mut rates) {
            progress.set_message(format!("{}: handshakes, round {round}", subject.name()));
            bare_server::measure(workload, subject, folder, rates)?;
            progress.inc(1);
        }
    }
    Ok(rates)
}

/// A differential flamegraph for each step from one configuration to the next.
fn draw_steps(subjects: &[Subject], folder: &NewFolder) -> Result<(), Failure> {
    for pair in subjects.windows(2) {
        let names = [pair[0].name(), pair[1].name()];
        draw_step(folder, names[0], names[1])?;
    }
    Ok(())
}

/// A differential flamegraph of two runs of the folder.
pub fn draw_step(folder: &NewFolder, before: &str, after: &str) -> Result<(), Failure> {
    let old = Capture::open(&folder.file(before))?;
    let new = Capture::open(&folder.file(after))?;
    let scale = match (old.connections, new.connections) {
        (Some(old), Some(new)) => Ratio { numerator: new.get(), denominator: old },
        _ => Ratio::ONE,
    };
    let side = |capture, scale| -> Result<SideOf<'_>, Failure> {
        let capture: &Capture = capture;
        Ok(SideOf {
            profile: &capture.profile,
            column: capture.column(None)?,
            name: &capture.name,
            scale,
        })
    };
    let title = DifferentialOptions::titled("OpenSSL bytes in use");
    let svg = differential(&side(&old, scale)?, &side(&new, Ratio::ONE)?, &title)?;
    whole_file::write(&folder.file(&step_name(before, after)), &svg)?;
    Ok(())
}

/// The file of a step's differential flamegraph.
pub fn step_name(before: &str, after: &str) -> String {
    format!("{before}-to-{after}.svg")
}

fn print(options: &Options, comparison: &Comparison, path: &Path) -> Result<(), Failure> {
    match if options.json { Format::Json } else { options.format } {
        Format::Json => output::print_json(comparison),
        Format::Csv => output::print(&table::csv(comparison)?),
        Format::Markdown => output::print(&table::markdown(comparison)),
        Format::Table => {
            let mut text = table::terminal(comparison, output::colour());
            text += &format!(
                "\nin {}: {REPORT} (open it in a browser), {COMPARISON}, a run folder for each\n\
                 configuration, a differential flamegraph for each step\n",
                path.display()
            );
            output::print(&text)
        }
    }
}

/// A bar of so many steps, where somebody can see it.
pub fn progress(steps: usize) -> indicatif::ProgressBar {
    use std::io::IsTerminal;

    if !std::io::stderr().is_terminal() {
        return indicatif::ProgressBar::hidden();
    }
    let style = indicatif::ProgressStyle::with_template("{bar:30} {pos}/{len} {msg}")
        .expect("the template is a literal that parses");
    let bar = indicatif::ProgressBar::new(steps as u64).with_style(style);
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}
