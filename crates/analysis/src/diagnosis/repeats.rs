//! How often the same was done: what the numbers of blocks of a group of stacks have in common.
//!
//! Whoever reads a file `K` times allocates each time the same, so that every stack of it has
//! allocated a multiple of `K` blocks, whatever has been freed since. A time that has just begun
//! disturbs few bytes of that. The reverse does not hold: 150 certificates may pass for 75 twice.
//! So a number is only believed up to a bound that something else sets, or when it is large.

use std::collections::BTreeMap;

/// What stacks of one group have allocated.
#[derive(Clone, Debug, Default)]
pub struct Repeats<K: Ord> {
    /// Blocks ever allocated, and bytes live, by stack.
    stacks: BTreeMap<K, (i64, i64)>,
}

/// What of the live bytes has to be at stacks that fit.
const FITTING: f64 = 0.9;

/// So often is no chance, whatever the bound.
const MANY: i64 = 8;

/// What has to fit where there is no bound.
const ALL_BUT_NOTHING: f64 = 0.98;

impl<K: Ord> Repeats<K> {
    /// Adds what a stack has.
    pub fn add(&mut self, stack: K, made: i64, bytes: i64) {
        let sums = self.stacks.entry(stack).or_default();
        sums.0 = sums.0.saturating_add(made);
        sums.1 = sums.1.saturating_add(bytes);
    }

    /// Whether nearly all bytes are at stacks that have allocated multiples of `times`.
    pub fn are_multiples_of(&self, times: i64) -> bool {
        self.fits(times, FITTING)
    }

    /// How often the same was done by which `count` objects were made: the largest number that
    /// `may_be`, divides `count` and fits. Where there is none, any number is believed if it is
    /// large and nothing is left over; else it was once.
    pub fn of(&self, count: i64, may_be: impl Fn(i64) -> bool) -> i64 {
        let divisors = divisors(count);
        let bounded = divisors.iter().find(|times| may_be(**times) && self.fits(**times, FITTING));
        let many =
            || divisors.iter().find(|times| **times >= MANY && self.fits(**times, ALL_BUT_NOTHING));
        bounded.or_else(many).copied().unwrap_or(1)
    }

    fn fits(&self, times: i64, part: f64) -> bool {
        let all: i64 = self.stacks.values().map(|(_, bytes)| *bytes).sum();
        let multiples = self.stacks.values().filter(|(made, _)| made % times == 0);
        let fitting: i64 = multiples.map(|(_, bytes)| *bytes).sum();
        all > 0 && fitting as f64 >= part * all as f64
    }
}

/// The divisors of a number from 2 on, the largest first.
fn divisors(number: i64) -> Vec<i64> {
    /// No profile has so many objects that a larger one would matter.
    const LARGEST_SMALL: i64 = 1 << 15;
    let small = (1..=LARGEST_SMALL).take_while(|divisor| divisor * divisor <= number);
    let mut all: Vec<i64> = small
        .filter(|divisor| number % divisor == 0)
        .flat_map(|divisor| [divisor, number / divisor])
        .filter(|divisor| *divisor > 1)
        .collect();
    all.sort_unstable_by_key(|divisor| std::cmp::Reverse(*divisor));
    all.dedup();
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A bundle of 150 certificates that was read so many times.
    fn bundle(times: i64) -> Repeats<&'static str> {
        let mut repeats = Repeats::default();
        // Structs, names with a few parts each, extensions.
        for (stack, made, size) in
            [("X509", 150, 384), ("X509_NAME", 300, 60), ("entry", 1_031, 80), ("ext", 743, 120)]
        {
            repeats.add(stack, made * times, made * times * size);
        }
        repeats
    }

    #[test]
    fn what_was_read_several_times_is_seen_and_what_was_read_once_is_not() {
        assert_eq!(bundle(40).of(150 * 40, |times| times <= 40), 40);
        assert_eq!(bundle(40).of(150 * 40, |times| times <= 50), 40);
        // Nothing else sets a bound, but nothing is left over either.
        assert_eq!(bundle(40).of(150 * 40, |_| false), 40);
        assert_eq!(bundle(1).of(150, |times| times <= 150), 1);
        assert!(bundle(40).are_multiples_of(40) && !bundle(1).are_multiples_of(2));
    }

    #[test]
    fn a_time_that_has_just_begun_is_no_reason_to_see_nothing() {
        let mut repeats = bundle(40);
        repeats.add("name of a file", 41, 41 * 100);
        assert_eq!(repeats.of(150 * 40, |times| times <= 41), 40);
    }

    #[test]
    fn divisors_come_with_the_largest_first() {
        assert_eq!(divisors(12), [12, 6, 4, 3, 2]);
        assert_eq!(divisors(9), [9, 3]);
        assert_eq!(divisors(1), [0_i64; 0]);
        assert_eq!(divisors(0), [0_i64; 0]);
        assert_eq!(divisors(-8), [0_i64; 0]);
    }
}
