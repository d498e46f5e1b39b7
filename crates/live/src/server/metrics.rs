//! `/metrics`: Prometheus's text format.

use std::fmt::Write as _;

use analysis::footprint::Footprint;
use analysis::group::By;
use analysis::objects::Object;
use axum::extract::State;
use recording::kernel::processor_time;

use crate::server::answer::{Answer, answer, unreadable};
use crate::server::routes::Shared;
use crate::server::source::Looked;
use crate::{Cost, View};

/// A metric: its name, what it is to Prometheus, its labels, what it means.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// Its name.
    pub name: &'static str,
    /// `gauge` or `counter`.
    pub kind: &'static str,
    /// The names of its labels.
    pub labels: &'static [&'static str],
    /// What it means, in a sentence.
    pub help: &'static str,
    lines: fn(&Seen<'_>) -> Vec<Line>,
}

/// The values of labels, and the figure.
type Line = (Vec<&'static str>, f64);

/// What metrics are made of.
struct Seen<'a> {
    view: &'a View,
    resident: Option<Footprint>,
}

const fn gauge(
    name: &'static str,
    labels: &'static [&'static str],
    help: &'static str,
    lines: fn(&Seen<'_>) -> Vec<Line>,
) -> Metric {
    Metric { name, kind: "gauge", labels, help, lines }
}

const fn counter(
    name: &'static str,
    labels: &'static [&'static str],
    help: &'static str,
    lines: fn(&Seen<'_>) -> Vec<Line>,
) -> Metric {
    Metric { name, kind: "counter", labels, help, lines }
}

/// Every metric, in the order in which they are given. docs/fleet.md has the same table.
pub const METRICS: &[Metric] = &[
    gauge(
        "tlsheap_inuse_bytes",
        &["domain", "category"],
        "Bytes in use: as many as were asked for, by who asked and what for",
        |seen| by_category(seen.view, |row| row.counts.inuse_bytes),
    ),
    gauge(
        "tlsheap_inuse_blocks",
        &["domain", "category"],
        "Blocks in use, by who asked and what for",
        |seen| by_category(seen.view, |row| row.counts.inuse_blocks),
    ),
    counter(
        "tlsheap_allocated_bytes_total",
        &["domain"],
        "Bytes ever allocated, by processes that have ended too",
        |seen| by_domain(seen.view, |counts| counts.alloc_bytes),
    ),
    counter(
        "tlsheap_allocated_blocks_total",
        &["domain"],
        "Blocks ever allocated, by processes that have ended too",
        |seen| by_domain(seen.view, |counts| counts.alloc_blocks),
    ),
    gauge(
        "tlsheap_connections",
        &[],
        "SSL objects: one for each end of a connection in these processes; absent in a sample",
        |seen| seen.view.connections.map(|it| it.live as f64).map(alone).into_iter().collect(),
    ),
    counter(
        "tlsheap_connections_made_total",
        &[],
        "SSL objects ever made, by processes that have ended too; absent in a sample",
        |seen| seen.view.connections.map(|it| it.made as f64).map(alone).into_iter().collect(),
    ),
    gauge(
        "tlsheap_connection_bytes",
        &[],
        "Bytes of OpenSSL's memory that one connection holds, or holds at most; absent without \
         connections",
        |seen| seen.view.cost.bytes().map(alone).into_iter().collect(),
    ),
    gauge("tlsheap_connection_blocks", &[], "Blocks of these bytes", |seen| {
        seen.view.cost.blocks().map(alone).into_iter().collect()
    }),
    gauge(
        "tlsheap_connection_bytes_exact",
        &[],
        "1 where tlsheap_connection_bytes is exact; 0 where it is an estimate, or all that there is \
         by the number of connections",
        |seen| vec![alone(f64::from(u8::from(is_exact(&seen.view.cost))))],
    ),
    gauge(
        "tlsheap_objects",
        &["type"],
        "Live objects of OpenSSL's, by the names of their types; absent in a sample",
        |seen| {
            let objects = seen.view.objects.iter().flatten();
            objects.map(|(object, count)| (vec![object.name()], *count as f64)).collect()
        },
    ),
    gauge("tlsheap_processes", &[], "Recorded processes that run", |seen| {
        vec![alone(seen.view.processes.len() as f64)]
    }),
    counter(
        "tlsheap_processes_ended_total",
        &[],
        "Recorded processes that have ended while they were watched",
        |seen| vec![alone(seen.view.ended as f64)],
    ),
    gauge(
        "tlsheap_resident_bytes",
        &["part"],
        "Resident memory of the processes (Pss): anonymous, shared, files, and the recorder's own",
        resident,
    ),
    gauge(
        "tlsheap_recorder_dropped_blocks",
        &[],
        "Allocations under no site, since there was no room for it: they are in the totals alone",
        |seen| vec![alone(seen.view.recorder.dropped.alloc_blocks as f64)],
    ),
    gauge("tlsheap_recorder_dropped_bytes", &[], "Bytes of those", |seen| {
        vec![alone(seen.view.recorder.dropped.alloc_bytes as f64)]
    }),
    gauge(
        "tlsheap_recorder_untracked_blocks",
        &[],
        "Allocations that are in no figure, since there was no room for the block",
        |seen| vec![alone(seen.view.recorder.untracked_blocks as f64)],
    ),
    gauge(
        "tlsheap_recorder_foreign_frees",
        &[],
        "Frees of blocks that were never seen allocated",
        |seen| vec![alone(seen.view.recorder.foreign_frees as f64)],
    ),
    gauge(
        "tlsheap_recorder_stale_blocks",
        &[],
        "Blocks that were freed behind the recorder's back",
        |seen| vec![alone(seen.view.recorder.stale_blocks as f64)],
    ),
    gauge("tlsheap_recorder_sites", &[], "Allocation sites that were seen", |seen| {
        vec![alone(seen.view.recorder.sites as f64)]
    }),
    gauge("tlsheap_recorder_site_capacity", &[], "Sites that there is room for", |seen| {
        vec![alone(seen.view.recorder.site_capacity as f64)]
    }),
    gauge(
        "tlsheap_recorder_bytes",
        &["part"],
        "The recorder's own memory in the processes, resident or not: its ledger and its tables",
        |seen| {
            let recorder = &seen.view.recorder;
            vec![
                (vec!["ledger"], recorder.ledger_bytes as f64),
                (vec!["tables"], recorder.private_bytes as f64),
            ]
        },
    ),
    counter("tlsheap_watch_looks_total", &[], "How often tlsheap watch has looked", |seen| {
        vec![alone(seen.view.number as f64)]
    }),
    counter(
        "tlsheap_watch_processor_seconds_total",
        &[],
        "Processor time that tlsheap watch itself has used",
        |_| {
            let used = processor_time(std::process::id());
            used.map(|used| alone(used.as_secs_f64())).into_iter().collect()
        },
    ),
];

