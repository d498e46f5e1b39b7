//! Counting a part of the blocks, and what the whole is then estimated to be.
//!
//! A block of `s` bytes is counted with probability p(s) = 1 − exp(−s / interval), independently of
//! all others. So each block that is counted stands for 1 / p(s) blocks, and the sum over them has
//! the true sum for its expectation (the estimator of Horvitz and Thompson). Its variance is
//! estimated from the same blocks: each adds (1 − p) / p².
//!
//! Everything follows from one number, the **surplus** (1 − p) / p = 1 / (exp(s / interval) − 1):
//! how many blocks a counted one stands for beside itself.
//!
//! The recorder uses this inside programs that may have no mathematical library: exp is made of
//! the four operations.

use std::num::NonZeroU32;

/// How densely blocks were chosen to be counted.
///
/// ```
/// use ledger::Sampling;
///
/// let sampling = Sampling::every(65_536).expect("from 1 to Sampling::MOST bytes");
/// // A small block that was counted stands for many that were not, a large one for itself.
/// let small = sampling.estimate(64, 1);
/// assert_eq!(small.blocks.round(), 1_025.0);
/// assert_eq!(sampling.estimate(10_000_000, 1).blocks, 1.0);
///
/// // 95 times in 100 the truth is within this much.
/// let off = sampling.uncertainty_of_bytes(64, 40.0 * small.bytes).margin();
/// assert!((0.3..0.4).contains(&(off / (40.0 * small.bytes))));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sampling(NonZeroU32);

/// How far an estimate may be from the truth.
///
/// The variance alone says too little where few blocks were counted: of a kind of which none was,
/// it says that there are none. So the interval reckons with one block more than were counted, the
/// one that would have stood for most.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Uncertainty {
    /// The estimated variance.
    pub variance: f64,
    /// What one more counted block would add to it, at most.
    pub one_more: f64,
}

/// What the blocks of one size that were counted stand for.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Estimate {
    /// Blocks.
    pub blocks: f64,
    /// Bytes in them.
    pub bytes: f64,
}

impl Sampling {
    /// The largest interval, in bytes.
    pub const MOST: u64 = 1 << 30;

    /// One sample in `bytes` bytes on average; `None` when that is 0 or more than
    /// [`Sampling::MOST`].
    pub fn every(bytes: u64) -> Option<Sampling> {
        let bytes = u32::try_from(bytes).ok().and_then(NonZeroU32::new)?;
        (u64::from(bytes.get()) <= Sampling::MOST).then_some(Sampling(bytes))
    }

    /// The average distance between samples, in bytes.
    #[inline]
    pub fn interval(self) -> u64 {
        u64::from(self.0.get())
    }

    /// How many blocks of this size a counted one stands for beside itself. Infinite for blocks of
    /// no bytes, none of which are ever counted.
    pub fn surplus(self, bytes: u64) -> f64 {
        1.0 / exp_less_one(bytes as f64 / self.interval() as f64)
    }

    /// The probability with which a block of this size is counted.
    pub fn probability(self, bytes: u64) -> f64 {
        1.0 / (1.0 + self.surplus(bytes))
    }

    /// What `counted` blocks of this size stand for.
    pub fn estimate(self, bytes: u64, counted: u64) -> Estimate {
        if counted == 0 || bytes == 0 {
            return Estimate::default();
        }
        let blocks = counted as f64 * (1.0 + self.surplus(bytes));
        Estimate { blocks, bytes: blocks * bytes as f64 }
    }

    /// The bytes that one counted block of this size stands for, as a whole number: the same for
    /// its allocation and its free. It is what the highest total is found by.
    pub fn weight(self, bytes: u64) -> u64 {
        (self.estimate(bytes, 1).bytes + 0.5) as u64
    }

    /// The variance of an estimated number of blocks of this size.
    pub fn variance_of_blocks(self, bytes: u64, estimated_blocks: f64) -> f64 {
        if bytes == 0 { 0.0 } else { estimated_blocks.max(0.0) * self.surplus(bytes) }
    }

    /// The variance of an estimated number of bytes in blocks of this size.
    pub fn variance_of_bytes(self, bytes: u64, estimated_bytes: f64) -> f64 {
        bytes as f64 * self.variance_of_blocks(bytes, estimated_bytes)
    }

    /// How far an estimated number of blocks of this size may be off.
    pub fn uncertainty_of_blocks(self, bytes: u64, estimated_blocks: f64) -> Uncertainty {
        Uncertainty {
            variance: self.variance_of_blocks(bytes, estimated_blocks),
            one_more: self.variance_of_blocks(bytes, self.estimate(bytes, 1).blocks),
        }
    }

    /// How far an estimated number of bytes may be off whose blocks' sizes are not known: none are
    /// less known than blocks of one byte.
    pub fn uncertainty_of_any_bytes(self, estimated_bytes: f64) -> Uncertainty {
        self.uncertainty_of_bytes(1, estimated_bytes)
    }

