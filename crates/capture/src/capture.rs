//! A capture in memory, and the parts of it that can be looked at.

mod opening;

use std::num::NonZeroU64;
use std::path::{Path, PathBuf};

use analysis::category::{RUST_DOMAIN, label_categories};
use analysis::column::Column;
use analysis::diagnosis::case::Ending;
use analysis::domain;
use analysis::group::{By, Row, group_in};
use analysis::inventory::Inventory;
use analysis::objects::{Object, objects};
use analysis::per_connection::growth;
use analysis::process;
use analysis::timeline::Timeline;
use analysis::top::Top;
use analysis::under::keep_under;
use ledger::Statistics;
use profile::{Metric, Profile};

use crate::records::recording::Recording;
use crate::records::run::RunRecord;
use crate::timeline::Table;
use crate::{CaptureError, Part};

/// What is known of one moment of a process, and of the moments beside it.
#[derive(Clone, Debug)]
pub struct Capture {
    /// What to call it: the folder's or file's name.
    pub name: String,
    /// The profile at that moment.
    pub profile: Profile,
    /// The profile before the first connection.
    pub baseline: Option<Profile>,
    /// Connections open at the capture, where they are known.
    pub connections: Option<NonZeroU64>,
    /// From where they are known.
    pub counted: Counted,
    /// What the profiled OpenSSL says of itself, where the capture knows that.
    pub openssl: Option<String>,
    /// What the recorder says of itself, where the capture is a ledger.
    pub statistics: Option<Statistics>,
    /// How it was made, where that is known.
    pub known: Known,
    beside: Beside,
}

/// From where the number of connections is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counted {
    /// The load that opened them has said it, or the user.
    Told,
    /// SSL objects: there is one for each end of a connection that is in the capture.
    SslObjects,
}

/// How a capture was made: what its `run.json` says.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Known {
    /// A profile or a ledger without a folder around it.
    Nothing,
    /// By a run of the reference server.
    Run(Box<RunRecord>),
    /// By a recording of a program that nobody rebuilt.
    Recording(Box<Recording>),
}

/// What lies beside a capture's moment, and is large or seldom asked for.
#[derive(Clone, Debug, Default)]
pub struct Moments {
    /// The profile before the first connection, where the baseline is another.
    pub before: Option<Profile>,
    /// The profile after the last connection was closed.
    pub closed: Option<Profile>,
    /// Memory over time.
    pub timeline: Option<Table>,
    /// A profile for each process of a recording, under the name of its file.
    pub processes: Vec<(String, Profile)>,
}

/// Where that is.
#[derive(Clone, Debug)]
enum Beside {
    Nowhere,
    /// In memory: the capture was made just now.
    Here(Box<Moments>),
    /// In a run's folder.
    In(PathBuf),
}

/// The profile with how long it covers, where it does not say that itself: what was allocated has
/// a rate by that.
fn lasting(mut profile: Profile, seconds: Option<f64>) -> Profile {
    if let Some(seconds) = seconds.filter(|_| profile.duration_nanos == 0) {
        profile.duration_nanos = (seconds * 1e9) as i64; // saturates
    }
    profile
}

impl Capture {
    /// A run of the reference server that was made just now.
    pub fn of_run(
        record: RunRecord,
        profile: Profile,
        baseline: Profile,
        moments: Moments,
    ) -> Capture {
        let times = &record.times;
        let lasted = times.until_rest_seconds.zip(times.hold_seconds);
        let profile = lasting(profile, lasted.map(|(until_rest, hold)| until_rest + hold));
        Capture {
            name: record.configuration.clone(),
            profile,
            baseline: Some(baseline),
            connections: record.connections,
            counted: Counted::Told,
            openssl: Some(record.versions.openssl.clone()),
            statistics: None,
            known: Known::Run(Box::new(record)),
            beside: Beside::Here(Box::new(moments)),
        }
    }

    /// A recording of a program that was made just now.
    pub fn of_recording(
        name: &str,
        record: Recording,
        profile: Profile,
        baseline: Option<Profile>,
        moments: Moments,
    ) -> Capture {
        let lasted = record.captured_after_seconds.unwrap_or(record.seconds);
        let mut capture = Capture {
            name: name.to_owned(),
            profile: lasting(profile, Some(lasted)),
            baseline,
            connections: None,
            counted: Counted::SslObjects,
            openssl: record.openssl().map(str::to_owned),
            statistics: None,
            known: Known::Recording(Box::new(record)),
            beside: Beside::Here(Box::new(moments)),
        };
        capture.count_ssl_objects();
        capture
    }

    /// A profile of which nothing else is known.
    pub fn of_profile(name: &str, profile: Profile) -> Capture {
        Capture {
            name: name.to_owned(),
            profile,
            baseline: None,
            connections: None,
            counted: Counted::Told,
            openssl: None,
            statistics: None,
            known: Known::Nothing,
            beside: Beside::Nowhere,
        }
    }

