//! What the viewing commands look at: a run folder, a profile of any format, or a ledger.

use std::num::NonZeroU64;
use std::path::{Path, PathBuf};

use analysis::category::{OPENSSL_DOMAIN, RUST_DOMAIN, label_categories};
use analysis::domain;
use analysis::group::{By, Row, group};
use analysis::inventory::Inventory;
use analysis::objects::{Object, objects};
use analysis::per_connection::growth;
use analysis::process;
use analysis::under::keep_under;
use clap::{Args, ValueEnum};
use ledger::{Snapshot, Statistics};
use profile::{Content, Metric, Profile, Symbols, from_ledger, read_any};
use report::bytes::interval;

use crate::estimate::Estimate;
use crate::failure::Failure;
use crate::recording::Recording;
use crate::run_folder;
use crate::run_record::RunRecord;

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

    /// The word on the command line.
    pub fn name(self) -> &'static str {
        match self {
            GroupBy::Site => "site",
            GroupBy::Function => "function",
            GroupBy::File => "file",
            GroupBy::Category => "category",
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

impl Domain {
    /// The value of the label on samples; `None` for all of them.
    fn label(self) -> Option<&'static str> {
        match self {
            Domain::Openssl => Some(OPENSSL_DOMAIN),
            Domain::Rust => Some(RUST_DOMAIN),
            Domain::All => None,
        }
    }

    /// What to look at when nobody says: OpenSSL's memory where there is any.
    fn usual(profile: &Profile) -> Domain {
        let has_openssl = domain::present(profile).contains(OPENSSL_DOMAIN);
        if has_openssl { Domain::Openssl } else { Domain::All }
    }
}

/// Which part of a profile is exact and which is sampled.
#[derive(Clone, Copy, Debug)]
pub enum Exactness {
    /// All of it is OpenSSL's.
    Exact,
    /// All of it is Rust's.
    Sampled,
    /// Both are in it.
    Both,
    /// OpenSSL's was sampled by the recorder.
    Estimated {
        /// All of it.
        estimate: Estimate,
        /// Whether Rust's is in it too, sampled by jemalloc.
        with_rust: bool,
    },
    /// Its samples do not say whose they are.
    Unknown,
}

/// How exact a column of a profile is, by the domains of its samples.
pub fn exactness(profile: &Profile, column: usize) -> Exactness {
    let present = domain::present(profile);
    let with_rust = present.contains(RUST_DOMAIN);
    if let Some(estimate) = Estimate::of(profile, column) {
        return Exactness::Estimated { estimate, with_rust };
    }
    match (present.contains(OPENSSL_DOMAIN), with_rust) {
        (true, true) => Exactness::Both,
        (true, false) => Exactness::Exact,
        (false, true) => Exactness::Sampled,
        (false, false) => Exactness::Unknown,
    }
}

