//! `top --json` and `diff --json`: stable field names, documented in docs/json.md.

use std::collections::HashMap;

use analysis::category::unknown_share;
use analysis::column::Column;
use analysis::diff::{Change, DiffRow, Side};
use analysis::group::{By, Counts, Key, Row};
use analysis::top::{Figures, Top, TopRow};
use profile::Sampling;
use serde::Serialize;

use crate::capture::{Capture, Counted};
use crate::json::interval::{self, BytesAndBlocksInterval, CountsInterval, Ends};
use crate::json::objects::ObjectsJson;

/// The version of these shapes.
const SCHEMA: u32 = 1;

/// `top --json`.
#[derive(Serialize)]
pub struct TopJson<'a> {
    schema: u32,
    by: &'static str,
    /// What rows are ordered by and connections are given their shares of.
    column: &'static str,
    connections: Option<u64>,
    connections_from: Option<&'static str>,
    /// How far samples lie apart, where figures are estimates.
    #[serde(skip_serializing_if = "Option::is_none")]
    sampled_every_bytes: Option<u64>,
    totals: CountsJson,
    per_connection: Option<PerConnectionJson>,
    /// The part of all bytes in use whose category is unknown.
    unknown_share: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    unknown_share_interval95: Option<Ends>,
    objects: Option<ObjectsJson>,
    sites: Vec<SiteJson<'a>>,
}

#[derive(Serialize)]
struct PerConnectionJson {
    bytes: Option<f64>,
    blocks: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    interval95: Option<BytesAndBlocksInterval>,
    /// Whether what was there before the first connection is taken off.
    less_baseline: bool,
}

/// Figures that the profile does not have are `null`.
#[derive(Debug, Serialize)]
pub(super) struct CountsJson {
    inuse_bytes: Option<i64>,
    inuse_blocks: Option<i64>,
    alloc_bytes: Option<i64>,
    alloc_blocks: Option<i64>,
    peak_bytes: Option<i64>,
    peak_blocks: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    interval95: Option<CountsInterval>,
}

/// What a row stands for. What `--by` leaves out is `null`.
#[derive(Debug, Serialize)]
pub(super) struct KeyJson<'a> {
    file: Option<&'a str>,
    line: Option<u32>,
    function: Option<&'a str>,
    category: Option<&'a str>,
    domain: Option<&'a str>,
}

#[derive(Serialize)]
struct SiteJson<'a> {
    #[serde(flatten)]
    key: KeyJson<'a>,
    #[serde(flatten)]
    counts: CountsJson,
    bytes_per_connection: Option<f64>,
    blocks_per_connection: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    interval95_per_connection: Option<BytesAndBlocksInterval>,
}

/// `diff --json`.
#[derive(Serialize)]
pub struct DiffJson<'a> {
    schema: u32,
    by: &'static str,
    /// What is compared.
    column: &'static str,
    /// Whether the figures of the rows are per connection.
    per_connection: bool,
    before: SideJson<'a>,
    after: SideJson<'a>,
    rows: Vec<ChangeJson<'a>>,
}

#[derive(Serialize)]
struct SideJson<'a> {
    name: &'a str,
    openssl: Option<&'a str>,
    connections: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sampled_every_bytes: Option<u64>,
    totals: CountsJson,
}

#[derive(Serialize)]
struct ChangeJson<'a> {
    #[serde(flatten)]
    key: KeyJson<'a>,
    side: &'static str,
    /// Where the site was before, if it has moved.
    before_file: Option<&'a str>,
    before_line: Option<u32>,
    before_bytes: Option<f64>,
    after_bytes: Option<f64>,
    delta_bytes: Option<f64>,
    before_blocks: Option<f64>,
    after_blocks: Option<f64>,
    delta_blocks: Option<f64>,
    /// Of the two deltas.
    #[serde(skip_serializing_if = "Option::is_none")]
    before_interval95: Option<BytesAndBlocksInterval>,
    #[serde(skip_serializing_if = "Option::is_none")]
    after_interval95: Option<BytesAndBlocksInterval>,
    #[serde(skip_serializing_if = "Option::is_none")]
    interval95: Option<BytesAndBlocksInterval>,
    /// Whether bytes changed by more than chance may have made.
    #[serde(skip_serializing_if = "Option::is_none")]
    significant: Option<bool>,
}

/// The word for it on the command line and in JSON.
pub(super) fn name(by: By) -> &'static str {
    match by {
        By::Site => "site",
        By::Function => "function",
        By::File => "file",
        By::Category => "category",
    }
}

