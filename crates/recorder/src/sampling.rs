//! Counting a part of the blocks: for programs in which even the exact recorder is too much.
//!
//! Each thread counts down the bytes to its next sample, and whose block uses them up is counted.
//! Distances are drawn from an exponential distribution, which has no memory: whatever was
//! allocated before, a block of `s` bytes is counted with the probability that
//! [`ledger::Sampling::probability`] says, independently of all others. A block that is not counted
//! costs a subtraction, and its free a look at one byte.
//!
//! There are hooks of its own for it, and functions in place of the malloc family's, so that the
//! exact ones are what they are without it.
//!
//! A block that realloc moves or grows is a free and a new block, with a chance of its own.

mod countdown;
mod counting;
mod distance;
pub(crate) mod family;
mod held;
pub(crate) mod hooks;

use std::sync::atomic::{AtomicU64, Ordering};

use ledger::Sampling;

/// The sampling interval in bytes; 0 when every block is counted.
static INTERVAL: AtomicU64 = AtomicU64::new(0);

/// What random numbers are made from: each one that is drawn moves it on.
static RANDOM: AtomicU64 = AtomicU64::new(0);

/// How a process's blocks are to be sampled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SampleOptions {
    /// How densely.
    pub sampling: Sampling,
    /// Where chance begins, to have the same samples again; `None` lets the kernel say.
    pub seed: Option<u64>,
}

/// Says which hooks are to be put into OpenSSL from now on.
pub(crate) fn begin(options: Option<SampleOptions>) {
    let Some(SampleOptions { sampling, seed }) = options else {
        INTERVAL.store(0, Ordering::Release);
        return;
    };
    RANDOM.store(seed.unwrap_or_else(seed_of_kernel), Ordering::Relaxed);
    INTERVAL.store(sampling.interval(), Ordering::Release);
}

/// How blocks are sampled; `None` when every one is counted.
pub(crate) fn current() -> Option<Sampling> {
    Sampling::every(INTERVAL.load(Ordering::Acquire))
}

/// Whether the recorder that was installed counts a part of the blocks.
pub fn counts_a_part() -> bool {
    current().is_some()
}

/// In a forked child: other samples than its parent's, beginning with its next allocation, which
/// begins its ledger.
pub(crate) fn begin_anew() {
    if INTERVAL.load(Ordering::Relaxed) != 0 {
        RANDOM.fetch_add(mix(u64::from(std::process::id())), Ordering::Relaxed);
        countdown::forget();
    }
}

/// Bytes to a thread's next sample: at least 1.
fn next_distance(sampling: Sampling) -> i64 {
    distance::distance(sampling, random())
}

/// From 0 up to 1.
pub(crate) fn chance() -> f64 {
    (random() >> 11) as f64 / (1_u64 << 53) as f64
}

/// The next of a row of random numbers. Threads share it: a number is drawn once in many
/// allocations.
fn random() -> u64 {
    const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
    mix(RANDOM.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP))
}

