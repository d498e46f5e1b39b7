//! What the recorder's own memory is for each block that it counts.

use profile::Metric;

use crate::counts::Counts;
use crate::ratio::Estimated;

/// What the recorder had resident at one moment, and for what.
#[derive(Clone, Copy, Debug)]
pub struct Held {
    /// The ledger and the recorder's tables, in bytes of resident memory.
    pub resident_bytes: u64,
    /// What OpenSSL held then.
    pub openssl: Counts,
}

/// The recorder's resident memory, and its shares of one block. A share of no blocks is that of
/// one; it has no margin where the blocks are exact, and none where there may have been no block.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RecorderMemory {
    /// Bytes with every connection at rest.
    pub resident_bytes: u64,
    /// The resident bytes for each block that OpenSSL held then.
    pub per_live_block: Estimated,
    /// The bytes that were added since the baseline, for each block that was added.
    pub per_added_block: Estimated,
}

impl RecorderMemory {
    /// From the moment before the first connection and the one with all of them at rest.
    pub fn of(baseline: Held, rest: Held) -> RecorderMemory {
        let added = Held {
            resident_bytes: rest.resident_bytes.saturating_sub(baseline.resident_bytes),
            openssl: rest.openssl.minus(baseline.openssl),
        };
        RecorderMemory {
            resident_bytes: rest.resident_bytes,
            per_live_block: rest.per_block(),
            per_added_block: added.per_block(),
        }
    }
}

impl Held {
    fn per_block(self) -> Estimated {
        let bytes = self.resident_bytes as f64;
        let blocks = self.openssl.inuse_blocks.unwrap_or_default().max(0) as f64;
        let blocks =
            Estimated { figure: blocks, margin: self.openssl.margin(Metric::InuseObjects) };
        let each = Estimated { figure: bytes, margin: None }.divided_by(blocks);
        Estimated {
            figure: bytes / blocks.figure.max(1.0),
            margin: each.and_then(|each| each.margin),
        }
    }
}

#[cfg(test)]
mod tests {
    use ledger::{Site, Snapshot};
    use profile::Sampling;

    use super::*;

    fn held(resident_bytes: u64, blocks: u64, sampling: Option<Sampling>) -> Held {
        let counts = ledger::Counts { inuse_blocks: blocks, ..ledger::Counts::default() };
        let site = Site { block_bytes: 100, counts, ..Site::default() };
        let ledger = Snapshot { sites: vec![site], sampling, ..Snapshot::default() };
        Held { resident_bytes, openssl: Counts::of_ledgers([&ledger]) }
    }

    #[test]
    fn exact_blocks_have_exact_shares_and_none_is_no_division_by_zero() {
        let exact = |figure: f64| Estimated { figure, margin: None };
        let memory = RecorderMemory::of(held(1_000, 10, None), held(5_000, 50, None));
        assert_eq!(memory.resident_bytes, 5_000);
        assert_eq!(memory.per_live_block, exact(100.0));
        assert_eq!(memory.per_added_block, exact(100.0));
        let same = RecorderMemory::of(held(1_000, 10, None), held(900, 10, None));
        assert_eq!(same.per_added_block, exact(0.0));
        assert_eq!(
            RecorderMemory::of(held(0, 0, None), held(7, 0, None)).per_live_block,
            exact(7.0)
        );
    }

    #[test]
    fn of_samples_the_share_is_as_uncertain_as_the_blocks() {
        let sampling = Sampling::every(1_000);
        let memory = RecorderMemory::of(held(0, 0, sampling), held(50_000, 1_000, sampling));
        let margin = memory.per_live_block.margin.expect("an estimate");
        let blocks = held(0, 1_000, sampling).openssl.margin(Metric::InuseObjects);
        let relative = blocks.expect("an estimate") / 1_000.0;
        assert_eq!(memory.per_live_block.figure, 50.0);
        assert!((margin / 50.0) > relative, "{margin}: the far end of a ratio is farther off");
        let few = RecorderMemory::of(held(0, 0, sampling), held(50_000, 1, sampling));
        assert_eq!(few.per_live_block.margin, None, "there may have been no block at all");
    }
}
