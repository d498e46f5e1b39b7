//! The run's files, from what was measured.

use std::num::NonZeroU64;

use analysis::category::label_categories;
use analysis::group::{By, Counts, group};
use analysis::per_connection::margin;
use analysis::rss_account::{Figures, account};
use analysis::top::Top;
use profile::{Metric, Profile, Symbols, from_ledger, pprof};
use report::flamegraph::{FlameOptions, flamegraph};

use crate::capture::exactness;
use crate::commands::run::measurement::{Ended, Measured};
use crate::commands::run::moment::Moment;
use crate::commands::run::rust_domain::{self, RustDomain};
use crate::commands::run::rust_in_use::Correction;
use crate::commands::run::{Options, account_figures};
use crate::failure::Failure;
use crate::interval_json::{BytesAndBlocksInterval, ends_of_held};
use crate::machine::{Machine, commit};
use crate::run_folder::{self, NewFolder};
use crate::run_record::{
    self, AccountRecord, CountsRecord, PerConnection, RecorderMemory, RecorderRecord, RssRecord,
    RunRecord, RustRecord, SCHEMA, SampleRecord, Times, Versions,
};
use crate::whole_file;

/// What was written, for the answer.
pub struct Written {
    pub record: RunRecord,
    pub top: Top,
}

/// Writes every file of the folder, and removes the ledger.
pub fn write(
    options: &Options,
    measured: &Measured,
    folder: &NewFolder,
) -> Result<Written, Failure> {
    let mut symbols = Symbols::new();
    let (rest, connections) = match &measured.at_rest {
        Some((moment, connections)) => (moment, NonZeroU64::new(*connections as u64)),
        None => (&measured.last, None),
    };
    let baseline = Examined::new(&measured.baseline, &mut symbols);
    let heap = Examined::new(rest, &mut symbols);
    let closed = measured.closed.as_ref().map(|moment| Examined::new(moment, &mut symbols));

    let put = |name: &str, bytes: &[u8]| whole_file::write(&folder.file(name), bytes);
    put(run_folder::BASELINE, &pprof::write(&baseline.whole()))?;
    let whole = heap.whole();
    put(run_folder::HEAP, &pprof::write(&whole))?;
    if let Some(closed) = &closed {
        put(run_folder::CLOSED, &pprof::write(&closed.whole()))?;
    }
    let correction = heap.correction().or(baseline.correction());
    let table = measured.over_time.table(&measured.last.snapshot, &mut symbols, correction);
    let estimated =
        if options.sample.is_some() { ", OpenSSL's estimated from samples" } else { "" };
    table.write(folder, &format!("{}: memory over time{estimated}", measured.configuration))?;
    if let Some(svg) = draw(measured, &whole, connections)? {
        put(run_folder::FLAME, &svg)?;
    }

    let rows = group(&heap.openssl, By::Site);
    let top = match connections {
        Some(connections) => {
            Top::per_connection(&rows, Some(&group(&baseline.openssl, By::Site)), connections)
        }
        None => Top::in_use(&rows),
    };
    let record = RunRecord {
        schema: SCHEMA,
        ended: match &measured.ended {
            Ended::Clean => "clean".to_owned(),
            Ended::Early(sentence) => sentence.clone(),
        },
        configuration: measured.configuration.clone(),
        connections,
        versions: Versions {
            tlsheap: env!("CARGO_PKG_VERSION").to_owned(),
            commit: commit().map(str::to_owned),
            openssl: measured.openssl.clone(),
        },
        machine: Machine::this(),
        times: Times {
            started: measured.started.clone(),
            until_rest_seconds: measured.until_rest.map(|time| time.as_secs_f64()),
            hold_seconds: connections.map(|_| options.hold.as_secs_f64()),
        },
        command: std::env::args().collect(),
        negotiated: measured.negotiated.clone(),
        per_connection: connections
            .map(|connections| per_connection(&baseline, &heap, &top, connections)),
        at_start: CountsRecord::of(std::iter::once(&measured.at_start.snapshot)),
        baseline: baseline.record(),
        at_rest: heap.record(),
        closed: closed.as_ref().map(Examined::record),
        rss: RssRecord {
            baseline: baseline.account(),
            at_rest: heap.account().filter(|_| measured.at_rest.is_some()),
            closed: closed.as_ref().and_then(Examined::account),
        },
        load: measured.load.clone(),
        recorder: {
            let last = &measured.last.snapshot;
            RecorderRecord::new(&last.statistics, last.sampling)
        },
        recorder_memory: baseline
            .recorder_memory()
            .zip(heap.recorder_memory().filter(|_| measured.at_rest.is_some()))
            .map(|(before, rest)| RecorderMemory::new(before, rest)),
        symbols: symbols.summary().into(),
    };
    let mut json = serde_json::to_vec_pretty(&record)?;
    json.push(b'\n');
    put(run_folder::RUN, &json)?;
    std::fs::remove_file(folder.file(run_folder::LEDGER))?;

    Ok(Written { record, top })
}

