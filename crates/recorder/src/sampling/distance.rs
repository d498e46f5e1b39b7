//! Exponential distances from uniform random numbers. Programs that are recorded may have no
//! mathematical library: the logarithm is made of the four operations.

use ledger::Sampling;

const LN_2: f64 = std::f64::consts::LN_2;

/// The whole bytes of a distance with the sampling's interval for its mean, rounded up, so that it
/// is at most `s` with probability 1 − exp(−s / interval) for every whole `s`.
pub(super) fn distance(sampling: Sampling, random: u64) -> i64 {
    // A number above 0 and up to 1, in 2^53 steps, and its logarithm.
    let steps = (random >> 11) + 1;
    let power = steps.ilog2();
    let mantissa = steps as f64 / (1_u64 << power) as f64;
    let minus_logarithm = f64::from(53 - power) * LN_2 - logarithm(mantissa);
    (minus_logarithm.max(0.0) * sampling.interval() as f64) as i64 + 1
}

/// ln(x) for x from 1 up to 2: twice the series of artanh((x − 1) / (x + 1)).
fn logarithm(x: f64) -> f64 {
    let z = (x - 1.0) / (x + 1.0);
    let square = z * z;
    // From its end; z is at most a third, so that 17 terms are all that a double can hold.
    let series = (0..17_u32).rev().fold(0.0, |sum, at| sum * square + 1.0 / f64::from(2 * at + 1));
    2.0 * z * series
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sampling::mix;

    #[test]
    fn the_logarithm_is_that_of_the_library() {
        for step in 0..1000 {
            let x = 1.0 + f64::from(step) / 1000.0;
            assert!((logarithm(x) - x.ln()).abs() < 1e-15, "{x}");
        }
    }

    #[test]
    fn distances_are_exponential() {
        const DRAWN: u64 = 200_000;
        let sampling = Sampling::every(1000).expect("an interval");
        let drawn: Vec<i64> =
            (1..=DRAWN).map(|seed| distance(sampling, mix(seed << 20 | 7))).collect();
        assert!(drawn.iter().all(|distance| *distance >= 1));
        for bytes in [1_u64, 10, 100, 1000, 3000] {
            let probability = sampling.probability(bytes);
            let within = drawn.iter().filter(|distance| **distance <= bytes as i64).count();
            let expected = DRAWN as f64 * probability;
            let deviation = (expected * (1.0 - probability)).sqrt();
            let off = (within as f64 - expected) / deviation;
            assert!(off.abs() < 4.0, "{within} of {expected} within {bytes}: {off} deviations");
        }
    }

    #[test]
    fn the_ends_are_finite() {
        let sampling = Sampling::every(Sampling::MOST).expect("an interval");
        assert_eq!(distance(sampling, u64::MAX), 1);
        let longest = distance(sampling, 0) as f64 / Sampling::MOST as f64;
        assert!((longest - 53.0 * LN_2).abs() < 1e-6, "{longest}");
    }
}
