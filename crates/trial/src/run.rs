//! A run: the reference server in one process, load in another, a capture at rest.

mod account_figures;
mod clients;
mod gathering;
mod heap_sample;
mod measurement;
mod moment;
mod over_time;
mod rust_domain;
mod rust_part;
mod server;
mod watch;

use std::path::Path;
use std::time::Duration;

use capture::folder::LEDGER;
use capture::{Capture, CaptureError};
use echo_server::Configuration;
use ledger::Sampling;

use crate::{FrontEnd, TrialError, runtime};

pub use heap_sample::HeapSample;
pub use measurement::Ended;
pub use rust_part::RustPart;
pub use watch::negotiated_record;

pub(crate) use clients::clients_of;
pub(crate) use server::IDENTITY;

/// What to run, and how.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Options {
    /// How the server is set up.
    pub configuration: Configuration,
    /// How many connections to open. Default: 200.
    pub connections: usize,
    /// How often each says hello. Default: every 5 seconds, or so seldom that all together say
    /// 2,000 hellos a second.
    pub interval: Option<Duration>,
    /// How long to wait between the last connection's first echo and the capture. Default: 10
    /// seconds.
    pub hold: Duration,
    /// Connections to make and close before the baseline is taken, so that what OpenSSL does once
    /// (caches of algorithms, state of each thread) is not charged to the connections that count.
    /// Default: 16.
    pub warm_up: usize,
    /// Room for allocation sites. Default: 65,536.
    pub sites: u32,
    /// Counts only a part of OpenSSL's blocks. Default: all.
    pub sample: Option<Sampling>,
    /// How finely jemalloc samples what Rust allocates. Default: one byte in 131,072.
    pub heap_sample: HeapSample,
    /// Whether the profile has that sample, or every block. Default: the sample.
    pub rust: RustPart,
}

impl Options {
    /// The usual run of this configuration.
    pub fn of(configuration: Configuration) -> Options {
        Options {
            configuration,
            connections: 200,
            interval: None,
            hold: Duration::from_secs(10),
            warm_up: 16,
            sites: 65_536,
            sample: None,
            heap_sample: HeapSample::Lg(17),
            rust: RustPart::Sampled,
        }
    }
}

/// A run that has come to its end, whether that was a good one or not.
#[derive(Debug)]
#[non_exhaustive]
pub struct Run {
    /// What was found: at rest, or as far as the run came.
    pub capture: Capture,
    /// How it ended.
    pub ended: Ended,
    /// What could not be made sense of and is left out, in sentences.
    pub warnings: Vec<String>,
}

impl Run {
    /// The capture of a run that ended as planned. What went wrong on the way is told.
    pub(crate) fn ended_well(self, front_end: &FrontEnd<'_>) -> Result<Capture, TrialError> {
        self.warnings.iter().for_each(|warning| front_end.progress.warn(warning));
        match self.ended {
            Ended::Clean => Ok(self.capture),
            Ended::Early(sentence) => Err(TrialError::Failed(sentence)),
        }
    }
}

/// Runs. `folder` is there, and takes the server's ledger and other files of the run for as long
/// as it lasts; none of them stays.
pub fn run(options: &Options, front_end: &FrontEnd<'_>, folder: &Path) -> Result<Run, TrialError> {
    load::fd_limit::make_room_for(options.connections, options.warm_up)?;
    let runtime = runtime::of_this_thread()?;
    let measured = runtime.block_on(measurement::measure(options, front_end, folder))?;
    // Everything that it says has been read.
    let ledger = folder.join(LEDGER);
    std::fs::remove_file(&ledger).map_err(CaptureError::writing(&ledger))?;
    front_end.progress.now("finding names");
    Ok(gathering::gather(options, front_end, &measured))
}
