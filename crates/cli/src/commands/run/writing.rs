//! The run's files, from what was measured.

use std::num::NonZeroU64;

use analysis::category::label_categories;
use analysis::group::{By, group};
use analysis::top::Top;
use profile::{Metric, Profile, Symbols, from_ledger, pprof};
use report::flamegraph::{FlameOptions, flamegraph};

use crate::commands::run::Options;
use crate::commands::run::measurement::{Ended, Measured};
use crate::failure::Failure;
use crate::machine::{Machine, commit};
use crate::run_folder::{self, NewFolder};
use crate::run_record::{Moment, PerConnection, RunRecord, SCHEMA, Times, Versions};
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
    let baseline = named(&measured.baseline.snapshot, &mut symbols);
    let heap = named(&rest.snapshot, &mut symbols);
    let closed = measured.closed.as_ref().map(|moment| named(&moment.snapshot, &mut symbols));

    let put = |name: &str, bytes: &[u8]| whole_file::write(&folder.file(name), bytes);
    put(run_folder::BASELINE, &pprof::write(&baseline))?;
    put(run_folder::HEAP, &pprof::write(&heap))?;
    if let Some(closed) = &closed {
        put(run_folder::CLOSED, &pprof::write(closed))?;
    }
    let timeline = measured.timeline.csv(&measured.last.snapshot, &mut symbols)?;
    put(run_folder::TIMELINE, &timeline)?;
    if let Some(svg) = draw(measured, &heap, connections)? {
        put(run_folder::FLAME, &svg)?;
    }

    let (rest_totals, before) = (rest.snapshot.totals(), measured.baseline.snapshot.totals());
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
        per_connection: connections.map(|connections| {
            let share =
                |now: u64, before: u64| (now as f64 - before as f64) / connections.get() as f64;
            PerConnection {
                bytes: share(rest_totals.inuse_bytes, before.inuse_bytes),
                blocks: share(rest_totals.inuse_blocks, before.inuse_blocks),
                allocations: share(rest_totals.alloc_blocks, before.alloc_blocks),
            }
        }),
        at_start: measured.at_start.snapshot.totals().into(),
        baseline: Moment::new(&measured.baseline.snapshot, &baseline, measured.baseline.rss_bytes),
        at_rest: Moment::new(&rest.snapshot, &heap, rest.rss_bytes),
        closed: measured
            .closed
            .as_ref()
            .zip(closed.as_ref())
            .map(|(moment, profile)| Moment::new(&moment.snapshot, profile, moment.rss_bytes)),
        load: measured.load.clone(),
        recorder: (&measured.last.snapshot.statistics).into(),
        symbols: symbols.summary().into(),
    };
    let mut json = serde_json::to_vec_pretty(&record)?;
    json.push(b'\n');
    put(run_folder::RUN, &json)?;
    std::fs::remove_file(folder.file(run_folder::LEDGER))?;

    let rows = group(&heap, By::Site);
    let top = match connections {
        Some(connections) => {
            Top::per_connection(&rows, Some(&group(&baseline, By::Site)), connections)
        }
        None => Top::in_use(&rows),
    };
    Ok(Written { record, top })
}

fn named(snapshot: &ledger::Snapshot, symbols: &mut Symbols) -> Profile {
    let mut profile = from_ledger(snapshot, symbols);
    label_categories(&mut profile);
    profile
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
    flame.subtitle = Some(match connections {
        Some(n) => format!("requested bytes in use, whole process, {n} connections at rest"),
        None => "requested bytes in use when the run ended early".to_owned(),
    });
    Ok(Some(flamegraph(heap, column, &flame)?))
}
