//! What was in use at one moment, in JSON.

use std::collections::BTreeMap;

use analysis::objects;
use ledger::{Counts, Snapshot};
use profile::Profile;
use serde::{Deserialize, Serialize};

use crate::json::interval::{self, CountsInterval, Ends};

/// OpenSSL's memory at one moment.
#[derive(Clone, Debug, Serialize, Deserialize)]
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
    /// Requested bytes and blocks, every one, where the allocator counts them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counted: Option<CountsRecord>,
}

/// What a sample of blocks stands for.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct SampleRecord {
    /// One byte in so many was sampled, on average.
    pub period_bytes: u64,
    /// Requested bytes in use.
    pub inuse_bytes: i64,
    /// Blocks in use.
    pub inuse_blocks: i64,
}

/// The six figures of a ledger.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct CountsRecord {
    /// Requested bytes in use.
    pub inuse_bytes: u64,
    /// Blocks in use.
    pub inuse_blocks: u64,
    /// Requested bytes ever allocated.
    pub alloc_bytes: u64,
    /// Blocks ever allocated.
    pub alloc_blocks: u64,
    /// Requested bytes at the process's highest total.
    pub peak_bytes: u64,
    /// Blocks at the process's highest total.
    pub peak_blocks: u64,
    /// How far off they may be, where they are estimates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval95: Option<CountsInterval>,
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
        interval::margin(self.inuse_bytes as f64, self.interval95?.inuse_bytes)
    }
}
