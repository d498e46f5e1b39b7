//! How far off OpenSSL's part of an account may be, where its blocks were sampled.

use profile::{Sampling, Uncertainty};

use crate::size_class;

/// How far off the estimates of OpenSSL's bytes may be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct OpenSslOff {
    /// How far off the bytes may be that OpenSSL asked for.
    pub requested: Uncertainty,
    /// How far off they may be with each block rounded up to its size class.
    pub usable: Uncertainty,
    /// How far off what the rounding adds may be. Both are estimated from the same blocks, so their
    /// difference is less uncertain than either.
    pub rounding: Uncertainty,
}

impl OpenSslOff {
    /// From the sizes of which blocks were ever counted, and for each the bytes in use that are
    /// estimated of it.
    pub fn of(sampling: Sampling, sizes: impl IntoIterator<Item = (u64, u64)>) -> OpenSslOff {
        // Where nothing was counted there may still be bytes: one sample more, in small blocks.
        let nothing = sampling.uncertainty_of_bytes(1, 0.0);
        let start = OpenSslOff { requested: nothing, usable: nothing, rounding: nothing };
        sizes.into_iter().filter(|(size, _)| *size > 0).fold(start, |off, (size, inuse_bytes)| {
            let blocks = inuse_bytes as f64 / size as f64;
            let blocks = sampling.uncertainty_of_blocks(size, blocks);
            let usable = size_class::usable(size);
            OpenSslOff {
                requested: off.requested.and(blocks.times(size as f64)),
                usable: off.usable.and(blocks.times(usable as f64)),
                rounding: off.rounding.and(blocks.times((usable - size) as f64)),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_as_uncertain_in_bytes_as_each_of_them_has_bytes() {
        let sampling = Sampling::every(4_096).expect("an interval");
        // 1,000 blocks of 100 bytes, which jemalloc serves from 112; of 64 bytes there are none
        // now.
        let off = OpenSslOff::of(sampling, [(100, 100_000), (64, 0), (0, 0)]);
        let blocks = sampling.variance_of_blocks(100, 1_000.0);
        for (off, bytes) in [(off.requested, 100.0), (off.usable, 112.0), (off.rounding, 12.0)] {
            let expected = blocks * bytes * bytes;
            assert!((off.variance / expected - 1.0).abs() < 1e-9, "{bytes}: {off:?}");
        }
        let counts = sampling.uncertainty_of_bytes(100, 100_000.0);
        assert!((off.requested.variance / counts.variance - 1.0).abs() < 1e-9);
        // One more of those of 64 bytes, of which a counted one stands for most.
        assert!(off.requested.one_more > counts.one_more);
        assert!(off.rounding.margin() < off.requested.margin());
    }

    #[test]
    fn what_is_surely_counted_adds_nothing() {
        let sampling = Sampling::every(1_000).expect("an interval");
        let nothing = OpenSslOff::of(sampling, []);
        let sure = OpenSslOff::of(sampling, [(262_160, 5 * 262_160)]);
        assert!(nothing.requested.margin() > 1_000.0, "there may be what was not seen");
        assert!((sure.usable.margin() - nothing.usable.margin()).abs() < 1e-3);
    }
}