impl<'a> TopJson<'a> {
    /// The capture's rows with their shares of one connection, most bytes first.
    pub fn new(capture: &Capture, by: By, rows: &'a [Row], top: &'a Top) -> TopJson<'a> {
        let per_connection = matches!(top.figures, Figures::PerConnection(_));
        let shares: HashMap<&Key, &TopRow> =
            top.rows.iter().filter(|_| per_connection).map(|row| (&row.key, row)).collect();
        let site = |key: &'a Key, counts: Counts| {
            let share = shares.get(key);
            SiteJson {
                key: KeyJson::new(key, by),
                counts: counts.into(),
                bytes_per_connection: share.and_then(|row| row.bytes),
                blocks_per_connection: share.and_then(|row| row.blocks),
                interval95_per_connection: share.and_then(|row| {
                    let blocks = (row.blocks, row.blocks_margin);
                    BytesAndBlocksInterval::of((row.bytes, row.bytes_margin), blocks)
                }),
            }
        };
        let known: std::collections::HashSet<&Key> = rows.iter().map(|row| &row.key).collect();
        let zero = Counts::total(&capture.profile).zeroed();
        let mut sites: Vec<SiteJson> = rows.iter().map(|row| site(&row.key, row.counts)).collect();
        // What only the baseline held is gone, and takes its share off.
        sites.extend(
            top.rows.iter().filter(|row| !known.contains(&row.key)).map(|row| site(&row.key, zero)),
        );
        let unknown = unknown_share(&capture.profile);
        TopJson {
            schema: SCHEMA,
            by: name(by),
            column: top.column.word(),
            connections: capture.connections.map(std::num::NonZeroU64::get),
            connections_from: capture.connections.map(|_| match capture.counted {
                Counted::Told => "told",
                Counted::SslObjects => "ssl_objects",
            }),
            sampled_every_bytes: capture.profile.sampling.map(Sampling::interval),
            totals: Counts::total(&capture.profile).into(),
            per_connection: per_connection.then_some(PerConnectionJson {
                bytes: top.bytes,
                blocks: top.blocks,
                interval95: BytesAndBlocksInterval::of(
                    (top.bytes, top.bytes_margin),
                    (top.blocks, top.blocks_margin),
                ),
                less_baseline: capture.baseline.is_some(),
            }),
            unknown_share: unknown.figure,
            unknown_share_interval95: interval::of_estimate(unknown),
            objects: capture
                .objects()
                .map(|(all, grown)| ObjectsJson::new(&all, &grown, capture.connections)),
            sites,
        }
    }
}

impl<'a> DiffJson<'a> {
    /// The changes, largest first.
    pub fn new(
        before: &'a Capture,
        after: &'a Capture,
        (by, column): (By, Column),
        rows: &'a [DiffRow],
        per_connection: bool,
    ) -> DiffJson<'a> {
        DiffJson {
            schema: SCHEMA,
            by: name(by),
            column: column.word(),
            per_connection,
            before: SideJson::new(before),
            after: SideJson::new(after),
            rows: rows.iter().map(|row| ChangeJson::new(row, by)).collect(),
        }
    }
}

impl SideJson<'_> {
    fn new(capture: &Capture) -> SideJson<'_> {
        SideJson {
            name: &capture.name,
            openssl: capture.openssl.as_deref(),
            connections: capture.connections.map(std::num::NonZeroU64::get),
            sampled_every_bytes: capture.profile.sampling.map(Sampling::interval),
            totals: Counts::total(&capture.profile).into(),
        }
    }
}

impl<'a> ChangeJson<'a> {
    fn new(row: &'a DiffRow, by: By) -> ChangeJson<'a> {
        let (bytes, blocks) = (row.bytes, row.blocks);
        ChangeJson {
            key: KeyJson::new(&row.key, by),
            side: match row.side {
                Side::Both => "both",
                Side::OnlyBefore => "only_before",
                Side::OnlyAfter => "only_after",
            },
            before_file: row.was.as_ref().map(|was| was.file.as_str()),
            before_line: row.was.as_ref().map(|was| was.line),
            before_bytes: bytes.map(|change| change.before),
            after_bytes: bytes.map(|change| change.after),
            delta_bytes: bytes.map(Change::delta),
            before_blocks: blocks.map(|change| change.before),
            after_blocks: blocks.map(|change| change.after),
            delta_blocks: blocks.map(Change::delta),
            before_interval95: BytesAndBlocksInterval::of(
                (bytes.map(|change| change.before), row.bytes_margins.before),
                (blocks.map(|change| change.before), row.blocks_margins.before),
            ),
            after_interval95: BytesAndBlocksInterval::of(
                (bytes.map(|change| change.after), row.bytes_margins.after),
                (blocks.map(|change| change.after), row.blocks_margins.after),
            ),
            interval95: BytesAndBlocksInterval::of(
                (bytes.map(Change::delta), row.bytes_margins.change),
                (blocks.map(Change::delta), row.blocks_margins.change),
            ),
            significant: row.bytes_margins.change.map(|_| row.is_significant()),
        }
    }
}

impl<'a> KeyJson<'a> {
    pub(super) fn new(key: &'a Key, by: By) -> KeyJson<'a> {
        let when = |shown: &[By], text: &'a str| shown.contains(&by).then_some(text);
        KeyJson {
            file: when(&[By::Site, By::Function, By::File], &key.file),
            line: (by == By::Site).then_some(key.line),
            function: when(&[By::Site, By::Function], &key.function),
            category: when(&[By::Site, By::Category], &key.category),
            domain: (!key.domain.is_empty()).then_some(&key.domain),
        }
    }
}

impl From<Counts> for CountsJson {
    fn from(counts: Counts) -> CountsJson {
        CountsJson {
            inuse_bytes: counts.inuse_bytes,
            inuse_blocks: counts.inuse_blocks,
            alloc_bytes: counts.alloc_bytes,
            alloc_blocks: counts.alloc_blocks,
            peak_bytes: counts.peak_bytes,
            peak_blocks: counts.peak_blocks,
            interval95: CountsInterval::of(&counts),
        }
    }
}
