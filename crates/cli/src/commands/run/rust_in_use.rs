//! What Rust has in use at each tick, from what can be asked for that often.

use analysis::size_class::usable;
use echo_server::HeapStatistics;
use ledger::{Sampling, Site, Snapshot, Uncertainty};

/// OpenSSL's bytes in use, each site's rounded up to size classes as if its blocks were all of one
/// size.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rounded {
    bytes: u64,
    /// `None` where they are exact.
    off: Option<Uncertainty>,
}

impl Rounded {
    /// At one moment.
    pub fn of(snapshot: &Snapshot) -> Rounded {
        let of_average = |bytes: u64, blocks: u64| {
            bytes.checked_div(blocks).map_or(0, |average| usable(average).saturating_mul(blocks))
        };
        let Some(sampling) = snapshot.sampling else {
            let counts = snapshot.sites.iter().map(|site| site.counts);
            let bytes = counts
                .chain([snapshot.statistics.dropped])
                .map(|counts| of_average(counts.inuse_bytes, counts.inuse_blocks))
                .fold(0, u64::saturating_add);
            return Rounded { bytes, off: None };
        };
        // Where nothing was counted there may still be bytes: one sample more, in small blocks.
        let mut off = sampling.uncertainty_of_bytes(1, 0.0);
        let dropped = snapshot.statistics.dropped;
        let mut bytes = of_average(dropped.inuse_bytes, dropped.inuse_blocks) as f64;
        for site in snapshot.sites.iter().filter(|site| site.block_bytes > 0) {
            let (usable, of_site) = of_sampled(site, sampling);
            bytes += usable;
            off = off.and(of_site);
        }
        Rounded { bytes: bytes.round() as u64, off: Some(off) }
    }
}

/// A site of a sampled ledger knows the size of its blocks.
fn of_sampled(site: &Site, sampling: Sampling) -> (f64, Uncertainty) {
    let bytes = site.counts.inuse_bytes as f64;
    let growth = usable(site.block_bytes) as f64 / site.block_bytes as f64;
    let off = sampling.uncertainty_of_bytes(site.block_bytes, bytes);
    let square = growth * growth;
    let off = Uncertainty { variance: off.variance * square, one_more: off.one_more * square };
    (bytes * growth, off)
}

/// What one examination from all sides says of the figures at each tick, which are cheaper to get.
#[derive(Clone, Copy, Debug)]
pub struct Correction {
    /// Usable bytes in small blocks of the profiler's sample, as a share of the pages they have.
    pub sampled_share: f64,
    /// OpenSSL's usable bytes by block, as a share of those rounded up by site.
    pub rounding: f64,
}

impl Correction {
    /// From the figures of one moment.
    pub fn new(
        heap: &HeapStatistics,
        sampled: u64,
        usable: u64,
        snapshot: &Snapshot,
    ) -> Correction {
        let share = |part: u64, whole: u64| (whole > 0).then_some(part as f64 / whole as f64);
        Correction {
            sampled_share: share(sampled, heap.sampled_bytes).unwrap_or(0.0),
            rounding: share(usable, Rounded::of(snapshot).bytes).unwrap_or(1.0),
        }
    }

    /// What Rust has in use: all that is allocated, less what is jemalloc's own, free already, or
    /// OpenSSL's. The server answers a moment after the ledger was read: while connections come and
    /// go, the difference is off by what they allocated or freed in between.
    pub fn rust(&self, statistics: &HeapStatistics, openssl: &Rounded) -> u64 {
        let HeapStatistics { allocated, internal, cached, sampled_bytes, .. } = *statistics;
        let sampled = sampled_bytes as f64 * self.sampled_share;
        let openssl = openssl.bytes as f64 * self.rounding;
        // Negative figures become 0.
        (allocated as f64 + sampled - internal as f64 - cached as f64 - openssl).round() as u64
    }

    /// Half the width of the 95 % interval of what Rust has in use: it is as far off as what is taken
    /// away. `None` where that is exact.
    pub fn margin(&self, openssl: &Rounded) -> Option<u64> {
        Some((openssl.off?.margin() * self.rounding).round() as u64)
    }
}

#[cfg(test)]
mod tests {
    use ledger::Counts;

    use super::*;

    fn snapshot(sites: &[(u64, u64)]) -> Snapshot {
        let site = |(inuse_blocks, inuse_bytes): &(u64, u64)| Site {
            counts: Counts {
                inuse_blocks: *inuse_blocks,
                inuse_bytes: *inuse_bytes,
                ..Counts::default()
            },
            block_bytes: 100,
            ..Site::default()
        };
        Snapshot { sites: sites.iter().map(site).collect(), ..Snapshot::default() }
    }

    #[test]
    fn rust_is_what_is_allocated_and_neither_openssls_nor_free_nor_jemallocs() {
        // Two blocks of 100 bytes take 112 each, one of 17 takes 32.
        let snapshot = snapshot(&[(2, 200), (1, 17)]);
        let statistics = HeapStatistics {
            allocated: 1_000,
            internal: 30,
            cached: 20,
            sampled_bytes: 4_096,
            ..HeapStatistics::default()
        };
        let correction = Correction::new(&statistics, 1_024, 256, &snapshot);
        assert!((correction.sampled_share - 0.25).abs() < 1e-9);
        let openssl = Rounded::of(&snapshot);
        // 1,000 + 1,024 - 30 - 20 - 256
        assert_eq!(correction.rust(&statistics, &openssl), 1_718);
        assert_eq!(correction.margin(&openssl), None);
        let nothing_allocated = Correction { sampled_share: 0.0, rounding: 1.0 };
        assert_eq!(nothing_allocated.rust(&HeapStatistics::default(), &openssl), 0);
    }

    #[test]
    fn of_a_sample_rust_is_as_far_off_as_openssl() {
        // 1.6 blocks of 100 bytes are estimated to be 2; their bytes are what counts.
        let sampling = Sampling::every(100).expect("an interval");
        let snapshot = Snapshot { sampling: Some(sampling), ..snapshot(&[(2, 158), (0, 0)]) };
        let openssl = Rounded::of(&snapshot);
        assert_eq!(openssl.bytes, 177, "158 bytes, each in 1.12");
        let as_requested = sampling.uncertainty_of_bytes(100, 158.0).margin();
        let correction = Correction { sampled_share: 0.0, rounding: 0.5 };
        let margin = correction.margin(&openssl).expect("an estimate") as f64;
        assert!((margin - 0.5 * 1.12 * as_requested).abs() < 1.0, "{margin} for {as_requested}");
    }
}
