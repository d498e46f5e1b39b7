//! What a picture of a sampled capture says of its figures.

use std::fmt;

use profile::{Profile, Sampling, Uncertainty};
use report::bytes::{give_or_take, human, interval, rounded};

/// The recorder's estimate of a whole column; what others have sampled is not in it.
#[derive(Clone, Copy, Debug)]
pub struct Estimate {
    sampling: Sampling,
    total: i64,
    off: Uncertainty,
    say: fn(f64) -> String,
}

impl Estimate {
    /// `None` where the recorder counted every block.
    pub fn of(profile: &Profile, column: usize) -> Option<Estimate> {
        let sampling = profile.sampling?;
        let uncertainty = profile.uncertainty(column);
        let (mut total, mut off) = (0_i64, Uncertainty::default());
        for sample in profile.samples().iter().filter(|sample| sample.block_bytes().is_some()) {
            total = total.saturating_add(sample.values[column]);
            off = off.and(uncertainty(sample));
        }
        let say = match profile.sample_types()[column].unit.as_str() {
            "bytes" => human,
            _ => |blocks: f64| rounded(blocks),
        };
        Some(Estimate { sampling, total, off, say })
    }
}

/// `sampled every 64 KiB: an estimate of 12.3 MB ± 1.1 MB`
impl fmt::Display for Estimate {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let total = give_or_take(self.total as f64, Some(self.off.margin()), self.say);
        write!(to, "sampled every {}: an estimate of {total}", interval(self.sampling))
    }
}
