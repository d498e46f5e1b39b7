//! `tlsheap flame`: a flamegraph of a capture.

use std::path::{Path, PathBuf};

use capture::records::recording::Recording;
use capture::{Capture, Counted, folder, whole_file};
use clap::Args;
use profile::Metric;
use report::exactness::exactness;
use report::flamegraph::{Direction, FlameOptions, Roots, flamegraph};

use crate::failure::Failure;
use crate::output;
use crate::view::{Domain, metrics};

#[derive(Debug, Args)]
pub struct Options {
    /// A run folder, a pprof profile, a heap dump of jemalloc's, a file of DHAT's, folded stacks, or
    /// a ledger; `-` is a profile on standard input
    #[arg(value_name = "CAPTURE")]
    pub capture: PathBuf,
    /// Where to write the SVG; `-` is standard output. Without it: flame.svg in the run folder,
    /// or the capture's name with .svg here
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// What to draw; without it, in-use, or peak where a program has freed what it had when it
    /// ended, or the file's own default
    #[arg(long, value_name = "COLUMN", value_parser = metrics())]
    pub column: Option<Metric>,
    /// Whose memory
    #[arg(long, value_name = "DOMAIN", default_value = "all")]
    pub domain: Domain,
    /// Only one process of a recording: its id, or all with this program's name
    #[arg(long, value_name = "PID|PROGRAM")]
    pub process: Option<String>,
    /// Roots on top
    #[arg(long)]
    pub icicle: bool,
    /// The runtime's frames around the program, too
    #[arg(long)]
    pub full: bool,
    /// The heading
    #[arg(long, value_name = "TEXT")]
    pub title: Option<String>,
}

/// Draws, and says where.
pub fn run(options: &Options) -> Result<(), Failure> {
    let capture = Capture::open_part(&options.capture, Some(options.domain.into()))?
        .of_process(options.process.as_deref())?;
    let svg = draw(&capture, options)?;
    let path = match (&options.output, capture.folder()) {
        (Some(path), _) => path.clone(),
        (None, Some(folder)) => folder.join(folder::FLAME),
        (None, None) => PathBuf::from(stem(&capture.name)).with_extension("svg"),
    };
    if path == Path::new("-") {
        return output::print_bytes(&svg);
    }
    whole_file::write(&path, &svg)?;
    output::print(&format!("{}", path.display()))
}

fn draw(capture: &Capture, options: &Options) -> Result<Vec<u8>, Failure> {
    let column = capture.column(options.column)?;
    let title = options.title.clone().unwrap_or_else(|| capture.name.clone());
    let mut flame = FlameOptions::titled(&title);
    flame.subtitle = Some(subtitle(capture, column));
    if options.icicle {
        flame.direction = Direction::Icicle;
    }
    if options.full {
        flame.roots = Roots::Runtime;
    }
    Ok(flamegraph(&capture.profile, column, &flame)?)
}

/// Of which moment the peaks are of a capture of which no more is known.
const AT_THE_HIGHEST: &str = "at the highest total";

/// What the widths mean.
fn subtitle(capture: &Capture, column: usize) -> String {
    let value = &capture.profile.sample_types()[column];
    let peak = capture.recording().map_or(AT_THE_HIGHEST, Recording::moment_of_peak);
    let what = match value.kind.as_str() {
        "inuse_space" => "bytes in use".to_owned(),
        "inuse_objects" => "blocks in use".to_owned(),
        "alloc_space" => "bytes ever allocated".to_owned(),
        "alloc_objects" => "blocks ever allocated".to_owned(),
        "peak_space" => format!("bytes in use {peak}"),
        "peak_objects" => format!("blocks in use {peak}"),
        other => format!("{other} in {}", value.unit),
    };
    let exactness = exactness(&capture.profile, column).phrase();
    match capture.connections {
        Some(connections) => match capture.counted {
            Counted::Told => format!("{what}, {connections} connections; {exactness}"),
            Counted::SslObjects => format!("{what}, {connections} SSL objects; {exactness}"),
        },
        None => format!("{what}; {exactness}"),
    }
}

/// The name up to its first dot: `x` of `x.pb.gz`.
fn stem(name: &str) -> &str {
    name.split('.').find(|part| !part.is_empty()).unwrap_or("capture")
}
