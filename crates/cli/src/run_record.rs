//! `run.json`: what was run, on what, and what came of it. Documented in docs/json.md.

use std::collections::BTreeMap;
use std::num::NonZeroU64;
use std::path::Path;

use analysis::group;
use analysis::objects;
use analysis::ratio::Estimated;
use analysis::rss_account::Account;
use anyhow::Context;
use ledger::{Counts, Snapshot, Statistics};
use profile::{Metric, Profile, Sampling, Symbolisation};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::failure::Failure;
use crate::interval_json::{
    self, BytesAndBlocksInterval, CountsInterval, Ends, ends_of_held, of_any_bytes,
};
use crate::machine::Machine;

/// The version of this file's shape.
pub const SCHEMA: u32 = 1;

/// One run.
#[derive(Debug, Serialize, Deserialize)]
pub struct RunRecord {
    /// [`SCHEMA`].
    pub schema: u32,
    /// How the run ended: `clean`, or a sentence that says what went wrong.
    pub ended: String,
    /// The server's configuration.
    pub configuration: String,
    /// Connections that were open at rest; `null` when the run ended before that.
    pub connections: Option<NonZeroU64>,
    /// Programs and their versions.
    pub versions: Versions,
    /// What it ran on.
    pub machine: Machine,
    /// When, and how long the phases took.
    pub times: Times,
    /// The command line.
    pub command: Vec<String>,
    /// What connections agreed on.
    pub negotiated: Vec<Value>,
    /// OpenSSL's share of one connection: (at rest − baseline) / connections.
    pub per_connection: Option<PerConnection>,
    /// OpenSSL's memory as soon as the server listened, before any connection.
    pub at_start: CountsRecord,
    /// OpenSSL's memory after the warm-up, before the first connection that counts.
    pub baseline: Moment,
    /// OpenSSL's memory with every connection open and echoed; without a rest, the last reading.
    pub at_rest: Moment,
    /// OpenSSL's memory after the last connection was closed.
    pub closed: Option<Moment>,
    /// What resident memory is made of; `null` at moments for which that is not known, and absent
    /// in runs of older versions.
    #[serde(default)]
    pub rss: RssRecord,
    /// What the load found.
    pub load: Option<Value>,
    /// What the recorder says of itself.
    pub recorder: RecorderRecord,
    /// The recorder's own memory at rest; `null` when that is not known, and absent in runs of
    /// older versions.
    #[serde(default)]
    pub recorder_memory: Option<RecorderMemory>,
    /// How well addresses could be named.
    pub symbols: SymbolsRecord,
}

/// What the recorder itself takes of the server's resident memory.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct RecorderMemory {
    /// The ledger and the recorder's tables, with every connection at rest.
    pub resident_bytes: u64,
    /// Those bytes for each block that OpenSSL held then.
    pub bytes_per_live_block: f64,
    /// How far off that may be, where the blocks are estimates and surely some.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes_per_live_block_interval95: Option<Ends>,
    /// What was added since the baseline, for each block that was added.
    pub bytes_per_added_block: f64,
    /// The same of that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes_per_added_block_interval95: Option<Ends>,
}

/// Programs and their versions.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Versions {
    /// This program.
    pub tlsheap: String,
    /// The commit it was built from, where it is known.
    pub commit: Option<String>,
    /// The profiled OpenSSL.
    pub openssl: String,
}

/// When, and how long.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Times {
    /// When the server was started.
    pub started: String,
    /// From the load's start to the last connection's first echo.
    pub until_rest_seconds: Option<f64>,
    /// From then to the capture.
    pub hold_seconds: Option<f64>,
}

/// OpenSSL's share of one connection.
#[derive(Debug, Serialize, Deserialize)]
pub struct PerConnection {
    /// Requested bytes.
    pub bytes: f64,
    /// Blocks.
    pub blocks: f64,
    /// Allocations from the load's start to the capture: handshake, welcome and echoes.
    pub allocations: f64,
    /// How far off bytes and blocks may be, where they are estimates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval95: Option<BytesAndBlocksInterval>,
    /// The same of the allocations.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allocations_interval95: Option<Ends>,
}

impl PerConnection {
    /// Half the width of the 95 % interval of the allocations; `None` where they are exact.
    pub fn allocations_margin(&self) -> Option<f64> {
        interval_json::margin(self.allocations, self.allocations_interval95)
    }
}

/// OpenSSL's memory at one moment.
#[derive(Debug, Serialize, Deserialize)]
pub struct Moment {
    /// Totals of the ledger.
    pub openssl: CountsRecord,
    /// The server's resident memory, recorder and all.
    pub rss_bytes: Option<u64>,
    /// Rust's memory; `null` when the server could not be asked.
    #[serde(default)]
    pub rust: Option<RustRecord>,
    /// Live OpenSSL objects by kind.
    pub objects: BTreeMap<String, i64>,
}

