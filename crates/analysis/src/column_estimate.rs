//! A whole column of a sampled profile as one estimate.

use profile::{Profile, Sampling, Uncertainty};

/// The recorder's estimate of a column; what others have sampled, and what was counted exactly, is
/// not in it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ColumnEstimate {
    /// How blocks were chosen to be counted.
    pub sampling: Sampling,
    /// The sum of the estimates, in the column's unit.
    pub total: i64,
    /// How far off that may be.
    pub off: Uncertainty,
}

impl ColumnEstimate {
    /// The estimate of a column of `profile`. `None` where the recorder counted every block.
    pub fn of(profile: &Profile, column: usize) -> Option<ColumnEstimate> {
        let sampling = profile.sampling?;
        let uncertainty = profile.uncertainty(column);
        let (mut total, mut off) = (0_i64, Uncertainty::default());
        for sample in profile.samples().iter().filter(|sample| sample.block_bytes().is_some()) {
            total = total.saturating_add(sample.values[column]);
            off = off.and(uncertainty(sample));
        }
        Some(ColumnEstimate { sampling, total, off })
    }
}

#[cfg(test)]
mod tests {
    use profile::Metric;

    use super::*;
    use crate::sample_profile::{push, stack};

    #[test]
    fn only_what_the_recorder_sampled_is_in_the_estimate() {
        let mut profile = Profile::of_heap();
        let frames = stack(&[("f", "ssl/a.c")]);
        push(&mut profile, "openssl", &frames, 50, 5_000);
        profile.samples_mut()[0].set_block_bytes(100);
        push(&mut profile, "rust", &frames, 7, 70);
        let column = profile.column(Metric::InuseSpace).expect("a heap profile");
        assert_eq!(ColumnEstimate::of(&profile, column), None, "every block was counted");
        let sampling = Sampling::every(1_000).expect("an interval");
        profile.sampling = Some(sampling);
        let estimate = ColumnEstimate::of(&profile, column).expect("a sample");
        assert_eq!((estimate.sampling, estimate.total), (sampling, 5_000));
        let expected = sampling.uncertainty_of_bytes(100, 5_000.0);
        assert_eq!(estimate.off.margin(), expected.margin());
    }
}
