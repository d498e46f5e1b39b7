//! The six figures of a heap profile: sums of samples or of ledgers, and how far off they may be.

use ledger::Snapshot;
use profile::{Metric, Profile, Sample, Sampling, Uncertainty};

use crate::column::Column;

/// The six figures of a heap profile; `None` where the profile has no such column.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Counts {
    /// Blocks live at the capture.
    pub inuse_blocks: Option<i64>,
    /// Bytes live at the capture.
    pub inuse_bytes: Option<i64>,
    /// Blocks ever allocated.
    pub alloc_blocks: Option<i64>,
    /// Bytes ever allocated.
    pub alloc_bytes: Option<i64>,
    /// Blocks live at the process's highest total.
    pub peak_blocks: Option<i64>,
    /// Bytes live at the process's highest total.
    pub peak_bytes: Option<i64>,
    /// How far off they may be, where they are estimates; `None` where all are exact, or are
    /// estimates of somebody else's.
    pub off: Option<Off>,
}

/// How far off each figure may be, in the order of [`Metric::ALL`].
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Off([Uncertainty; Metric::ALL.len()]);

impl Off {
    fn and_of_ledger(self, ledger: &Snapshot, sampling: Sampling) -> Off {
        // Where nothing was counted there may still be bytes: one sample more, in small blocks.
        let unseen = Off(Metric::ALL.map(|metric| match metric.unit() {
            "bytes" => sampling.uncertainty_of_any_bytes(0.0),
            _ => Uncertainty::default(),
        }));
        let sites = ledger.sites.iter().filter(|site| site.block_bytes > 0);
        sites.fold(self.and(unseen), |off, site| {
            let counts = Counts::from(site.counts);
            off.and(Off(Metric::ALL.map(|metric| {
                let estimate = counts.of(metric).unwrap_or_default();
                metric.uncertainty(sampling, site.block_bytes, estimate)
            })))
        })
    }

    fn and(self, other: Off) -> Off {
        let mut sum = self;
        for (of, other) in sum.0.iter_mut().zip(other.0) {
            *of = of.and(other);
        }
        sum
    }

    /// How far off nothing may be: what one more counted block would add is all there is.
    fn of_none(self) -> Off {
        Off(self.0.map(|off| Uncertainty { variance: 0.0, ..off }))
    }
}

impl Counts {
    /// The sums over all samples of a profile.
    pub fn total(profile: &Profile) -> Counts {
        Counts::total_of(profile, profile.samples())
    }

