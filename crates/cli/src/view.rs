//! How captures are looked at: options of every command that does.

use analysis::column::Column;
use analysis::group::By;
use capture::Part;
use clap::builder::{PossibleValue, PossibleValuesParser, TypedValueParser};
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
    /// What rows are ordered and compared by; without it, in-use, or peak where a program has freed
    /// what it had when it ended
    #[arg(long, value_name = "COLUMN", value_parser = columns())]
    pub column: Option<Column>,
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
    /// What everybody else in the process asked malloc for, where `record --heap` has counted it:
    /// exact
    Heap,
    /// What the program and its libraries mapped from the kernel themselves, counted in the same
    /// way: exact
    Mapping,
    /// Python's objects, where `record --python` has counted them one by one: exact
    Python,
    /// What the reference server's Rust asked for: sampled by jemalloc and scaled up, or counted
    /// with `run --rust exact`
    Rust,
    /// Everything
    All,
}

impl From<Domain> for Part {
    fn from(domain: Domain) -> Part {
        match domain {
            Domain::Openssl => Part::Openssl,
            Domain::Heap => Part::Heap,
            Domain::Mapping => Part::Mapping,
            Domain::Python => Part::Python,
            Domain::Rust => Part::Rust,
            Domain::All => Part::Whole,
        }
    }
}

/// The words of the columns, for an option that takes one.
pub fn columns() -> impl TypedValueParser<Value = Column> {
    // A help for each would spread the help of whole commands out.
    PossibleValuesParser::new(Column::ALL.map(Column::word))
        .map(|word| Column::from_word(&word).expect("one of the possible values"))
}

fn help_of(column: Column) -> &'static str {
    match column {
        Column::InUse => "What is live at the capture",
        Column::Peak => "What was live at the process's highest total",
        Column::Allocated => "What was ever allocated",
    }
}

/// The words of the columns for their bytes, and pprof's names, for an option that takes one.
pub fn metrics() -> impl TypedValueParser<Value = Metric> {
    let bytes = Column::ALL.map(|column| {
        let value = PossibleValue::new(column.word()).alias(column.bytes().kind());
        value.help(format!("{}, in bytes", help_of(column)))
    });
    let blocks = Column::ALL.map(|column| {
        let value = PossibleValue::new(column.blocks().kind());
        value.help(format!("{}, in blocks", help_of(column)))
    });
    PossibleValuesParser::new(bytes.into_iter().chain(blocks)).map(|word| {
        let of_column = Column::from_word(&word).map(Column::bytes);
        let of_pprof = || Metric::ALL.into_iter().find(|metric| metric.kind() == word);
        of_column.or_else(of_pprof).expect("one of the possible values")
    })
}
