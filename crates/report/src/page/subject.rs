//! What the page says of one capture.

use std::collections::BTreeMap;
use std::num::NonZeroU64;

use analysis::category::{DOMAIN_LABEL, OPENSSL_DOMAIN, is_openssls};
use analysis::column::Column;
use analysis::composition::composition;
use analysis::diff::{Change, diff_versions, margins_of_totals};
use analysis::group::{By, Counts, Row, group_in};
use analysis::moved::Versions;
use analysis::objects::objects;
use analysis::per_connection::growth;
use analysis::rss_account::Group;
use analysis::stacks::{ColumnOf, Stack, grown_stacks};
use analysis::top::{Figures, Top};
use capture::records::comparison::Figures as Compared;
use capture::records::recording::Recording;
use capture::records::resident::AccountRecord;
use capture::records::run::PerConnection;
use capture::records::what_if::WhatIf;
use capture::{Capture, CaptureError, Examined, Part};
use profile::{Profile, Sample};

use super::{Shown, choices, measured, sizes, stays, tried};
use crate::account;
use crate::drawable::drawable;
use crate::fit::shorten;
use crate::html::{Account, AccountLine, AccountOf, Beside, Found, Spread, Step, Subject, Whole};

/// A capture with all that is known of it, in all its parts and with categories.
#[derive(Debug)]
pub struct Told {
    pub(super) name: String,
    pub(super) capture: Capture,
    /// Of a comparison's configuration.
    figures: Option<Compared>,
    /// What the capture's configuration is, in a sentence; may be empty.
    summary: String,
    /// Fixes that were tried on it.
    tried: Option<WhatIf>,
}