/// What the connections added, for each of them.
fn per_connection(
    baseline: &Examined,
    heap: &Examined,
    top: &Top,
    connections: NonZeroU64,
) -> PerConnection {
    let growth = Counts::total(&heap.openssl).minus(Counts::total(&baseline.openssl));
    let (rest, before) = (heap.moment.snapshot.totals(), baseline.moment.snapshot.totals());
    let share = |now: u64, before: u64| (now as f64 - before as f64) / connections.get() as f64;
    let allocations = share(rest.alloc_blocks, before.alloc_blocks);
    PerConnection {
        bytes: share(rest.inuse_bytes, before.inuse_bytes),
        blocks: share(rest.inuse_blocks, before.inuse_blocks),
        allocations,
        interval95: BytesAndBlocksInterval::of(
            (top.bytes, top.bytes_margin),
            (top.blocks, top.blocks_margin),
        ),
        allocations_interval95: margin(&growth, Metric::AllocObjects, connections)
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
    figures: Option<Figures>,
}

impl Examined<'_> {
    fn new<'a>(moment: &'a Moment, symbols: &mut Symbols) -> Examined<'a> {
        let mut openssl = from_ledger(&moment.snapshot, symbols);
        label_categories(&mut openssl);
        let dumped = moment.heap.as_ref();
        let rust =
            dumped.and_then(|heap| known(rust_domain::read(heap, &moment.snapshot, symbols)));
        let figures = known(account_figures::read(moment, rust.as_ref()));
        Examined { moment, openssl, rust, figures }
    }

    /// OpenSSL's part and Rust's in one profile.
    fn whole(&self) -> Profile {
        let mut whole = self.openssl.clone();
        if let Some(rust) = &self.rust {
            rust.add_to(&mut whole);
            label_categories(&mut whole);
        }
        whole
    }

    fn account(&self) -> Option<AccountRecord> {
        self.figures.as_ref().map(|figures| (&account(figures)).into())
    }

    /// What the recorder has resident, and for what.
    fn recorder_memory(&self) -> Option<(u64, Counts)> {
        let owners = self.figures.as_ref()?.owners;
        Some((owners.ledger + owners.tables, Counts::total(&self.openssl)))
    }

    fn correction(&self) -> Option<Correction> {
        let heap = self.moment.heap.as_ref()?;
        let sampled = self.rust.as_ref().map_or(0, |rust| rust.small_sampled_bytes);
        let usable = heap.openssl_usable_bytes;
        Some(Correction::new(&heap.statistics, sampled, usable, &self.moment.snapshot))
    }

    fn record(&self) -> run_record::Moment {
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
            }
        });
        let Moment { snapshot, rss_bytes, .. } = self.moment;
        run_record::Moment::new(snapshot, &self.openssl, *rss_bytes, rust)
    }
}

/// What could not be made sense of is said and left out: the run's main figures do not need it.
fn known<T>(found: anyhow::Result<Option<T>>) -> Option<T> {
    found.unwrap_or_else(|error| {
        anstream::eprintln!("tlsheap: warning: {error:#}");
        None
    })
}

/// The flamegraph; a process that held nothing has none.
fn draw(
    measured: &Measured,
    heap: &Profile,
    connections: Option<NonZeroU64>,
) -> Result<Option<Vec<u8>>, Failure> {
    let Some(column) = heap.column(Metric::InuseSpace).filter(|column| heap.total(*column) > 0)
    else {
        return Ok(None);
    };
    let mut flame = FlameOptions::titled(&measured.configuration);
    let exactness = exactness(heap, column).phrase();
    flame.subtitle = Some(match connections {
        Some(n) => format!("bytes in use, {n} connections at rest; {exactness}"),
        None => format!("bytes in use when the run ended early; {exactness}"),
    });
    Ok(Some(flamegraph(heap, column, &flame)?))
}