/// The output function of the generator known as SplitMix64.
fn mix(state: u64) -> u64 {
    let state = (state ^ state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let state = (state ^ state >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    state ^ state >> 31
}

fn seed_of_kernel() -> u64 {
    let mut seed = [0_u8; 8];
    // SAFETY: the kernel writes at most as many bytes as there are.
    let written = unsafe { libc::getrandom(seed.as_mut_ptr().cast(), seed.len(), 0) };
    if written == 8 {
        return u64::from_ne_bytes(seed);
    }
    // A kernel without the call, or a sandbox: time and place differ from process to process.
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let now = now.map_or(0, |time| time.as_nanos() as u64);
    mix(now ^ u64::from(std::process::id()) << 32 ^ std::ptr::from_ref(&seed) as u64)
}

#[cfg(test)]
mod tests {
    use ledger::Uncertainty;

    use super::*;

    /// The generator of one run, apart from the process's.
    struct Dice(std::cell::Cell<u64>);

    impl Dice {
        fn next(&self, sampling: Sampling) -> i64 {
            self.0.set(self.0.get().wrapping_add(0x9e37_79b9_7f4a_7c15));
            distance::distance(sampling, mix(self.0.get()))
        }
    }

    /// A run of allocations, of which the hooks' own countdown picks some: the estimate of their
    /// bytes and blocks, and how far off the run itself says that these may be.
    fn run(sampling: Sampling, sizes: &[u64], seed: u64) -> [(f64, Uncertainty); 2] {
        let dice = Dice(std::cell::Cell::new(mix(seed)));
        countdown::forget();
        let mut sums = [(0.0, Uncertainty::default()); 2];
        for bytes in sizes {
            let left = countdown::fall(*bytes);
            if left <= 0 && countdown::restart(left, *bytes, || dice.next(sampling)) {
                let one = sampling.estimate(*bytes, 1);
                sums[0].0 += one.bytes;
                sums[0].1 = sums[0].1.and(sampling.uncertainty_of_bytes(*bytes, one.bytes));
                sums[1].0 += one.blocks;
                sums[1].1 = sums[1].1.and(sampling.uncertainty_of_blocks(*bytes, one.blocks));
            }
        }
        countdown::forget();
        sums
    }

    const RUNS: u64 = 400;

    /// From 16 bytes to thirty intervals: what a TLS server allocates, and a few large ones.
    fn mixed_sizes(rounds: usize) -> Vec<u64> {
        let pattern = [16, 24, 40, 64, 100, 176, 376, 1_200, 4_096, 16_704, 65_536, 2_000_000];
        let often = [40, 60, 50, 30, 20, 12, 8, 6, 4, 3, 1, 1];
        let round = pattern.iter().zip(often).flat_map(|(bytes, n)| std::iter::repeat_n(*bytes, n));
        let round: Vec<u64> = round.collect();
        // Out of the order of sizes, in which small ones would come in long rows.
        (0..round.len() * rounds).map(|at| round[at * 89 % round.len()]).collect()
    }

    fn assert_right(sizes: &[u64]) {
        let sampling = Sampling::every(65_536).expect("a usual interval");
        let truths = [sizes.iter().sum::<u64>() as f64, sizes.len() as f64];
        let runs: Vec<_> = (0..RUNS).map(|seed| run(sampling, sizes, seed)).collect();
        for (which, truth) in truths.into_iter().enumerate() {
            let figures: Vec<(f64, Uncertainty)> = runs.iter().map(|sums| sums[which]).collect();
            let mean = figures.iter().map(|(figure, _)| figure).sum::<f64>() / RUNS as f64;
            let spread = figures.iter().map(|(figure, _)| (figure - mean).powi(2)).sum::<f64>();
            let variance = spread / (RUNS - 1) as f64;
            let off = (mean - truth) / (variance / RUNS as f64).sqrt();
            assert!(off.abs() < 4.0, "on average {mean} for {truth}: {off} standard errors");

            // The variances that the runs estimate are those between the runs.
            let said = figures.iter().map(|(_, off)| off.variance).sum::<f64>() / RUNS as f64;
            assert!((0.75..1.33).contains(&(said / variance)), "said {said}, is {variance}");

            let within =
                |(figure, off): &&(f64, Uncertainty)| (figure - truth).abs() <= off.margin();
            let held = figures.iter().filter(within).count() as f64 / RUNS as f64;
            eprintln!("{} blocks: {held} of the intervals hold the truth", sizes.len());
            assert!((0.90..=0.99).contains(&held), "{held} of the intervals hold the truth");
        }
    }

    #[test]
    fn estimates_are_right_on_average_and_their_intervals_hold_the_truth() {
        assert_right(&mixed_sizes(200));
    }

    #[test]
    fn so_are_those_that_rest_on_a_few_counted_blocks() {
        // 120,000 bytes, of which two samples are to be expected, in blocks alike.
        assert_right(&[60; 2_000].repeat(3));
        assert_right(&[376; 1_500]);
    }

    #[test]
    fn whole_numbers_are_right_on_average_too() {
        let sampling = Sampling::every(65_536).expect("a usual interval");
        // 1.27 blocks for each, which must not become 1.
        let one = sampling.estimate(100_000, 1);
        assert!((1.2..1.3).contains(&one.blocks));
        let sum: u64 = (0..1_000).map(|at| one.whole(f64::from(at) / 1_000.0).0).sum();
        assert!((sum as f64 / 1_000.0 - one.blocks).abs() < 0.002, "{sum}");
    }

    #[test]
    fn random_numbers_follow_from_the_seed() {
        assert_eq!(
            mix(0x9e37_79b9_7f4a_7c15),
            0xe220_a839_7b1d_cdaf,
            "SplitMix64's first of seed 0"
        );
    }
}
