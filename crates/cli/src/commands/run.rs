//! `tlsheap run`: the reference server in one process, load in another, a capture at rest.

use std::path::{Path, PathBuf};
use std::time::Duration;

use analysis::column::Column;
use analysis::group::By;
use capture::folder::{self, NewFolder};
use capture::{Capture, whole_file};
use clap::Args;
use echo_server::Configuration;
use ledger::Sampling;
use report::folder::write;
use trial::run::{self, Ended, HeapSample, RustPart};
use trial::{FrontEnd, scale};

use crate::failure::Failure;
use crate::trials::{Bar, front_end, helper};
use crate::values::{connections, duration, sampling};
use crate::{answer, output, slope, telling};

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
    /// Count only a part of OpenSSL's blocks, one sample in BYTES bytes on average, as in --sample
    /// 64k: figures are estimates then, with their 95 % intervals (docs/sampling.md)
    #[arg(long, value_name = "BYTES", value_parser = sampling)]
    pub sample: Option<Sampling>,
    /// How finely jemalloc samples what Rust allocates: one byte in 2^LG, on average; `off` leaves
    /// Rust out of the profile
    #[arg(long, value_name = "LG|off", default_value_t = HeapSample::Lg(17))]
    pub heap_sample: HeapSample,
    /// Whether the profile has that sample, or every block of Rust's, counted by the server's
    /// allocator: each allocation takes longer then, and the record has the sample beside
    #[arg(long, value_name = "sampled|exact", default_value_t = RustPart::Sampled)]
    pub rust: RustPart,
    /// Run at these numbers of connections too, and fit a line: bytes = fixed + slope × N
    #[arg(long, value_name = "N,N,…", value_delimiter = ',', value_parser = connections)]
    pub scale: Vec<usize>,
    /// Print run.json instead of the answer
    #[arg(long)]
    pub json: bool,
}

impl Options {
    fn plain(&self, configuration: Configuration) -> run::Options {
        let mut plain = run::Options::of(configuration);
        plain.connections = self.connections;
        plain.interval = self.interval;
        plain.hold = self.hold;
        plain.warm_up = self.warm_up;
        plain.sites = self.sites;
        plain.sample = self.sample;
        plain.heap_sample = self.heap_sample;
        plain.rust = self.rust;
        plain
    }
}

/// Runs, writes the folder, and says what came of it.
pub fn run(options: &Options) -> Result<(), Failure> {
    let configuration = Configuration::find(&options.config)?;
    let path = options.out.clone().unwrap_or_else(|| folder::default_path(&configuration.name));
    scale::check(&options.scale)?;
    if options.sample.is_some() && !options.scale.is_empty() {
        return Err(Failure::usage(
            "--scale fits a line through exact figures: leave --sample out, or run without --scale",
        ));
    }
    if options.sample.is_some() && options.rust == RustPart::Exact {
        return Err(Failure::usage(
            "--sample counts a part of the blocks, and --rust exact every one: leave one of them out",
        ));
    }
    let plain = options.plain(configuration);
    let mut folder = NewFolder::prepare(&path)?;
    let helper = helper()?;
    let bar = Bar::of_connections(options.connections);
    let run = run::run(&plain, &front_end(&helper, &bar), folder.path());
    bar.finish();
    let run = run?;
    for warning in &run.warnings {
        telling::tell(&format!("tlsheap: warning: {warning}"));
    }
    write(&run.capture, folder.path())?;
    folder.finish()?;
    tell(options, &run.capture, &path)?;
    if let Ended::Early(sentence) = &run.ended {
        return Err(Failure::program(format!(
            "{sentence}; what was counted up to then is in {}",
            path.display()
        )));
    }
    find_slope(options, &plain, &front_end(&helper, &trial::Silent), &path)
}

/// The answer, or the record as JSON.
fn tell(options: &Options, capture: &Capture, path: &Path) -> Result<(), Failure> {
    let record = capture.run().expect("the capture was made by a run");
    if options.json {
        return output::print_json(record);
    }
    let top = capture.clone().part(None)?.top(By::Site, Column::InUse);
    output::print_of(&answer::of_run(record, &top, path, output::medium()), path)
}

/// The line through further runs, in a file of the run's folder and, but for JSON, in words.
fn find_slope(
    options: &Options,
    template: &run::Options,
    front_end: &FrontEnd<'_>,
    path: &Path,
) -> Result<(), Failure> {
    let Some(scale) = scale::measure(template, &options.scale, front_end, path)? else {
        return Ok(());
    };
    whole_file::write_json(&path.join(folder::SCALE), &scale)?;
    if options.json {
        return Ok(());
    }
    let said = slope::describe(&scale, &template.configuration.name, output::medium());
    output::print_of(&said, path)
}