    /// Keeps one part, or without a wish the usual one ([`Part::usual`]), and gives each sample its
    /// category. A part that is not there is an error, not an empty profile.
    pub fn part(self, wanted: Option<Part>) -> Result<Capture, CaptureError> {
        let mut capture = self.unlabelled_part(wanted)?;
        label_categories(&mut capture.profile);
        if let Some(baseline) = &mut capture.baseline {
            label_categories(baseline);
        }
        Ok(capture)
    }

    /// Keeps one part, as [`Capture::part`] does, without a category for each sample: for those who
    /// show none.
    pub fn unlabelled_part(mut self, wanted: Option<Part>) -> Result<Capture, CaptureError> {
        let wanted = wanted.unwrap_or_else(|| Part::usual(&self.profile));
        let Some(label) = wanted.label() else { return Ok(self) };
        let present = domain::present(&self.profile);
        if !present.contains(label) {
            return Err(CaptureError::NoSuchPart {
                capture: self.name,
                part: format!("domain {label}"),
                present: present.into_iter().map(str::to_owned).collect(),
                none: "its samples name no domain",
            });
        }
        domain::keep(&mut self.profile, label);
        if let Some(baseline) = &mut self.baseline {
            domain::keep(baseline, label);
            // What others than OpenSSL held before is not known of every recording: then neither is
            // what a connection costs of theirs.
            if wanted == Part::Heap && baseline.samples().is_empty() {
                (self.baseline, self.connections) = (None, None);
            }
        }
        Ok(self)
    }

    /// Leaves out what jemalloc has sampled for Rust, unless there is nothing else: estimates that
    /// are not to be added to exact figures. Whether there was any.
    pub fn leave_out_sampled_domain(&mut self) -> bool {
        let present = domain::present(&self.profile);
        if present.len() < 2 || !present.contains(RUST_DOMAIN) {
            return false;
        }
        let profiles = [Some(&mut self.profile), self.baseline.as_mut()];
        for profile in profiles.into_iter().flatten() {
            domain::leave_out(profile, RUST_DOMAIN);
        }
        true
    }

