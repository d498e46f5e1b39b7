//! What a run comes to: its capture, from what was measured.

use std::num::NonZeroU64;

use analysis::category::label_categories;
use analysis::cost::{self, Cost};
use analysis::counts::Counts;
use analysis::group::{By, group};
use analysis::recorder_memory::{self, RecorderMemory};
use analysis::rss_account::{Figures, account};
use analysis::rust_in_use::{Correction, Rounded};
use analysis::top::Top;
use capture::json::interval::{BytesAndBlocksInterval, ends_of_held};
use capture::machine::Machine;
use capture::records::counts::{self, CountsRecord, RustRecord, SampleRecord};
use capture::records::recorder::RecorderRecord;
use capture::records::resident::{AccountRecord, RssRecord};
use capture::records::run::{PerConnection, RunRecord, SCHEMA, Times, Versions};
use capture::{Capture, Moments};
use profile::{Metric, Profile, Symbols, from_ledger, merge};

use super::measurement::{Ended, Measured};
use super::moment::Moment;
use super::over_time::heap;
use super::rust_domain::{self, RustDomain};
use super::{Options, Run, account_figures};
use crate::FrontEnd;

/// The capture of a run, whether it ended well or not.
pub fn gather(options: &Options, front_end: &FrontEnd<'_>, measured: &Measured) -> Run {
    let mut symbols = Symbols::new();
    let (rest, connections) = match &measured.at_rest {
        Some((moment, connections)) => (moment, NonZeroU64::new(*connections as u64)),
        None => (&measured.last, None),
    };
    let mut warnings = Vec::new();
    let mut examine = |moment| Examined::new(moment, &mut symbols, &mut warnings);
    let baseline = examine(&measured.baseline);
    let rested = examine(rest);
    let closed = measured.closed.as_ref().map(examine);

    let correction = rested.correction().or(baseline.correction());
    let timeline = measured.over_time.table(&measured.last.snapshot, &mut symbols, correction);
    let record = RunRecord {
        schema: SCHEMA,
        ended: match &measured.ended {
            Ended::Clean => "clean".to_owned(),
            Ended::Early(sentence) => sentence.clone(),
        },
        configuration: measured.configuration.clone(),
        connections,
        versions: Versions {
            tlsheap: front_end.made_by.version.clone(),
            commit: front_end.made_by.commit.clone(),
            openssl: measured.openssl.clone(),
        },
        machine: Machine::this(),
        times: Times {
            started: measured.started.clone(),
            until_rest_seconds: measured.until_rest.map(|time| time.as_secs_f64()),
            hold_seconds: connections.map(|_| options.hold.as_secs_f64()),
        },
        command: front_end.command.clone(),
        negotiated: measured.negotiated.clone(),
        per_connection: connections
            .map(|connections| per_connection(&baseline, &rested, connections)),
        at_start: CountsRecord::of(std::iter::once(&measured.at_start.snapshot)),
        baseline: baseline.record(),
        at_rest: rested.record(),
        closed: closed.as_ref().map(Examined::record),
        rss: RssRecord {
            baseline: baseline.account(),
            at_rest: rested.account().filter(|_| measured.at_rest.is_some()),
            closed: closed.as_ref().and_then(Examined::account),
        },
        load: measured.load.as_ref().and_then(|found| serde_json::to_value(found).ok()),
        recorder: {
            let last = &measured.last.snapshot;
            RecorderRecord::new(&last.statistics, last.sampling)
        },
        recorder_memory: baseline
            .recorder_memory()
            .zip(rested.recorder_memory().filter(|_| measured.at_rest.is_some()))
            .map(|(before, rest)| (&RecorderMemory::of(before, rest)).into()),
        symbols: symbols.summary().into(),
    };
    let moments = Moments {
        before: None,
        closed: closed.as_ref().map(Examined::whole),
        timeline: Some(timeline),
        processes: Vec::new(),
    };
    let capture = Capture::of_run(record, rested.whole(), baseline.whole(), moments);
    Run { capture, ended: measured.ended.clone(), warnings }
}