    /// How far an estimated number of bytes in blocks of this size may be off.
    pub fn uncertainty_of_bytes(self, bytes: u64, estimated_bytes: f64) -> Uncertainty {
        Uncertainty {
            variance: self.variance_of_bytes(bytes, estimated_bytes),
            one_more: self.variance_of_bytes(bytes, self.estimate(bytes, 1).bytes),
        }
    }
}

/// So many deviations of the mean hold 95 % of a normal distribution.
const DEVIATIONS: f64 = 1.96;

impl Uncertainty {
    /// Half the width of the interval that holds the truth 95 times in 100: so much more or less.
    pub fn margin(self) -> f64 {
        DEVIATIONS * (self.variance + self.one_more).sqrt()
    }

    /// The uncertainty of a sum, or of a difference, of two estimates. It is too large, never too
    /// small, where the same blocks are in both and cancel out.
    #[must_use]
    pub fn and(self, other: Uncertainty) -> Uncertainty {
        Uncertainty {
            variance: self.variance + other.variance,
            one_more: self.one_more.max(other.one_more),
        }
    }

    /// The uncertainty of so many times the estimate.
    #[must_use]
    pub fn times(self, factor: f64) -> Uncertainty {
        let square = factor * factor;
        Uncertainty { variance: self.variance * square, one_more: self.one_more * square }
    }
}

impl Estimate {
    /// Whole numbers. Which way they are rounded hangs on `chance`, from 0 up to 1: over many of
    /// them, evenly spread, nothing is won or lost.
    pub fn whole(self, chance: f64) -> (u64, u64) {
        // Conversion cuts off what is behind the point, and stays in range.
        ((self.blocks + chance) as u64, (self.bytes + chance) as u64)
    }
}

/// exp(x) − 1 for x of at least 0, to about twelve digits.
fn exp_less_one(x: f64) -> f64 {
    let mut halvings = 0;
    let mut y = x;
    while y > 0.25 {
        y *= 0.5;
        halvings += 1;
    }
    // y + y²/2! + y³/3! + …, from its end.
    let mut sum = 0.0;
    for term in (1..=14).rev() {
        sum = y / f64::from(term) * (1.0 + sum);
    }
    for _ in 0..halvings {
        sum *= 2.0 + sum;
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_is_that_of_the_library() {
        for exponent in -40..11 {
            for mantissa in [1.0, 1.1, 1.5, 1.9] {
                let x = mantissa * f64::powi(2.0, exponent);
                let (ours, theirs) = (exp_less_one(x), x.exp_m1());
                assert!(
                    ours == theirs || (ours / theirs - 1.0).abs() < 1e-12,
                    "{x}: {ours}, {theirs}"
                );
            }
        }
        assert_eq!(exp_less_one(0.0), 0.0);
    }

    #[test]
    fn small_blocks_stand_for_an_interval_of_bytes_and_large_ones_for_themselves() {
        let sampling = Sampling::every(65_536).expect("a usual interval");
        let small = sampling.estimate(16, 1);
        assert!((small.bytes / 65_544.0 - 1.0).abs() < 1e-6, "{small:?}");
        assert!((small.blocks / 4_096.5 - 1.0).abs() < 1e-6, "{small:?}");
        assert_eq!(sampling.estimate(10_000_000, 3), Estimate { blocks: 3.0, bytes: 3e7 });
        assert!(sampling.variance_of_bytes(10_000_000, 3e7) < 1e-9);
        assert_eq!(sampling.estimate(0, 5), Estimate::default());
        assert_eq!(sampling.weight(65_536), 103_676);
    }

    #[test]
    fn bytes_are_least_known_in_the_smallest_blocks() {
        let sampling = Sampling::every(65_536).expect("a usual interval");
        let any = sampling.uncertainty_of_any_bytes(1e9);
        for bytes in [1, 16, 4_096, 65_536, 10_000_000] {
            let off = sampling.uncertainty_of_bytes(bytes, 1e9);
            assert!(off.variance <= any.variance && off.one_more <= any.one_more, "{bytes}");
        }
        let small = sampling.uncertainty_of_bytes(200, 1e9);
        assert!(any.margin() < 1.01 * small.margin(), "no more than it must be");
    }

    #[test]
    fn the_probability_is_that_of_an_exponential_distance() {
        let sampling = Sampling::every(1000).expect("an interval");
        for bytes in [1_u64, 100, 1000, 5000] {
            let expected = 1.0 - (-(bytes as f64) / 1000.0).exp();
            assert!((sampling.probability(bytes) / expected - 1.0).abs() < 1e-9);
        }
        assert_eq!(sampling.probability(0), 0.0);
    }

    #[test]
    fn intervals_have_bounds() {
        assert_eq!(Sampling::every(0), None);
        assert_eq!(Sampling::every(Sampling::MOST + 1), None);
        assert_eq!(Sampling::every(1 << 40), None);
        assert_eq!(Sampling::every(1).map(Sampling::interval), Some(1));
        assert_eq!(Sampling::every(Sampling::MOST).map(Sampling::interval), Some(1 << 30));
    }
}