/// Rust's memory at one moment.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct RustRecord {
    /// All that jemalloc has given out and that is neither OpenSSL's nor its own, in size classes.
    pub inuse_bytes: i64,
    /// How far off they may be, where OpenSSL's are estimates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inuse_bytes_interval95: Option<Ends>,
    /// What jemalloc's sample stands for; `null` when it took none.
    pub sample: Option<SampleRecord>,
}

/// What a sample of blocks stands for.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct SampleRecord {
    /// One byte in so many was sampled, on average.
    pub period_bytes: u64,
    pub inuse_bytes: i64,
    pub inuse_blocks: i64,
}

/// What resident memory is made of, at the three moments.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct RssRecord {
    pub baseline: Option<AccountRecord>,
    pub at_rest: Option<AccountRecord>,
    pub closed: Option<AccountRecord>,
}

/// What resident memory is made of.
#[derive(Debug, Serialize, Deserialize)]
pub struct AccountRecord {
    /// Resident memory; equals the sum of the parts and of `not_explained_bytes`.
    pub rss_bytes: u64,
    /// The share that the parts explain, from 0 to 1.
    pub explained: f64,
    /// What no part explains; below zero when the parts are more than there is.
    pub not_explained_bytes: i64,
    /// Always the same parts in the same order.
    pub parts: Vec<PartRecord>,
}

/// One named part of resident memory.
#[derive(Debug, Serialize, Deserialize)]
pub struct PartRecord {
    pub name: String,
    pub group: String,
    /// A few words for people.
    pub label: String,
    /// Below zero for what is in other parts and not resident.
    pub bytes: i64,
    /// How far off they may be, where they are estimates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes_interval95: Option<Ends>,
}

/// The six figures of a ledger.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct CountsRecord {
    pub inuse_bytes: u64,
    pub inuse_blocks: u64,
    pub alloc_bytes: u64,
    pub alloc_blocks: u64,
    pub peak_bytes: u64,
    pub peak_blocks: u64,
    /// How far off they may be, where they are estimates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval95: Option<CountsInterval>,
}

/// What the recorder says of itself.
#[derive(Debug, Serialize, Deserialize)]
pub struct RecorderRecord {
    pub sites: u64,
    pub site_capacity: u64,
    pub dropped_blocks: u64,
    pub dropped_bytes: u64,
    pub untracked_blocks: u64,
    pub untracked_bytes: u64,
    /// How far off that may be, where a part of the blocks was counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub untracked_bytes_interval95: Option<Ends>,
    pub foreign_frees: u64,
    pub stale_blocks: u64,
    pub nested_calls: u64,
    pub truncated_stacks: u64,
    pub hook_replaced: bool,
    #[serde(default)]
    pub sandboxed: bool,
    #[serde(default)]
    pub unrecorded_children: u64,
    /// How far samples lie apart, where a part of the blocks was counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sampled_every_bytes: Option<u64>,
    pub ledger_bytes: u64,
    pub private_bytes: u64,
}

/// How well addresses could be named.
#[derive(Debug, Serialize, Deserialize)]
pub struct SymbolsRecord {
    pub resolved: u64,
    pub unresolved: u64,
    pub outside: u64,
    pub unusable_modules: BTreeMap<String, String>,
}

impl RunRecord {
    /// Reads a run's `run.json`.
    pub fn read(path: &Path) -> Result<RunRecord, Failure> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read {}", path.display()))?;
        let value: Value =
            serde_json::from_str(&text).with_context(|| format!("{}: not JSON", path.display()))?;
        let schema = value["schema"].as_u64();
        if schema != Some(u64::from(SCHEMA)) {
            let found = schema.map_or("none".to_owned(), |schema| schema.to_string());
            return Err(Failure::usage(format!(
                "{}: expected a run of schema {SCHEMA}, found {found}",
                path.display()
            )));
        }
        Ok(serde_json::from_value(value).with_context(|| path.display().to_string())?)
    }
}

impl Moment {
    /// The ledger at that moment, with the objects counted in its profile.
    pub fn new(
        snapshot: &Snapshot,
        profile: &Profile,
        rss_bytes: Option<u64>,
        rust: Option<RustRecord>,
    ) -> Moment {
        let objects = objects::objects(profile).unwrap_or_default();
        Moment {
            openssl: CountsRecord::of(std::iter::once(snapshot)),
            rss_bytes,
            rust,
            objects: objects
                .into_iter()
                .map(|(object, count)| (object.name().to_owned(), count))
                .collect(),
        }
    }
}

impl RecorderMemory {
    /// From the baseline and the rest: what the recorder had resident, and what OpenSSL held.
    pub fn new(baseline: (u64, group::Counts), rest: (u64, group::Counts)) -> RecorderMemory {
        let share = |bytes: u64, counts: group::Counts| {
            let blocks = counts.inuse_blocks.unwrap_or_default().max(0) as f64;
            let margin = counts.margin(Metric::InuseObjects);
            let bytes = Estimated { figure: bytes as f64, margin: None };
            let each = bytes.divided_by(Estimated { figure: blocks, margin });
            (bytes.figure / blocks.max(1.0), each.and_then(interval_json::of_estimate))
        };
        let live = share(rest.0, rest.1);
        let added = share(rest.0.saturating_sub(baseline.0), rest.1.minus(baseline.1));
        RecorderMemory {
            resident_bytes: rest.0,
            bytes_per_live_block: live.0,
            bytes_per_live_block_interval95: live.1,
            bytes_per_added_block: added.0,
            bytes_per_added_block_interval95: added.1,
        }
    }