/// What the connections added, for each of them.
fn per_connection(
    baseline: &Examined,
    rested: &Examined,
    connections: NonZeroU64,
) -> PerConnection {
    let cost = Cost::per_connection(&baseline.held(), &rested.held(), connections);
    let rows = group(&rested.openssl, By::Site);
    let before = group(&baseline.openssl, By::Site);
    let top = Top::per_connection(&rows, Some(&before), connections);
    let allocations = cost.allocations.figure;
    PerConnection {
        bytes: cost.bytes.figure,
        blocks: cost.blocks.figure,
        allocations,
        interval95: BytesAndBlocksInterval::of(
            (top.bytes, top.bytes_margin),
            (top.blocks, top.blocks_margin),
        ),
        allocations_interval95: cost
            .allocations
            .margin
            .map(|margin| [allocations - margin, allocations + margin]),
    }
}

/// A moment, made sense of.
struct Examined<'a> {
    moment: &'a Moment,
    /// OpenSSL's part, exact.
    openssl: Profile,
    /// Rust's part, sampled.
    rust: Option<RustDomain>,
    /// The same, where every block was counted.
    counted: Option<Profile>,
    figures: Option<Figures>,
}

impl Examined<'_> {
    /// What could not be made sense of is a warning and left out: the run's main figures do not
    /// need it.
    fn new<'a>(
        moment: &'a Moment,
        symbols: &mut Symbols,
        warnings: &mut Vec<String>,
    ) -> Examined<'a> {
        let mut openssl = from_ledger(&moment.snapshot, symbols);
        label_categories(&mut openssl);
        let dumped = moment.heap.as_ref();
        let rust = dumped
            .and_then(|heap| known(rust_domain::read(heap, &moment.snapshot, symbols), warnings));
        let counted = moment.rust.as_ref().map(|snapshot| rust_domain::counted(snapshot, symbols));
        let figures = known(account_figures::read(moment, rust.as_ref()), warnings);
        Examined { moment, openssl, rust, counted, figures }
    }

    /// OpenSSL's part and Rust's in one profile.
    fn whole(&self) -> Profile {
        let mut whole = self.openssl.clone();
        // One of the two: they are the same blocks.
        match (&self.counted, &self.rust) {
            (Some(counted), _) => merge(&mut whole, counted),
            (None, Some(rust)) => rust.add_to(&mut whole),
            (None, None) => return whole,
        }
        label_categories(&mut whole);
        whole
    }

    fn account(&self) -> Option<AccountRecord> {
        self.figures.as_ref().map(|figures| (&account(figures)).into())
    }

    /// What the recorder has resident, and for what.
    fn recorder_memory(&self) -> Option<recorder_memory::Held> {
        let owners = self.figures.as_ref()?.owners;
        Some(recorder_memory::Held {
            resident_bytes: owners.ledger + owners.tables,
            openssl: Counts::total(&self.openssl),
        })
    }

    /// What OpenSSL held.
    fn held(&self) -> cost::Held {
        cost::Held { totals: self.moment.snapshot.totals(), openssl: Counts::total(&self.openssl) }
    }

    fn correction(&self) -> Option<Correction> {
        let asked = self.moment.heap.as_ref()?;
        let sampled = self.rust.as_ref().map_or(0, |rust| rust.small_sampled_bytes);
        let rounded = Rounded::of(&self.moment.snapshot);
        let usable = asked.openssl_usable_bytes;
        Some(Correction::new(&heap(&asked.statistics), sampled, usable, &rounded))
    }

    fn record(&self) -> counts::Moment {
        let sample = self.rust.as_ref().map(|rust| SampleRecord {
            period_bytes: rust.period,
            inuse_bytes: rust.total(Metric::InuseSpace),
            inuse_blocks: rust.total(Metric::InuseObjects),
        });
        let rust = self.figures.map(|figures| {
            let inuse_bytes = figures.rust_in_use();
            let margin = figures.rust_in_use_margin();
            RustRecord {
                inuse_bytes,
                inuse_bytes_interval95: margin
                    .map(|margin| ends_of_held(inuse_bytes as f64, margin)),
                sample,
                counted: self.moment.rust.as_ref().map(|it| it.totals().into()),
            }
        });
        let Moment { snapshot, rss_bytes, .. } = self.moment;
        counts::Moment::new(snapshot, &self.openssl, *rss_bytes, rust)
    }
}

/// What was found, if it was.
fn known<T>(found: Result<Option<T>, String>, warnings: &mut Vec<String>) -> Option<T> {
    found.unwrap_or_else(|why| {
        warnings.push(why);
        None
    })
}