    /// The sums over some of them.
    pub fn total_of<'a>(
        profile: &Profile,
        samples: impl IntoIterator<Item = &'a Sample>,
    ) -> Counts {
        let columns = Columns::of(profile);
        samples.into_iter().fold(columns.zero(), |sum, sample| sum.plus(columns.read(sample)))
    }

    /// The totals of ledgers: what the recorder dropped, which is under no site, is in them too.
    /// Where a ledger was sampled they are estimates. Sums beyond the range of `i64`, which no
    /// process can have, stop at its end.
    pub fn of_ledgers<'a>(ledgers: impl IntoIterator<Item = &'a Snapshot>) -> Counts {
        let mut totals = ledger::Counts::default();
        let mut off: Option<Off> = None;
        for ledger in ledgers {
            totals.add(&ledger.totals());
            if let Some(sampling) = ledger.sampling {
                off = Some(off.unwrap_or_default().and_of_ledger(ledger, sampling));
            }
        }
        Counts { off, ..Counts::from(totals) }
    }

    /// The figure of one metric.
    pub fn of(&self, metric: Metric) -> Option<i64> {
        match metric {
            Metric::InuseObjects => self.inuse_blocks,
            Metric::InuseSpace => self.inuse_bytes,
            Metric::AllocObjects => self.alloc_blocks,
            Metric::AllocSpace => self.alloc_bytes,
            Metric::PeakObjects => self.peak_blocks,
            Metric::PeakSpace => self.peak_bytes,
        }
    }

    /// The sum of both, figure by figure; `None` where either side has no figure. Sums beyond
    /// the range of `i64`, which only a made-up profile can hold, stop at its ends.
    #[must_use]
    pub fn plus(self, other: Counts) -> Counts {
        self.zip(other, i64::saturating_add)
    }

    /// The difference of both, figure by figure, like [`Counts::plus`].
    #[must_use]
    pub fn minus(self, other: Counts) -> Counts {
        self.zip(other, i64::saturating_sub)
    }

    /// Half the width of the interval that holds the true figure of a metric 95 times in 100;
    /// `None` where it is exact.
    pub fn margin(&self, metric: Metric) -> Option<f64> {
        Some(self.off?.0[place(metric)].margin())
    }

    /// What makes one the heavier of two: the bytes of the column, then bytes ever, then at peak.
    pub(crate) fn weight(&self, column: Column) -> [Option<i64>; 3] {
        [self.of(column.bytes()), self.alloc_bytes, self.peak_bytes]
    }

    /// Zero wherever `self` has a figure.
    #[must_use]
    pub fn zeroed(self) -> Counts {
        Counts { off: self.off.map(|_| Off::default()), ..self.minus(self) }
    }

    /// Nothing, in a profile that has `self` for rows: where that is a sample, a block may have
    /// been there and not been counted.
    #[must_use]
    pub fn none(self) -> Counts {
        Counts { off: self.off.map(Off::of_none), ..self.zeroed() }
    }

    fn zip(self, other: Counts, join: fn(i64, i64) -> i64) -> Counts {
        let join = |a: Option<i64>, b: Option<i64>| a.zip(b).map(|(a, b)| join(a, b));
        Counts {
            inuse_blocks: join(self.inuse_blocks, other.inuse_blocks),
            inuse_bytes: join(self.inuse_bytes, other.inuse_bytes),
            alloc_blocks: join(self.alloc_blocks, other.alloc_blocks),
            alloc_bytes: join(self.alloc_bytes, other.alloc_bytes),
            peak_blocks: join(self.peak_blocks, other.peak_blocks),
            peak_bytes: join(self.peak_bytes, other.peak_bytes),
            // Of a difference as of a sum.
            off: match (self.off, other.off) {
                (Some(one), Some(another)) => Some(one.and(another)),
                (one, another) => one.or(another),
            },
        }
    }
}

impl From<ledger::Counts> for Counts {
    fn from(counts: ledger::Counts) -> Counts {
        let figure = |count: u64| Some(i64::try_from(count).unwrap_or(i64::MAX));
        Counts {
            inuse_blocks: figure(counts.inuse_blocks),
            inuse_bytes: figure(counts.inuse_bytes),
            alloc_blocks: figure(counts.alloc_blocks),
            alloc_bytes: figure(counts.alloc_bytes),
            peak_blocks: figure(counts.peak_blocks),
            peak_bytes: figure(counts.peak_bytes),
            off: None,
        }
    }
}

/// The place of a metric in [`Metric::ALL`].
fn place(metric: Metric) -> usize {
    Metric::ALL.iter().position(|m| *m == metric).expect("ALL has every metric")
}

/// Where a profile keeps each metric, and how it was sampled.
pub(crate) struct Columns([Option<usize>; Metric::ALL.len()], Option<Sampling>);

impl Columns {
    pub(crate) fn of(profile: &Profile) -> Columns {
        Columns(Metric::ALL.map(|metric| profile.column(metric)), profile.sampling)
    }

    pub(crate) fn read(&self, sample: &Sample) -> Counts {
        let counts = self.map(|column| sample.values[column]);
        let Some(sampling) = self.1 else { return counts };
        // What does not know the size of its blocks was not sampled by the recorder.
        let Some(bytes) = sample.block_bytes() else { return counts };
        let off = Metric::ALL.map(|metric| {
            metric.uncertainty(sampling, bytes, counts.of(metric).unwrap_or_default())
        });
        Counts { off: Some(Off(off)), ..counts }
    }

    pub(crate) fn zero(&self) -> Counts {
        self.map(|_| 0)
    }

    fn map(&self, value: impl Fn(usize) -> i64) -> Counts {
        let at = |metric: Metric| self.0[place(metric)].map(&value);
        Counts {
            inuse_blocks: at(Metric::InuseObjects),
            inuse_bytes: at(Metric::InuseSpace),
            alloc_blocks: at(Metric::AllocObjects),
            alloc_bytes: at(Metric::AllocSpace),
            peak_blocks: at(Metric::PeakObjects),
            peak_bytes: at(Metric::PeakSpace),
            off: self.1.map(|_| Off::default()),
        }
    }

