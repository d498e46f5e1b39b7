//! How far off the values of a sampled profile may be.

use ledger::{Sampling, Uncertainty};

use crate::{Metric, Profile, Sample};

impl Metric {
    /// How far off an estimate of this metric may be: of blocks of `block_bytes` each, sampled like
    /// this.
    pub fn uncertainty(self, sampling: Sampling, block_bytes: u64, estimate: i64) -> Uncertainty {
        match self.unit() {
            "bytes" => sampling.uncertainty_of_bytes(block_bytes, estimate as f64),
            _ => sampling.uncertainty_of_blocks(block_bytes, estimate as f64),
        }
    }
}

impl Profile {
    /// How far off each sample's value in `column` may be. Not at all, where nothing was sampled
    /// by the recorder: in exact profiles, in columns of other programs, and in samples that do not
    /// know the size of their blocks.
    pub fn uncertainty(&self, column: usize) -> impl Fn(&Sample) -> Uncertainty + use<> {
        let metric = Metric::ALL.into_iter().find(|metric| self.column(*metric) == Some(column));
        let estimated = self.sampling.zip(metric);
        move |sample| {
            let Some((sampling, metric)) = estimated else { return Uncertainty::default() };
            match sample.block_bytes() {
                Some(bytes) => metric.uncertainty(sampling, bytes, sample.values[column]),
                None => Uncertainty::default(),
            }
        }
    }
}
