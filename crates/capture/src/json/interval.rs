//! How far estimates may be off, in JSON: `interval95`, the two ends between which the truth lies
//! 95 times in 100. Where figures are exact there is no such field. Documented in docs/json.md.

use analysis::group::Counts;
use analysis::ratio::Estimated;
use ledger::Snapshot;
use profile::{Metric, Sampling, Uncertainty};
use serde::{Deserialize, Serialize};

/// Lower and upper end.
pub type Ends = [f64; 2];

/// Of the six figures of a profile.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct CountsInterval {
    /// Of `inuse_bytes`.
    pub inuse_bytes: Option<Ends>,
    /// Of `inuse_blocks`.
    pub inuse_blocks: Option<Ends>,
    /// Of `alloc_bytes`.
    pub alloc_bytes: Option<Ends>,
    /// Of `alloc_blocks`.
    pub alloc_blocks: Option<Ends>,
    /// Of `peak_bytes`.
    pub peak_bytes: Option<Ends>,
    /// Of `peak_blocks`.
    pub peak_blocks: Option<Ends>,
}

/// Of bytes and blocks, in the meaning of the figures that they stand beside.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct BytesAndBlocksInterval {
    /// Of the bytes.
    pub bytes: Option<Ends>,
    /// Of the blocks.
    pub blocks: Option<Ends>,
}

impl CountsInterval {
    /// `None` where they are exact.
    pub fn of(counts: &Counts) -> Option<CountsInterval> {
        counts.off.map(|_| {
            CountsInterval::new(|metric| {
                Some(ends_of_held(counts.of(metric)? as f64, counts.margin(metric)?))
            })
        })
    }

    /// Of the totals of ledgers. `None` where they are exact.
    pub fn of_ledgers<'a>(
        totals: &ledger::Counts,
        ledgers: impl Iterator<Item = &'a Snapshot>,
    ) -> Option<CountsInterval> {
        let mut off: Option<[Uncertainty; Metric::ALL.len()]> = None;
        for ledger in ledgers {
            let Some(sampling) = ledger.sampling else { continue };
            let off = off.get_or_insert_default();
            // Where nothing was counted there may still be bytes: one sample more, in small blocks.
            for (off, metric) in off.iter_mut().zip(Metric::ALL) {
                if metric.unit() == "bytes" {
                    *off = off.and(sampling.uncertainty_of_any_bytes(0.0));
                }
            }
            for site in ledger.sites.iter().filter(|site| site.block_bytes > 0) {
                for (off, metric) in off.iter_mut().zip(Metric::ALL) {
                    let (estimate, bytes) = (count(&site.counts, metric) as f64, site.block_bytes);
                    *off = off.and(match metric.unit() {
                        "bytes" => sampling.uncertainty_of_bytes(bytes, estimate),
                        _ => sampling.uncertainty_of_blocks(bytes, estimate),
                    });
                }
            }
        }
        let off = off?;
        Some(CountsInterval::new(|metric| {
            let (_, off) = Metric::ALL.into_iter().zip(off).find(|(of, _)| *of == metric)?;
            Some(ends_of_held(count(totals, metric) as f64, off.margin()))
        }))
    }

    fn new(ends: impl Fn(Metric) -> Option<Ends>) -> CountsInterval {
        CountsInterval {
            inuse_bytes: ends(Metric::InuseSpace),
            inuse_blocks: ends(Metric::InuseObjects),
            alloc_bytes: ends(Metric::AllocSpace),
            alloc_blocks: ends(Metric::AllocObjects),
            peak_bytes: ends(Metric::PeakSpace),
            peak_blocks: ends(Metric::PeakObjects),
        }
    }
}

impl BytesAndBlocksInterval {
    /// Of figures and their margins. `None` where they are exact.
    pub fn of(
        bytes: (Option<f64>, Option<f64>),
        blocks: (Option<f64>, Option<f64>),
    ) -> Option<BytesAndBlocksInterval> {
        let of = |(figure, margin): (Option<f64>, Option<f64>)| Some(ends(figure?, margin?));
        let (bytes, blocks) = (of(bytes), of(blocks));
        (bytes.is_some() || blocks.is_some()).then_some(BytesAndBlocksInterval { bytes, blocks })
    }
}

/// Of bytes whose blocks' sizes are not known; `None` where nothing was sampled.
pub fn of_any_bytes(bytes: u64, sampling: Option<Sampling>) -> Option<Ends> {
    let bytes = bytes as f64;
    Some(ends_of_held(bytes, sampling?.uncertainty_of_any_bytes(bytes).margin()))
}

/// Of a figure that is never less than nothing; `None` where it is exact.
pub fn of_estimate(estimate: Estimated) -> Option<Ends> {
    let [low, high] = ends(estimate.figure, estimate.margin?);
    Some([low.max(0.0), high])
}

/// Half the width of a figure's interval. The lower end may have been cut off at 0.
pub fn margin(figure: f64, ends: Option<Ends>) -> Option<f64> {
    Some(ends?[1] - figure)
}

fn count(counts: &ledger::Counts, metric: Metric) -> u64 {
    match metric {
        Metric::InuseObjects => counts.inuse_blocks,
        Metric::InuseSpace => counts.inuse_bytes,
        Metric::AllocObjects => counts.alloc_blocks,
        Metric::AllocSpace => counts.alloc_bytes,
        Metric::PeakObjects => counts.peak_blocks,
        Metric::PeakSpace => counts.peak_bytes,
    }
}

/// Of an amount that a process has, in whole numbers: there is never less than nothing of it.
pub fn ends_of_held(figure: f64, margin: f64) -> Ends {
    let [low, high] = ends(figure, margin);
    [low.max(0.0).min(high).round(), high.round()]
}

fn ends(figure: f64, margin: f64) -> Ends {
    [figure - margin, figure + margin]
}