    /// Half the widths of the 95 % intervals of both figures per block.
    pub fn margins(&self) -> [Option<f64>; 2] {
        [
            (self.bytes_per_live_block, self.bytes_per_live_block_interval95),
            (self.bytes_per_added_block, self.bytes_per_added_block_interval95),
        ]
        .map(|(figure, ends)| interval_json::margin(figure, ends))
    }
}

impl AccountRecord {
    /// The bytes of all parts of a group.
    pub fn of_group(&self, group: &str) -> i64 {
        self.parts.iter().filter(|part| part.group == group).map(|part| part.bytes).sum()
    }

    /// Half the width of the 95 % interval of [`AccountRecord::of_group`]; `None` where that is exact.
    pub fn margin_of_group(&self, group: &str) -> Option<f64> {
        PartRecord::margin_of(self.parts.iter().filter(|part| part.group == group))
    }
}

impl PartRecord {
    /// Half the width of the 95 % interval of `bytes`; `None` where they are exact.
    pub fn margin(&self) -> Option<f64> {
        Some(self.bytes_interval95?[1] - self.bytes as f64)
    }

    /// The same of the sum of parts. All parts are estimated from the same blocks, which may be in
    /// them with the same sign: margins add up as they are.
    pub fn margin_of<'a>(parts: impl Iterator<Item = &'a PartRecord>) -> Option<f64> {
        parts.filter_map(PartRecord::margin).reduce(|sum, margin| sum + margin)
    }
}

impl From<&Account> for AccountRecord {
    fn from(account: &Account) -> AccountRecord {
        AccountRecord {
            rss_bytes: account.rss,
            explained: account.explained(),
            not_explained_bytes: account.not_explained(),
            parts: account
                .parts
                .iter()
                .map(|part| PartRecord {
                    name: part.name.to_owned(),
                    group: part.group.name().to_owned(),
                    label: part.label.to_owned(),
                    bytes: part.bytes,
                    bytes_interval95: part
                        .margin
                        .map(|margin| ends_of_held(part.bytes as f64, margin)),
                })
                .collect(),
        }
    }
}

impl From<Counts> for CountsRecord {
    fn from(counts: Counts) -> CountsRecord {
        CountsRecord {
            inuse_bytes: counts.inuse_bytes,
            inuse_blocks: counts.inuse_blocks,
            alloc_bytes: counts.alloc_bytes,
            alloc_blocks: counts.alloc_blocks,
            peak_bytes: counts.peak_bytes,
            peak_blocks: counts.peak_blocks,
            interval95: None,
        }
    }
}

impl CountsRecord {
    /// The totals of ledgers.
    pub fn of<'a>(ledgers: impl Iterator<Item = &'a Snapshot> + Clone) -> CountsRecord {
        let mut totals = Counts::default();
        ledgers.clone().for_each(|ledger| totals.add(&ledger.totals()));
        let interval95 = CountsInterval::of_ledgers(&totals, ledgers);
        CountsRecord { interval95, ..totals.into() }
    }

    /// Half the width of the 95 % interval of the bytes in use; `None` where they are exact.
    pub fn inuse_bytes_margin(&self) -> Option<f64> {
        interval_json::margin(self.inuse_bytes as f64, self.interval95?.inuse_bytes)
    }
}

impl RecorderRecord {
    /// What a recorder said that sampled so, if it did.
    pub fn new(statistics: &Statistics, sampling: Option<Sampling>) -> RecorderRecord {
        RecorderRecord {
            sites: statistics.sites,
            site_capacity: statistics.site_capacity,
            dropped_blocks: statistics.dropped.alloc_blocks,
            dropped_bytes: statistics.dropped.alloc_bytes,
            untracked_blocks: statistics.untracked_blocks,
            untracked_bytes: statistics.untracked_bytes,
            untracked_bytes_interval95: of_any_bytes(statistics.untracked_bytes, sampling),
            foreign_frees: statistics.foreign_frees,
            stale_blocks: statistics.stale_blocks,
            nested_calls: statistics.nested_calls,
            truncated_stacks: statistics.truncated_stacks,
            hook_replaced: statistics.hook_replaced,
            sandboxed: statistics.sandboxed,
            unrecorded_children: statistics.unrecorded_children,
            sampled_every_bytes: sampling.map(Sampling::interval),
            ledger_bytes: statistics.ledger_bytes,
            private_bytes: statistics.private_bytes,
        }
    }
}

impl From<&Symbolisation> for SymbolsRecord {
    fn from(symbols: &Symbolisation) -> SymbolsRecord {
        SymbolsRecord {
            resolved: symbols.resolved,
            unresolved: symbols.unresolved,
            outside: symbols.outside,
            unusable_modules: symbols.unusable_modules.clone(),
        }
    }
}