impl Told {
    /// A whole capture ([`Capture::open_whole`], or one that was made just now). `figures` are
    /// those of a comparison that it is part of; `summaries` knows what standard configurations
    /// are, by their names.
    pub fn new(
        capture: Capture,
        figures: Option<Compared>,
        summaries: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Told, CaptureError> {
        let capture = capture.part(Some(Part::Whole))?;
        let (name, summary) = match capture.run() {
            Some(record) => {
                let name = record.configuration.clone();
                let summary = match &figures {
                    Some(figures) => Some(figures.summary.clone()),
                    None => summaries(&name),
                };
                (name, summary.unwrap_or_default())
            }
            None => (capture.name.clone(), String::new()),
        };
        Ok(Told { name, capture, figures, summary, tried: None })
    }

    /// With what fixes saved that were tried on it one by one.
    #[must_use]
    pub fn with_fixes(self, tried: WhatIf) -> Told {
        Told { name: shorten(&tried.subject, LONGEST), tried: Some(tried), ..self }
    }

    /// The rows that the figures are made of: OpenSSL's, where the capture knows which those are.
    pub(super) fn rows(&self, profile: &Profile, column: Column) -> Vec<Row> {
        let mut rows = group_in(profile, By::Site, column);
        if self.knows_openssl() {
            rows.retain(|row| row.key.domain == OPENSSL_DOMAIN);
        }
        rows
    }

    pub(super) fn baseline_rows(&self, column: Column) -> Vec<Row> {
        let baseline = self.capture.baseline.as_ref();
        baseline.map(|baseline| self.rows(baseline, column)).unwrap_or_default()
    }

    /// At rest less the baseline, which is empty where it is not known.
    fn grown_rows(&self, column: Column) -> Vec<Row> {
        growth(&self.rows(&self.capture.profile, column), &self.baseline_rows(column))
    }

    fn knows_openssl(&self) -> bool {
        let domain = |sample: &Sample| sample.label(DOMAIN_LABEL) == Some(OPENSSL_DOMAIN);
        self.capture.profile.samples().iter().any(domain)
    }

    /// What its figures come to in a column.
    fn bytes(&self, column: Column) -> Option<f64> {
        let profile = &self.capture.profile;
        let knows_openssl = self.knows_openssl();
        let is_counted =
            |sample: &&Sample| !knows_openssl || sample.label(DOMAIN_LABEL) == Some(OPENSSL_DOMAIN);
        let mut counted = profile.samples().iter().filter(is_counted).peekable();
        // Of nothing at all nothing is known.
        counted.peek()?;
        Some(Counts::total_of(profile, counted).of(column.bytes())? as f64)
    }

    /// What its figures were at the highest total of each process.
    pub(super) fn peak(&self) -> Option<f64> {
        self.bytes(Column::Peak)
    }

    /// Whether nothing is in use of what was there once.
    pub(super) fn gave_everything_back(&self) -> bool {
        self.bytes(Column::InUse) == Some(0.0) && self.peak().is_some_and(|peak| peak > 0.0)
    }

    fn top(&self, column: Column) -> Top {
        let rows = self.rows(&self.capture.profile, column);
        match self.capture.connections_of(column) {
            Some(connections) => {
                Top::per_connection(&rows, Some(&self.baseline_rows(column)), connections)
            }
            None => Top::of_process(&rows),
        }
    }

    /// The stacks of the figures, and those of other domains. Per connection they are less the
    /// baseline, as the figures are.
    fn stacks(&self, shown: Column) -> Result<(Vec<Stack>, Vec<Stack>), CaptureError> {
        let column = match self.capture.profile.column(shown.bytes()) {
            Some(column) => column,
            None => self.capture.column(None)?,
        };
        let kind = &self.capture.profile.sample_types()[column].kind;
        let baseline = match self.capture.connections_of(shown) {
            Some(_) => self.capture.baseline.as_ref(),
            None => None,
        };
        let baseline = baseline.and_then(|profile| {
            let column = profile.sample_types().iter().position(|t| t.kind == *kind)?;
            Some(ColumnOf { profile, column })
        });
        let profile = drawable(&self.capture.profile);
        let before = baseline.map(|baseline| (drawable(baseline.profile), baseline.column));
        let before = before.as_ref().map(|(profile, column)| ColumnOf { profile, column: *column });
        let stacks = grown_stacks(ColumnOf { profile: &profile, column }, before);
        Ok(if self.knows_openssl() {
            stacks.into_iter().partition(|stack| is_openssls(stack.group))
        } else {
            (stacks, Vec::new())
        })
    }
}

/// What a page is called after at the most: a program may have many arguments.
const LONGEST: usize = 60;

/// Calls captures by their folders where several are of one configuration, and counts what still
/// has one name.
pub fn name_apart(told: &mut [Told]) {
    let count = |told: &[Told], name: &str| told.iter().filter(|one| one.name == name).count();
    let repeated: Vec<bool> = told.iter().map(|one| count(told, &one.name) > 1).collect();
    for (one, repeated) in told.iter_mut().zip(repeated) {
        if repeated {
            one.name.clone_from(&one.capture.name);
        }
    }
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for one in told {
        let times = seen.entry(one.name.clone()).or_default();
        *times += 1;
        if *times > 1 {
            one.name = format!("{} ({times})", one.name);
        }
    }
}

/// What the page says of `told`, and of the step from `before` to it.
pub fn subject(told: &Told, before: Option<&Told>, shown: &Shown) -> Result<Subject, CaptureError> {
    let top = told.top(shown.column);
    let (stacks, other_stacks) = told.stacks(shown.column)?;
    let timeline = told.capture.timeline()?;
    Ok(Subject {
        name: told.name.clone(),
        summary: summary(told),
        moment: shown.moment.clone(),
        parts: composition(&top),
        stacks,
        other_stacks,
        beside: beside(told),
        objects: live_objects(told),
        step: before.and_then(|before| step(before, told, &top, shown.column)),
        whole: whole(told),
        peak: told.peak().filter(|_| top.figures == Figures::Process),
        found: found(told),
        tried: told.tried.as_ref().map(tried::fixes).unwrap_or_default(),
        choices: choices::of(&told.capture, shown.column, shown.choices_bytes)?,
        accounts: accounts(told),
        sizes: told.capture.recording().map(sizes::block_sizes).unwrap_or_default(),
        stays: stays::after_close(told)?,
        timeline,
        measured: measured::of(&told.capture),
        sampling: told.capture.profile.sampling,
        top,
    })
}

/// What `tlsheap diagnose` finds in it.
fn found(told: &Told) -> Found {
    // It has its categories.
    let usual = told.capture.clone().unlabelled_part(None);
    match usual.and_then(|capture| Examined::with_series(&capture)) {
        Ok(examined) => Found::Diagnosis(Box::new(examined.diagnosis)),
        Err(why) => Found::Unknown(why.to_string()),
    }
}

fn summary(told: &Told) -> String {
    let Some(record) = told.capture.run() else { return String::new() };
    let known = told.summary.clone();
    match record.ended.as_str() {
        "clean" => known,
        why => format!("{known} – the run ended early: {why}").trim_start_matches(" – ").to_owned(),
    }
}

fn beside(told: &Told) -> Beside {
    let measured = |median: Option<f64>, range: Option<(f64, f64)>| {
        let range = range.filter(|(least, most)| least < most);
        median.map(|median| Spread { median, range })
    };
    let record = told.capture.run().and_then(|record| record.per_connection.as_ref());
    let mut beside = Beside {
        allocations: record.map(|cost| cost.allocations),
        allocations_margin: record.and_then(PerConnection::allocations_margin),
        ..Beside::default()
    };
    if let Some(figures) = &told.figures {
        beside.rss = measured(figures.rss_per_connection, figures.rss_per_connection_spread);
        beside.handshakes_per_second =
            measured(figures.handshakes_per_second, figures.handshakes_per_second_spread);
    }
    beside
}

fn live_objects(told: &Told) -> BTreeMap<String, i64> {
    match told.capture.run() {
        Some(record) => record.at_rest.objects.clone(),
        None => objects(&told.capture.profile)
            .unwrap_or_default()
            .into_iter()
            .map(|(object, count)| (object.name().to_owned(), count))
            .collect(),
    }
}

/// What one connection costs in all, where all was recorded.
fn whole(told: &Told) -> Option<Whole> {
    let growth = account::told_growth(told.capture.recording()?)?;
    Some(Whole {
        bytes: growth.total,
        made_of: account::made_of(growth),
        how: account::how_told(growth),
    })
}

/// What resident memory was made of: in a run while connections were open, and after they were
/// closed; in a recording of everything at the capture, and what a connection more made of it.
fn accounts(told: &Told) -> Vec<Account> {
    let Some(record) = told.capture.run() else {
        return told.capture.recording().map(accounts_of_recording).unwrap_or_default();
    };
    let moments = [
        (&record.rss.at_rest, "with every connection open"),
        (&record.rss.closed, "after the last connection was closed"),
    ];
    moments
        .into_iter()
        .filter_map(|(account, moment)| Some(account_of(account.as_ref()?, moment)))
        .collect()
}

/// When the account of a recording was made, in words.
pub(super) fn moment_of_account(recording: &Recording) -> &'static str {
    if recording.is_at_peak() {
        "when they were last looked into before the end"
    } else {
        "at the capture"
    }
}