fn alone(figure: f64) -> Line {
    (Vec::new(), figure)
}

fn is_exact(cost: &Cost) -> bool {
    matches!(cost, Cost::Steps(steps) if steps.is_certain())
}

fn by_category(view: &View, figure: impl Fn(&analysis::group::Row) -> Option<i64>) -> Vec<Line> {
    let rows = view.rows(By::Category);
    let mut lines: Vec<Line> = rows
        .iter()
        .filter_map(|row| {
            let domain = contract::Domain::from_word(&row.key.domain)?.word();
            let category = analysis::category::by_name(&row.key.category)?.name;
            Some((vec![domain, category], figure(row)? as f64))
        })
        .collect();
    lines.sort_by(|one, other| one.0.cmp(&other.0));
    lines
}

fn by_domain(view: &View, figure: impl Fn(&ledger::Counts) -> u64) -> Vec<Line> {
    let totals = view.totals.iter();
    totals.map(|(domain, counts)| (vec![domain.word()], figure(counts) as f64)).collect()
}

fn resident(seen: &Seen<'_>) -> Vec<Line> {
    let Some(parts) = seen.resident else { return Vec::new() };
    vec![
        (vec!["anonymous"], parts.anonymous as f64),
        (vec!["shared"], parts.shared as f64),
        (vec!["files"], parts.files as f64),
        (vec!["recorder"], parts.recorder as f64),
    ]
}

pub(crate) async fn metrics(State(shared): State<Shared>) -> Answer {
    let made = shared.source.make(|Looked { view, follower, .. }| text(view, follower.resident()));
    match made.await {
        Ok(text) => answer("text/plain; version=0.0.4; charset=utf-8", text),
        Err(error) => unreadable(&error),
    }
}

/// A metric without lines is left out: there is nothing to say.
fn text(view: &View, resident: Option<Footprint>) -> String {
    let seen = Seen { view, resident };
    let mut text = String::new();
    for metric in METRICS {
        let lines = (metric.lines)(&seen);
        if lines.is_empty() {
            continue;
        }
        let Metric { name, kind, labels, help, .. } = metric;
        let _ = writeln!(text, "# HELP {name} {help}.\n# TYPE {name} {kind}");
        for (values, figure) in lines {
            let labels: Vec<String> = labels
                .iter()
                .zip(values)
                .map(|(label, value)| format!("{label}=\"{value}\""))
                .collect();
            let labels = labels.join(",");
            let labels = if labels.is_empty() { labels } else { format!("{{{labels}}}") };
            let _ = writeln!(text, "{name}{labels} {figure}");
        }
    }
    text
}

// The types of objects and the words of domains and categories are ours: none has to be escaped.
const _: () = assert!(Object::ALL.len() == 10, "a new name: is it one that needs no escape?");