impl Exactness {
    /// For a subtitle.
    pub fn phrase(self) -> String {
        match self {
            Exactness::Exact => "OpenSSL's part, exact".to_owned(),
            Exactness::Sampled => "Rust's part, sampled".to_owned(),
            Exactness::Both => "OpenSSL's part exact, Rust's sampled".to_owned(),
            Exactness::Estimated { estimate, with_rust } => {
                let rust = if with_rust { "; Rust's sampled too" } else { "" };
                format!("OpenSSL's part {estimate}{rust}")
            }
            Exactness::Unknown => "whole process".to_owned(),
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

/// From where the number of connections is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counted {
    /// The load that opened them has said it, or the user.
    Told,
    /// SSL objects: there is one for each end of a connection that is in the capture.
    SslObjects,
}

/// A capture, read and ready for analysis.
pub struct Capture {
    /// What to call it: the folder's or file's name.
    pub name: String,
    /// The run's folder, if it is one.
    pub folder: Option<PathBuf>,
    /// The profile, each sample with its category.
    pub profile: Profile,
    /// The profile before the first connection.
    pub baseline: Option<Profile>,
    /// Connections open at the capture, where they are known.
    pub connections: Option<NonZeroU64>,
    /// What the profiled OpenSSL says of itself, where the capture knows that.
    pub openssl: Option<String>,
    /// From where they are known.
    pub counted: Counted,
    /// What the recorder says of itself, where the capture is a ledger.
    pub statistics: Option<Statistics>,
}

impl Capture {
    /// Reads whatever is at `path`, and keeps OpenSSL's part where there is one: its figures are
    /// exact.
    pub fn open(path: &Path) -> Result<Capture, Failure> {
        Capture::open_domain(path, None)
    }

    /// As [`Capture::open`], with the part of the caller's choice. A part that is not there is an
    /// error, not an empty profile.
    pub fn open_domain(path: &Path, wanted: Option<Domain>) -> Result<Capture, Failure> {
        let mut capture = Capture::open_unlabelled(path, wanted)?;
        label_categories(&mut capture.profile);
        if let Some(baseline) = &mut capture.baseline {
            label_categories(baseline);
        }
        Ok(capture)
    }

    /// As [`Capture::open_domain`], without a category for each sample, for those who show none.
    pub fn open_unlabelled(path: &Path, wanted: Option<Domain>) -> Result<Capture, Failure> {
        let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
        let mut capture = if path.is_dir() { open_run(path)? } else { open_file(path)? };
        capture.name = name;
        let wanted = wanted.unwrap_or_else(|| Domain::usual(&capture.profile));
        if let Some(label) = wanted.label() {
            let present = domain::present(&capture.profile);
            if !present.contains(label) {
                let has = match present.into_iter().collect::<Vec<_>>().join(", ") {
                    has if has.is_empty() => "its samples name no domain".to_owned(),
                    has => format!("it has {has}"),
                };
                let name = &capture.name;
                return Err(Failure::usage(format!("{name} has no domain {label}: {has}")));
            }
            domain::keep(&mut capture.profile, label);
            if let Some(baseline) = &mut capture.baseline {
                domain::keep(baseline, label);
            }
        }
        Ok(capture)
    }

    /// Keeps the samples of one process, or of all with one program's name.
    pub fn of_process(mut self, wanted: Option<&str>) -> Result<Capture, Failure> {
        let Some(wanted) = wanted else { return Ok(self) };
        let present = process::present(&self.profile);
        if !present.iter().any(|label| process::is(label, wanted)) {
            let has = match present.into_iter().collect::<Vec<_>>().join(", ") {
                has if has.is_empty() => "it does not tell processes apart".to_owned(),
                has => format!("it has {has}"),
            };
            let name = &self.name;
            return Err(Failure::usage(format!("{name} has no process {wanted}: {has}")));
        }
        process::keep(&mut self.profile, wanted);
        if let Some(baseline) = &mut self.baseline {
            process::keep(baseline, wanted);
        }
        self.count_ssl_objects();
        Ok(self)
    }

    /// For a capture whose connections nobody has told.
    fn count_ssl_objects(&mut self) {
        if self.counted == Counted::SslObjects {
            let live = objects(&self.profile).and_then(|live| live.get(&Object::Ssl).copied());
            let live = live.and_then(|live| u64::try_from(live).ok());
            self.connections = live.and_then(NonZeroU64::new);
        }
    }

    /// Uses this number of connections where the capture does not say its own.
    #[must_use]
    pub fn or_connections(mut self, connections: Option<NonZeroU64>) -> Capture {
        if self.connections.is_none() && connections.is_some() {
            self.connections = connections;
            self.counted = Counted::Told;
        }
        self
    }

    /// Refuses a sampled capture, for what needs to know every block.
    pub fn counted_exactly(&self, what: &str) -> Result<(), Failure> {
        let Some(sampling) = self.profile.sampling else { return Ok(()) };
        Err(Failure::usage(format!(
            "{} was sampled every {}, and {what} rests on exact counts of blocks and objects: record \
             again without --sample",
            self.name,
            interval(sampling)
        )))
    }

    /// Leaves out what was not reached through files that begin with one of `paths`, if there are
    /// any.
    #[must_use]
    pub fn under(mut self, paths: &[String]) -> Capture {
        if !paths.is_empty() {
            keep_under(&mut self.profile, paths);
            if let Some(baseline) = &mut self.baseline {
                keep_under(baseline, paths);
            }
        }
        self
    }

    /// The rows of the profile.
    pub fn rows(&self, by: By) -> Vec<Row> {
        group(&self.profile, by)
    }

    /// The rows of the profile less those of the baseline, if there is one.
    pub fn grown_rows(&self, by: By) -> Vec<Row> {
        let baseline = self.baseline.as_ref().map_or(Vec::new(), |baseline| group(baseline, by));
        growth(&self.rows(by), &baseline)
    }

    /// The objects of the profile, and those that the baseline did not have. `None` when the
    /// profile does not know blocks in use, or is of a sample.
    pub fn objects(&self) -> Option<(Inventory, Inventory)> {
        let all = Inventory::of(&self.profile)?;
        let grown = match &self.baseline {
            Some(baseline) => all.since(&Inventory::of(baseline)?),
            None => all.clone(),
        };
        Some((all, grown))
    }

    /// The column to draw: the one asked for, else the file's own default.
    pub fn column(&self, wanted: Option<Column>) -> Result<usize, Failure> {
        let types = self.profile.sample_types();
        match wanted.map(Metric::from) {
            Some(metric) => self.profile.column(metric).ok_or_else(|| {
                let has: Vec<&str> = types.iter().map(|t| t.kind.as_str()).collect();
                Failure::usage(format!(
                    "{} has no {} column: it has {}",
                    self.name,
                    metric.kind(),
                    has.join(", ")
                ))
            }),
            None => self
                .profile
                .column(Metric::InuseSpace)
                .or(self.profile.default_sample_type())
                .or((!types.is_empty()).then_some(0))
                .ok_or_else(|| Failure::usage(format!("{} has no values", self.name))),
        }
    }
}

fn open_run(path: &Path) -> Result<Capture, Failure> {
    let record = path.join(run_folder::RUN);
    if !record.exists() {
        return Err(Failure::usage(format!(
            "{} is no run folder: it has no {}",
            path.display(),
            run_folder::RUN
        )));
    }
    let mut capture = open_file(&path.join(run_folder::HEAP))?;
    let baseline = path.join(run_folder::BASELINE);
    if Recording::is_at(&record) {
        capture.openssl = Recording::openssl_at(&record);
        capture.folder = Some(path.to_owned());
        if baseline.exists() {
            capture.baseline = Some(open_file(&baseline)?.profile);
        }
        capture.counted = Counted::SslObjects;
        capture.count_ssl_objects();
        return Ok(capture);
    }
    let record = RunRecord::read(&record)?;
    capture.connections = record.connections;
    capture.openssl = Some(record.versions.openssl);
    capture.baseline = Some(open_file(&baseline)?.profile);
    capture.folder = Some(path.to_owned());
    Ok(capture)
}

fn open_file(path: &Path) -> Result<Capture, Failure> {
    let (profile, statistics) = match read_any(path)? {
        Content::Profile(profile) => (profile, None),
        Content::Ledger => {
            // Read through the file and not the bytes at hand: its process may be running.
            let snapshot = Snapshot::read_file(path)?;
            let profile = from_ledger(&snapshot, &mut Symbols::new());
            (profile, Some(snapshot.statistics))
        }
    };
    Ok(Capture {
        name: String::new(),
        folder: None,
        profile,
        baseline: None,
        connections: None,
        openssl: None,
        counted: Counted::Told,
        statistics,
    })
}