    /// Keeps the samples of one process, or of all with one program's name, where one is wanted.
    pub fn of_process(mut self, wanted: Option<&str>) -> Result<Capture, CaptureError> {
        let Some(wanted) = wanted else { return Ok(self) };
        let present = process::present(&self.profile);
        if !present.iter().any(|label| process::is(label, wanted)) {
            return Err(CaptureError::NoSuchPart {
                capture: self.name,
                part: format!("process {wanted}"),
                present: present.into_iter().map(str::to_owned).collect(),
                none: "it does not tell processes apart",
            });
        }
        process::keep(&mut self.profile, wanted);
        if let Some(baseline) = &mut self.baseline {
            process::keep(baseline, wanted);
        }
        if self.counted == Counted::SslObjects {
            self.connections = self.live_ssl_objects().and_then(NonZeroU64::new);
        }
        Ok(self)
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

    /// Uses this number of connections where the capture does not say its own.
    #[must_use]
    pub fn or_connections(mut self, connections: Option<NonZeroU64>) -> Capture {
        if self.connections.is_none() && connections.is_some() {
            self.connections = connections;
            self.counted = Counted::Told;
        }
        self
    }

    /// For a capture whose connections nobody has told: those that a recording has found to be
    /// open, or else SSL objects.
    fn count_ssl_objects(&mut self) {
        if self.counted != Counted::SslObjects {
            return;
        }
        let found = self.recording().filter(|record| record.steps.is_some());
        let live = match found {
            Some(record) => record.connections,
            None => self.live_ssl_objects(),
        };
        self.connections = live.and_then(NonZeroU64::new);
    }

    fn live_ssl_objects(&self) -> Option<u64> {
        let live = objects(&self.profile)?.get(&Object::Ssl).copied()?;
        u64::try_from(live).ok()
    }

    /// Whether somebody has said how many connections there are who knows it.
    pub fn is_told(&self) -> bool {
        self.counted == Counted::Told
    }

    /// Refuses a sampled capture, for what needs to know every block, as "a diagnosis".
    pub fn counted_exactly(&self, what: &'static str) -> Result<(), CaptureError> {
        match self.profile.sampling {
            None => Ok(()),
            Some(sampling) => {
                Err(CaptureError::Sampled { capture: self.name.clone(), sampling, what })
            }
        }
    }

    /// The run's record, if that is what made the capture.
    pub fn run(&self) -> Option<&RunRecord> {
        match &self.known {
            Known::Run(record) => Some(record),
            _ => None,
        }
    }

    /// The recording's record, if that is what made the capture.
    pub fn recording(&self) -> Option<&Recording> {
        match &self.known {
            Known::Recording(record) => Some(record),
            _ => None,
        }
    }

    /// Whether the recorded program has ended, and how.
    pub fn ending(&self) -> Ending {
        match self.recording() {
            Some(record) if record.is_at_peak() => match record.exit_code {
                Some(_) => Ending::ByItself,
                None => Ending::Killed,
            },
            _ => Ending::Unknown,
        }
    }

    /// The column to look at where nobody has chosen: the moment that a diagnosis judges.
    pub fn usual_column(&self) -> Column {
        Column::usual(&self.profile, self.ending())
    }

    /// The column that was chosen, or else the usual one. One that is chosen has to be there.
    pub fn chosen_column(&self, chosen: Option<Column>) -> Result<Column, CaptureError> {
        let Some(column) = chosen else { return Ok(self.usual_column()) };
        match self.profile.column(column.bytes()) {
            Some(_) => Ok(column),
            None => Err(self.no_column(column.word())),
        }
    }

    /// The column in which several captures are compared: the one that was chosen, which all of
    /// them have to have, or else what they have in common ([`Column::in_common`]).
    pub fn common_column(
        captures: &[&Capture],
        chosen: Option<Column>,
    ) -> Result<Column, CaptureError> {
        if let Some(column) = chosen {
            for capture in captures {
                capture.chosen_column(chosen)?;
            }
            return Ok(column);
        }
        let sides = captures.iter().map(|capture| (capture.usual_column(), &capture.profile));
        Ok(Column::in_common(&sides.collect::<Vec<_>>()))
    }

    /// Connections to which figures of a column can be put down: those at the capture had no hand
    /// in what was there at the peak, and of those that came and went only a load knows.
    pub fn connections_of(&self, column: Column) -> Option<NonZeroU64> {
        match column {
            Column::InUse => self.connections,
            Column::Allocated => self.connections.filter(|_| self.is_told()),
            Column::Peak => None,
        }
    }

    /// The rows of the profile.
    pub fn rows(&self, by: By, column: Column) -> Vec<Row> {
        group_in(&self.profile, by, column)
    }

    /// The rows of the profile less those of the baseline, if there is one.
    pub fn grown_rows(&self, by: By, column: Column) -> Vec<Row> {
        growth(&self.rows(by, column), &self.baseline_rows(by, column).unwrap_or_default())
    }

    /// The rows with their shares: of one connection where the number of connections is known.
    pub fn top(&self, by: By, column: Column) -> Top {
        let rows = self.rows(by, column);
        match self.connections_of(column) {
            Some(connections) => {
                let baseline = self.baseline_rows(by, column);
                Top::per_connection(&rows, baseline.as_deref(), connections)
            }
            None => Top::of_process(&rows),
        }
    }

    fn baseline_rows(&self, by: By, column: Column) -> Option<Vec<Row>> {
        self.baseline.as_ref().map(|baseline| group_in(baseline, by, column))
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

    /// The column to draw: the one asked for, else the bytes of the usual one, else the file's own
    /// default.
    pub fn column(&self, wanted: Option<Metric>) -> Result<usize, CaptureError> {
        let types = self.profile.sample_types();
        match wanted {
            Some(metric) => {
                self.profile.column(metric).ok_or_else(|| self.no_column(metric.kind()))
            }
            None => self
                .profile
                .column(self.usual_column().bytes())
                .or(self.profile.default_sample_type())
                // As pprof has it.
                .or(types.len().checked_sub(1))
                .ok_or_else(|| CaptureError::NoValues(self.name.clone())),
        }
    }

    fn no_column(&self, column: &'static str) -> CaptureError {
        let own: Vec<&str> = Column::of(&self.profile).map(Column::word).collect();
        let present = if own.is_empty() {
            // Of another profiler: what it calls them.
            self.profile.sample_types().iter().map(|one| one.kind.clone()).collect()
        } else {
            own.into_iter().map(str::to_owned).collect()
        };
        CaptureError::NoColumn { capture: self.name.clone(), column, present }
    }

    /// The folder that the capture was read from, if it was one.
    pub fn folder(&self) -> Option<&Path> {
        match &self.beside {
            Beside::In(folder) => Some(folder),
            _ => None,
        }
    }

    /// What an engine has measured beside the moment, where the capture was made just now.
    pub fn moments(&self) -> Option<&Moments> {
        match &self.beside {
            Beside::Here(moments) => Some(moments),
            _ => None,
        }
    }

    /// Memory over time, where it is known.
    pub fn timeline(&self) -> Result<Option<Timeline>, CaptureError> {
        Ok(match &self.beside {
            Beside::Nowhere => None,
            Beside::Here(moments) => moments.timeline.as_ref().map(Table::as_read),
            Beside::In(folder) => crate::timeline::read(&folder.join(crate::folder::TIMELINE))?,
        })
    }
}
