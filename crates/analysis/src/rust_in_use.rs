//! What Rust has in use at each moment of a run, from what can be asked for that often.
//!
//! One examination from all sides says how far the cheap figures are off ([`Correction`]); each of
//! the others then costs a reading of the ledger and of jemalloc's statistics.

use ledger::{Sampling, Site, Snapshot, Uncertainty};

use crate::size_class::usable;

/// jemalloc's own figures at one moment, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Heap {
    /// All that is given out, in size classes; without small blocks in the profiler's sample.
    pub allocated: u64,
    /// The part of jemalloc's bookkeeping that is in `allocated`.
    pub internal: u64,
    /// Freed blocks that threads keep; they are in `allocated`.
    pub cached: u64,
    /// The pages that small blocks in the profiler's sample have to themselves.
    pub sampled_pages: u64,
}

/// OpenSSL's bytes in use, each site's rounded up to size classes as if its blocks were all of one
/// size.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rounded {
    bytes: u64,
    /// `None` where they are exact.
    off: Option<Uncertainty>,
}

impl Rounded {
    /// At the moment of a snapshot.
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

    /// All of them together.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}

/// A site of a sampled ledger knows the size of its blocks.
fn of_sampled(site: &Site, sampling: Sampling) -> (f64, Uncertainty) {
    let bytes = site.counts.inuse_bytes as f64;
    let growth = usable(site.block_bytes) as f64 / site.block_bytes as f64;
    (bytes * growth, sampling.uncertainty_of_bytes(site.block_bytes, bytes).times(growth))
}

/// What one examination from all sides says of the figures at each moment, which are cheaper to
/// get.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Correction {
    /// Usable bytes in small blocks of the profiler's sample, as a share of the pages they have.
    pub sampled_share: f64,
    /// OpenSSL's usable bytes by block, as a share of those rounded up by site.
    pub rounding: f64,
}

impl Correction {
    /// From the figures of one moment: `sampled` are the usable bytes of small blocks in the
    /// profiler's sample, `usable` those of all of OpenSSL's blocks, and `rounded` is what stands
    /// for these at the other moments.
    pub fn new(heap: &Heap, sampled: u64, usable: u64, rounded: &Rounded) -> Correction {
        let share = |part: u64, whole: u64| (whole > 0).then_some(part as f64 / whole as f64);
        Correction {
            sampled_share: share(sampled, heap.sampled_pages).unwrap_or(0.0),
            rounding: share(usable, rounded.bytes).unwrap_or(1.0),
        }
    }

    /// What Rust has in use, in bytes: all that is allocated, less what is jemalloc's own, free
    /// already, or OpenSSL's. `heap` may be read a moment after the ledger: while connections come
    /// and go, the difference is off by what they allocated or freed in between.
    pub fn rust(&self, heap: &Heap, openssl: &Rounded) -> u64 {
        let Heap { allocated, internal, cached, sampled_pages } = *heap;
        let sampled = sampled_pages as f64 * self.sampled_share;
        let openssl = openssl.bytes as f64 * self.rounding;
        // Negative figures become 0.
        (allocated as f64 + sampled - internal as f64 - cached as f64 - openssl).round() as u64
    }

    /// Half the width of the 95 % interval of what Rust has in use: it is as far off as what is
    /// taken away. `None` where that is exact.
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
        let openssl = Rounded::of(&snapshot(&[(2, 200), (1, 17)]));
        assert_eq!(openssl.bytes(), 256);
        let heap = Heap { allocated: 1_000, internal: 30, cached: 20, sampled_pages: 4_096 };
        let correction = Correction::new(&heap, 1_024, 256, &openssl);
        assert!((correction.sampled_share - 0.25).abs() < 1e-9);
        // 1,000 + 1,024 - 30 - 20 - 256
        assert_eq!(correction.rust(&heap, &openssl), 1_718);
        assert_eq!(correction.margin(&openssl), None);
        let nothing_allocated = Correction { sampled_share: 0.0, rounding: 1.0 };
        assert_eq!(nothing_allocated.rust(&Heap::default(), &openssl), 0);
    }

    #[test]
    fn without_blocks_to_learn_from_nothing_is_corrected() {
        let nothing = Rounded::of(&snapshot(&[]));
        let correction = Correction::new(&Heap::default(), 0, 0, &nothing);
        assert_eq!(correction, Correction { sampled_share: 0.0, rounding: 1.0 });
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
