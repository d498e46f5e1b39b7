//! `tlsheap export`: a capture in another program's format.

use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};

use analysis::category::label_categories;
use capture::{Capture, whole_file};
use clap::{Args, ValueEnum};
use profile::{Metric, folded, pprof, speedscope};

use crate::failure::Failure;
use crate::view::{Domain, metrics};
use crate::{output, telling};

#[derive(Debug, Args)]
pub struct Options {
    /// A run folder, a pprof profile, a heap dump of jemalloc's, a file of DHAT's, folded stacks, or
    /// a ledger; `-` is a profile on standard input
    #[arg(value_name = "CAPTURE")]
    pub capture: PathBuf,
    /// The format to write
    #[arg(long, short, value_name = "FORMAT")]
    pub format: Format,
    /// Where to write it; without it, or with `-`, to standard output
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// What to write, of formats that hold one column; without it, in-use, or peak where a program
    /// has freed what it had when it ended, or the file's own default
    #[arg(long, value_name = "COLUMN", value_parser = metrics())]
    pub column: Option<Metric>,
    /// Whose memory; without it, all but what is sampled for Rust, where the capture has both:
    /// other programs would add estimates to exact figures
    #[arg(long, value_name = "DOMAIN")]
    pub domain: Option<Domain>,
}

/// A format that profiles are written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// pprof's protobuf, gzipped: all columns, addresses and labels
    Pprof,
    /// Folded stacks of one column, `outermost;innermost 42`
    Folded,
    /// JSON for speedscope, all columns
    Speedscope,
}

impl Format {
    /// What of a capture does not fit into it.
    fn lost(self) -> Option<&'static str> {
        match self {
            Format::Pprof => None,
            Format::Folded => Some("the other columns, addresses, build ids and labels"),
            Format::Speedscope => Some("addresses, build ids and labels"),
        }
    }

    /// A terminal cannot show it.
    fn is_binary(self) -> bool {
        self == Format::Pprof
    }
}

/// Writes the capture, and says where, and what is not in it.
pub fn run(options: &Options) -> Result<(), Failure> {
    let format = options.format;
    let to_file = options.output.as_deref().filter(|path| *path != Path::new("-"));
    if format.is_binary() && to_file.is_none() && io::stdout().is_terminal() {
        return Err(Failure::usage(
            "this format is no text for a terminal: name a file with -o, or send it through a pipe",
        ));
    }
    if options.column.is_some() && format != Format::Folded {
        return Err(Failure::usage("--column is for folded stacks: this format holds all columns"));
    }
    let mut capture = Capture::open_whole(&options.capture)?;
    let mut notes = Vec::new();
    if let Some(domain) = options.domain {
        capture = capture.unlabelled_part(Some(domain.into()))?;
    } else if capture.leave_out_sampled_domain() {
        notes.push(
            "left out: domain rust, which is sampled and scaled up; --domain rust writes it for \
             itself, --domain all everything"
                .to_owned(),
        );
    }
    match format {
        Format::Pprof => {
            label_categories(&mut capture.profile);
            let bytes = pprof::write(&capture.profile);
            write(to_file, |to| to.write_all(&bytes))?;
        }
        Format::Folded => {
            let column = capture.column(options.column)?;
            write(to_file, |to| folded::write_to(to, &capture.profile, column))?;
        }
        Format::Speedscope => {
            let text = speedscope::write(&capture.profile, &capture.name);
            write(to_file, |to| to.write_all(text.as_bytes()))?;
        }
    }
    notes.extend(format.lost().map(|lost| format!("not in this format: {lost}")));
    if let Some(path) = to_file {
        notes.insert(0, path.display().to_string());
        return output::print(&notes.join("\n"));
    }
    for note in notes {
        telling::tell(&format!("tlsheap: note: {note}"));
    }
    Ok(())
}

/// Writes to the file, or to standard output.
fn write(
    to_file: Option<&Path>,
    fill: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<(), Failure> {
    match to_file {
        Some(path) => Ok(whole_file::write_with(path, |to| fill(to))?),
        None => output::print_with(|to| fill(to)),
    }
}
