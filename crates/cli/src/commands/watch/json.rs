//! `watch --json`.

use analysis::objects::Object;
use capture::json::watch::{
    WatchJson, WatchedCostJson, WatchedDomainJson, WatchedProcessJson, WatchedRatesJson,
    WatchedRowJson,
};
use capture::records::recorder::RecorderRecord;
use contract::Domain;
use live::{Comparison, Cost, LiveRow};

use live::words;

use super::Shown;

/// The record of a look with these rows.
pub fn record<'a>(
    comparison: &Comparison<'a>,
    rows: &'a [LiveRow],
    shown: &Shown,
) -> WatchJson<'a> {
    let view = comparison.now;
    let row = |row: &'a LiveRow| {
        WatchedRowJson::new(&row.key, shown.by, row.counts)
            .grown_by(row.change_bytes, row.change_blocks)
            .with(row.bytes_per_connection, row.allocations_per_second)
    };
    WatchJson {
        schema: WatchJson::SCHEMA,
        target: &view.name,
        at: words::stamp(view),
        look: view.number,
        seconds: view.after.as_secs_f64(),
        processes: view
            .processes
            .iter()
            .map(|process| WatchedProcessJson {
                pid: process.pid,
                program: &process.program,
                inuse_bytes: process.counts.inuse_bytes,
                inuse_blocks: process.counts.inuse_blocks,
                connections: process.connections.map(|it| it.live),
                resident_bytes: process.resident_bytes,
            })
            .collect(),
        ended_processes: view.ended,
        connections: view.connections.map(|it| it.live),
        connections_made: view.connections.map(|it| it.made),
        per_connection: WatchedCostJson {
            how: view.cost.how(),
            bytes: view.cost.bytes(),
            blocks: view.cost.blocks(),
            certain: matches!(&view.cost, Cost::Steps(steps) if steps.is_certain()),
        },
        per_second: view.rates.map(|rates| WatchedRatesJson {
            over_seconds: rates.over.as_secs_f64(),
            allocations: rates.allocations,
            frees: rates.frees,
            allocated_bytes: rates.bytes,
            connections_made: rates.connections,
        }),
        objects: view.objects.as_ref().map(|objects| {
            let each = Object::ALL.into_iter();
            each.map(|it| (it.name(), objects.get(&it).copied().unwrap_or_default())).collect()
        }),
        domains: Domain::ALL
            .into_iter()
            .filter_map(|domain| Some((domain, view.totals.get(&domain)?)))
            .map(|(domain, counts)| WatchedDomainJson {
                domain: domain.word(),
                inuse_bytes: counts.inuse_bytes,
                inuse_blocks: counts.inuse_blocks,
                alloc_bytes: counts.alloc_bytes,
                alloc_blocks: counts.alloc_blocks,
            })
            .collect(),
        by: WatchJson::word(shown.by),
        rows: rows.iter().map(row).collect(),
        recorder: RecorderRecord::new(&view.recorder, view.sampling),
        problems: &view.problems,
    }
}