    /// What makes a sample the heaviest of its row.
    pub(crate) fn weight(&self, sample: &Sample, column: Column) -> [Option<i64>; 3] {
        self.map(|column| sample.values[column]).weight(column)
    }
}

#[cfg(test)]
mod tests {
    use ledger::Site;

    use super::*;
    use crate::group::{By, group};
    use crate::sample_profile::{self, stack};

    #[test]
    fn variances_add_up_and_an_exact_part_has_none() {
        let mut profile = Profile::of_heap();
        let frames = stack(&[("f", "ssl/a.c")]);
        for (bytes, blocks) in [(100, 50), (200_000, 3)] {
            sample_profile::push(&mut profile, "openssl", &frames, blocks, blocks * bytes);
            let at = profile.samples().len() - 1;
            profile.samples_mut()[at].set_block_bytes(bytes as u64);
        }
        sample_profile::push(&mut profile, "rust", &stack(&[("g", "x.rs")]), 7, 70);
        assert_eq!(group(&profile, By::File)[0].counts.margin(Metric::InuseSpace), None);
        profile.sampling = Sampling::every(1_000);
        let rows = group(&profile, By::Site);
        let sampling = profile.sampling.expect("set above");
        // The large blocks are counted for certain: what is uncertain is in the small ones.
        let expected = sampling.uncertainty_of_bytes(100, 5_000.0).margin();
        let margin = rows[0].counts.margin(Metric::InuseSpace).expect("an estimate");
        assert!((margin / expected - 1.0).abs() < 1e-9, "{margin}, not {expected}");
        assert_eq!(rows[1].counts.margin(Metric::InuseSpace), Some(0.0), "jemalloc's is its own");
        let total = Counts::total(&profile).margin(Metric::InuseSpace).expect("an estimate");
        assert!((total / expected - 1.0).abs() < 1e-9);
        let grown = rows[0].counts.minus(rows[0].counts);
        assert!(grown.margin(Metric::InuseSpace) > Some(margin), "it is not known to be the same");
        assert_eq!(rows[0].counts.zeroed().margin(Metric::InuseSpace), Some(0.0));
    }

    fn ledger(sampling: Option<Sampling>, sites: &[(u64, u64)]) -> Snapshot {
        let site = |(block_bytes, inuse_bytes): &(u64, u64)| Site {
            block_bytes: *block_bytes,
            counts: ledger::Counts { inuse_bytes: *inuse_bytes, ..ledger::Counts::default() },
            ..Site::default()
        };
        Snapshot { sampling, sites: sites.iter().map(site).collect(), ..Snapshot::default() }
    }

    #[test]
    fn ledgers_add_up_and_those_that_count_every_block_are_exact() {
        let mut dropped = ledger(None, &[(0, 100)]);
        dropped.statistics.dropped.inuse_bytes = 7;
        let total = Counts::of_ledgers([&dropped, &ledger(None, &[(0, 20), (0, 3)])]);
        assert_eq!(total.inuse_bytes, Some(130));
        assert_eq!(total.off, None);
        let beyond = Counts::of_ledgers([&ledger(None, &[(0, u64::MAX)])]);
        assert_eq!(beyond.inuse_bytes, Some(i64::MAX));
    }

    #[test]
    fn a_sampled_ledger_is_as_far_off_as_its_sites_and_what_it_may_have_missed() {
        let sampling = Sampling::every(1_000).expect("an interval");
        let sampled = ledger(Some(sampling), &[(100, 5_000), (0, 3)]);
        let total = Counts::of_ledgers([&ledger(None, &[(0, 20)]), &sampled]);
        assert_eq!(total.inuse_bytes, Some(5_023));
        let of_site = sampling.uncertainty_of_bytes(100, 5_000.0);
        let expected = of_site.and(sampling.uncertainty_of_any_bytes(0.0)).margin();
        assert_eq!(total.margin(Metric::InuseSpace), Some(expected));
        let none = Counts::of_ledgers([&ledger(Some(sampling), &[])]);
        assert_eq!(none.margin(Metric::InuseObjects), Some(0.0));
        assert!(none.margin(Metric::PeakSpace) > Some(0.0), "small blocks may have been missed");
    }
}
