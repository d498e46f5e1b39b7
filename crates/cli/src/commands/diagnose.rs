//! `tlsheap diagnose`: what costs more than it has to, why, and what to do about it.

use std::num::NonZeroU64;
use std::path::PathBuf;

use capture::Examined;
use capture::json::diagnosis::DiagnosisJson;
use clap::Args;
use report::findings::{self, Subject};

use crate::failure::Failure;
use crate::output;

#[derive(Debug, Args)]
#[command(after_help = "\
Several captures of one process, oldest first, also show what only grows; so does a recording with \
a series of them (`tlsheap record --every`). Nothing is claimed without a number of the capture \
itself; a finding's bytes are what its remedy would save.")]
pub struct Options {
    /// A run folder, a profile of any format, or a ledger; several of one process, oldest first;
    /// `-` is a profile on standard input
    #[arg(value_name = "CAPTURE", required = true)]
    pub captures: Vec<PathBuf>,
    /// Say what each finding would cost with so many connections
    #[arg(long, short = 'n', value_name = "N")]
    pub connections: Option<NonZeroU64>,
    /// Print the findings as JSON (docs/json.md)
    #[arg(long)]
    pub json: bool,
}

/// Prints what was found.
pub fn run(options: &Options) -> Result<(), Failure> {
    let examined = Examined::open(&options.captures)?;
    let projected_to = options.connections.map(NonZeroU64::get);
    if options.json {
        return output::print_json(&DiagnosisJson::new(&examined, projected_to));
    }
    let subject = Subject {
        name: &examined.name,
        connections: examined.case.connections.map(NonZeroU64::get),
        projected_to,
        negotiated: examined.case.negotiated.as_ref(),
        recording: examined.recording.as_ref(),
    };
    output::print(&findings::diagnosis(&examined.diagnosis, &subject, output::medium()))
}