fn accounts_of_recording(recording: &Recording) -> Vec<Account> {
    let Some(account) = &recording.account else { return Vec::new() };
    let moment = moment_of_account(recording);
    let all = Account {
        moment: if recording.is_at_peak() {
            moment.to_owned()
        } else {
            format!("{moment}, in no file")
        },
        of: AccountOf::Processes,
        ..with_lines(account::parts_at_capture(account))
    };
    let one = account.told_growth().map(|growth| Account {
        moment: format!(
            "for each connection that came, from {} to {} SSL objects",
            growth.from_connections, growth.to_connections
        ),
        of: AccountOf::Connection,
        ..with_lines(account::parts_of_one(growth))
    });
    one.into_iter().chain([all]).collect()
}

/// Whole bytes, whose sum is the account's.
fn with_lines(parts: Vec<account::Part>) -> Account {
    let lines = parts.into_iter().map(|part| AccountLine {
        name: part.name,
        bytes: part.bytes.round() as i64,
        ..AccountLine::default()
    });
    let lines: Vec<AccountLine> = lines.filter(|line| line.bytes != 0).collect();
    let resident = lines.iter().map(|line| line.bytes).sum();
    Account { resident, lines, ..Account::default() }
}

fn account_of(account: &AccountRecord, moment: &str) -> Account {
    let group = |name: &str| Group::ALL.into_iter().find(|group| group.name() == name);
    let parts = account.parts.iter().filter(|part| part.bytes != 0).map(|part| AccountLine {
        name: part.label.clone(),
        bytes: part.bytes,
        margin: part.margin(),
        of: match group(&part.group) {
            Some(group) if group.label() != part.label => group.label().to_owned(),
            _ => String::new(),
        },
    });
    let rest = AccountLine {
        name: "not explained".to_owned(),
        bytes: account.not_explained_bytes,
        margin: None,
        of: String::new(),
    };
    Account {
        moment: moment.to_owned(),
        of: AccountOf::Processes,
        resident: account.rss_bytes as i64,
        lines: parts.chain([rest]).collect(),
    }
}

/// Per connection where both sides know their connections; none between a figure per connection
/// and one of a whole process.
fn step(before: &Told, after: &Told, top: &Top, column: Column) -> Option<Step> {
    let connections: Option<(NonZeroU64, NonZeroU64)> =
        match [before, after].map(|told| told.capture.connections_of(column)) {
            [Some(old), Some(new)] => Some((old, new)),
            [None, None] => None,
            _ => return None,
        };
    let [old, new] = [before, after].map(|told| match connections {
        Some(_) => told.grown_rows(column),
        None => told.rows(&told.capture.profile, column),
    });
    let [was, is] = [before, after].map(|told| told.capture.openssl.as_deref());
    Some(Step {
        bytes: Change { before: before.top(column).bytes?, after: top.bytes? },
        bytes_margins: margins_of_totals(&old, &new, connections),
        rows: diff_versions(&old, &new, connections, Versions::of(was, is)),
    })
}
