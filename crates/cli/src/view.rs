//! How captures are looked at: options of every command that does.

use analysis::group::By;
use capture::Part;
use clap::{Args, ValueEnum};
use profile::Metric;

/// Options of every command that looks at captures.
#[derive(Debug, Args)]
pub struct ViewOptions {
    /// By what to add up
    #[arg(long, value_name = "BY", default_value = "site")]
    pub by: GroupBy,
    /// How many rows to show; 0 for all
    #[arg(long, short = 'n', value_name = "N", default_value_t = 20)]
    pub rows: usize,
    /// Only what was reached through source files that begin with PATH, such as crypto/x509; may
    /// be given several times
    #[arg(long, value_name = "PATH")]
    pub under: Vec<String>,
    /// Only one process of a recording: its id, or all with this program's name
    #[arg(long, value_name = "PID|PROGRAM")]
    pub process: Option<String>,
    /// Whose memory; without it, OpenSSL's, where the capture has any, so that totals are exact
    #[arg(long, value_name = "DOMAIN")]
    pub domain: Option<Domain>,
    /// Print everything as JSON (docs/json.md)
    #[arg(long)]
    pub json: bool,
}

/// By what rows are added up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum GroupBy {
    /// OpenSSL's file:line
    Site,
    /// The function that asked for memory
    Function,
    /// The source file
    File,
    /// What the memory is for
    Category,
}

impl GroupBy {
    /// The analysis's own word.
    pub fn by(self) -> By {
        match self {
            GroupBy::Site => By::Site,
            GroupBy::Function => By::Function,
            GroupBy::File => By::File,
            GroupBy::Category => By::Category,
        }
    }
}

/// Whose memory to look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Domain {
    /// What OpenSSL asked for: exact
    Openssl,
    /// What Rust asked for: sampled by jemalloc, and scaled up
    Rust,
    /// Everything
    All,
}

impl From<Domain> for Part {
    fn from(domain: Domain) -> Part {
        match domain {
            Domain::Openssl => Part::Openssl,
            Domain::Rust => Part::Rust,
            Domain::All => Part::Whole,
        }
    }
}

/// A value column, by pprof's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Column {
    /// Bytes live at the capture
    #[value(name = "inuse_space")]
    InuseSpace,
    /// Blocks live at the capture
    #[value(name = "inuse_objects")]
    InuseObjects,
    /// Bytes ever allocated
    #[value(name = "alloc_space")]
    AllocSpace,
    /// Blocks ever allocated
    #[value(name = "alloc_objects")]
    AllocObjects,
    /// Bytes live at the process's highest total
    #[value(name = "peak_space")]
    PeakSpace,
    /// Blocks live at the process's highest total
    #[value(name = "peak_objects")]
    PeakObjects,
}

impl From<Column> for Metric {
    fn from(column: Column) -> Metric {
        match column {
            Column::InuseSpace => Metric::InuseSpace,
            Column::InuseObjects => Metric::InuseObjects,
            Column::AllocSpace => Metric::AllocSpace,
            Column::AllocObjects => Metric::AllocObjects,
            Column::PeakSpace => Metric::PeakSpace,
            Column::PeakObjects => Metric::PeakObjects,
        }
    }
}
