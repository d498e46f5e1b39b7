//! `tlsheap run`: the reference server in one process, load in another, a capture at rest.

mod account_figures;
mod clients;
mod heap_sample;
pub mod measurement;
mod moment;
mod over_time;
mod rust_domain;
mod rust_in_use;
mod server;
mod watch;
mod writing;

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::time::Duration;

use analysis::top::Top;
use clap::Args;
use echo_server::Configuration;
use ledger::Sampling;

use crate::arguments::{connections, duration, sampling};
use crate::commands::run::heap_sample::HeapSample;
use crate::commands::run::measurement::{Ended, measure};
use crate::failure::Failure;
use crate::run_folder::{self, NewFolder};
use crate::run_record::RunRecord;
use crate::{answer, output, scale, whole_file};

#[derive(Clone, Debug, Args)]
pub struct Options {
    /// A standard configuration (see `tlsheap configs`), or the path of a TOML file
    #[arg(long, value_name = "NAME|FILE", default_value = "node-0.4")]
    pub config: String,
    /// How many connections to open
    #[arg(long, short = 'n', value_name = "N", default_value = "200", value_parser = connections)]
    pub connections: usize,
    /// How often each connection says hello [default: 5s, or so seldom that all together say 2,000
    /// hellos a second]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub interval: Option<Duration>,
    /// How long to wait between the last connection's first echo and the capture
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = duration)]
    pub hold: Duration,
    /// Connections to make and close before the baseline is taken, so that what OpenSSL does once
    /// (caches of algorithms, state of each thread) is not charged to the connections that count
    #[arg(long, value_name = "N", default_value_t = 16)]
    pub warm_up: usize,
    /// The folder to make; without it, a new one in profiles/runs
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Room for allocation sites
    #[arg(long, value_name = "N", default_value_t = 65_536,
          value_parser = clap::value_parser!(u32).range(1..=16_777_214))]
    pub sites: u32,
    /// Count only a part of OpenSSL's blocks, one sample in BYTES bytes on average, as in --sample 64k:
    /// figures are estimates then, with their 95 % intervals (docs/sampling.md)
    #[arg(long, value_name = "BYTES", value_parser = sampling)]
    pub sample: Option<Sampling>,
    /// How finely jemalloc samples what Rust allocates: one byte in 2^LG, on average; `off` leaves
    /// Rust out of the profile
    #[arg(long, value_name = "LG|off", default_value_t = HeapSample::Lg(17))]
    pub heap_sample: HeapSample,
    /// Run at these numbers of connections too, and fit a line: bytes = fixed + slope × N
    #[arg(long, value_name = "N,N,…", value_delimiter = ',', value_parser = connections)]
    pub scale: Vec<usize>,
    /// Print run.json instead of the answer
    #[arg(long)]
    pub json: bool,
}

impl Options {
    /// What the command line gives when nothing is said.
    pub fn defaults() -> Options {
        #[derive(clap::Parser)]
        struct Nothing {
            #[command(flatten)]
            options: Options,
        }
        <Nothing as clap::Parser>::parse_from(["run"]).options
    }
}

/// Runs, writes the folder, and says what came of it.
pub fn run(options: &Options) -> Result<(), Failure> {
    let configuration = Configuration::find(&options.config)?;
    let path = options.out.clone().unwrap_or_else(|| run_folder::default_path(&configuration.name));
    scale::check(&options.scale)?;
    if options.sample.is_some() && !options.scale.is_empty() {
        return Err(Failure::usage(
            "--scale fits a line through exact figures: leave --sample out, or run without --scale",
        ));
    }
    let done = run_into(options, &configuration, &path)?;
    if options.json {
        output::print_json(&done.record)?;
    } else {
        output::print(&answer::of_run(&done.record, &done.top, &path, output::colour()))?;
    }
    done.ended_well(&path)?;
    find_slope(options, &configuration, &path)
}

/// The line through further runs, in a file of the run's folder and, but for JSON, in words.
fn find_slope(
    options: &Options,
    configuration: &Configuration,
    path: &Path,
) -> Result<(), Failure> {
    let progress = indicatif::ProgressBar::hidden();
    let Some(slope) = scale::measure(options, configuration, &options.scale, path, &progress)?
    else {
        return Ok(());
    };
    let mut json = serde_json::to_vec_pretty(&slope)?;
    json.push(b'\n');
    whole_file::write(&path.join(run_folder::SCALE), &json)?;
    if options.json {
        return Ok(());
    }
    output::print(&slope.describe(&configuration.name, output::colour()))
}

/// A run that has left its folder, whether it ended well or not.
pub struct Done {
    /// What `run.json` says.
    pub record: RunRecord,
    /// The sites.
    pub top: Top,
    ended: Ended,
}

impl Done {
    /// The failure of a run that ended early.
    pub fn ended_well(&self, path: &Path) -> Result<(), Failure> {
        match &self.ended {
            Ended::Clean => Ok(()),
            Ended::Early(sentence) => Err(Failure::program(format!(
                "{sentence}; what was counted up to then is in {}",
                path.display()
            ))),
        }
    }
}

/// Runs, and makes the folder at `path`.
pub fn run_into(
    options: &Options,
    configuration: &Configuration,
    path: &Path,
) -> Result<Done, Failure> {
    load::fd_limit::make_room_for(options.connections, options.warm_up)?;
    let folder = NewFolder::prepare(path)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let measured = runtime.block_on(measure(options, configuration, &folder))?;

    let spinner = writing_spinner();
    let written = writing::write(options, &measured, &folder)?;
    spinner.finish_and_clear();
    folder.finish()?;
    Ok(Done { record: written.record, top: written.top, ended: measured.ended })
}

/// Names take a second or two to find.
fn writing_spinner() -> indicatif::ProgressBar {
    if !std::io::stderr().is_terminal() {
        return indicatif::ProgressBar::hidden();
    }
    let spinner = indicatif::ProgressBar::new_spinner().with_message("finding names");
    spinner.enable_steady_tick(Duration::from_millis(100));
    spinner
}
