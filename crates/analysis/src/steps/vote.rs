//! The whole numbers of blocks that most pairs of looks agree on.

use std::collections::{BTreeMap, BTreeSet};

use crate::repetition::median;
use crate::steps::level::{least_squares, solve_weighted};
use crate::steps::moments::{FAR, WARM};
use crate::steps::pairs::{FOLLOWED, Pair};

/// So many numbers are tried for each of what memory may follow.
const CANDIDATES: usize = 6;

/// The part of all pairs that must agree on the numbers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Majority(pub f64);

/// Against each other choice, among the pairs that tell the two apart.
const AGAINST_EACH_OTHER: f64 = 1.5;

/// What won.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Vote {
    /// Blocks for each of what memory may follow.
    pub blocks: [f64; FOLLOWED],
    /// Bytes for each, over the pairs that agree.
    pub bytes: [f64; FOLLOWED],
    /// The part of the pairs that agree.
    pub agreeing: f64,
    /// Whether it won clearly.
    pub is_sure: bool,
}

/// What one line did between the two moments of each pair.
pub(super) struct Steps<'a> {
    pub pairs: &'a [Pair],
    /// SSL objects that were live and ever made before each pair.
    pub before: &'a [(i64, i64)],
    pub blocks: &'a [i64],
    pub bytes: &'a [i64],
    /// How much of [`Pair::steps`] is used.
    pub followed: usize,
}

impl Steps<'_> {
    /// Whole numbers, and where none wins halves: an end of a connection of which the other end is
    /// in the same process, and counted as well, has every second one.
    pub fn vote(&self, majority: Majority) -> Option<Vote> {
        let whole = self.vote_in_parts_of(1, majority)?;
        if whole.is_sure {
            return Some(whole);
        }
        self.vote_in_parts_of(2, majority).filter(|halves| halves.is_sure).or(Some(whole))
    }

    fn vote_in_parts_of(&self, parts: i64, majority: Majority) -> Option<Vote> {
        let choices = self.choices(parts);
        let agree = |choice: &[i64; FOLLOWED], at: usize| {
            let expected: i64 = choice
                .iter()
                .zip(self.pairs[at].steps)
                .map(|(number, step)| number.saturating_mul(step))
                .fold(0, i64::saturating_add);
            expected == self.blocks[at].saturating_mul(parts)
        };
        let count = |choice: &[i64; FOLLOWED]| {
            (0..self.pairs.len()).filter(|at| agree(choice, *at)).count()
        };
        let mut counted: Vec<(usize, [i64; FOLLOWED])> =
            choices.into_iter().map(|choice| (count(&choice), choice)).collect();
        // Most votes; of as many, the one that says least of what was ever made.
        counted.sort_by_key(|(votes, choice)| {
            let mut numbers = *choice;
            numbers.reverse();
            (std::cmp::Reverse(*votes), numbers)
        });
        let (votes, winner) = *counted.first()?;
        let agreeing: Vec<usize> = (0..self.pairs.len()).filter(|at| agree(&winner, *at)).collect();
        let beats = |other: &[i64; FOLLOWED]| {
            let (mut for_winner, mut for_other) = (0_usize, 0_usize);
            for at in 0..self.pairs.len() {
                match (agree(&winner, at), agree(other, at)) {
                    (true, false) => for_winner += 1,
                    (false, true) => for_other += 1,
                    _ => {}
                }
            }
            for_winner as f64 >= AGAINST_EACH_OTHER * for_other as f64
        };
        let part = votes as f64 / self.pairs.len() as f64;
        let is_sure = part >= majority.0
            && self.is_no_chance(&agreeing)
            && counted[1..].iter().all(|(_, other)| beats(other));
        Some(Vote {
            blocks: winner.map(|number| number as f64 / parts as f64),
            bytes: self.bytes_of(&winner, &agreeing),
            agreeing: part,
            is_sure,
        })
    }

    /// Two different steps at least, one of them not the very first, at which is paid what is paid
    /// once; or one of many connections behind the first ones, for what is not each one's does not
    /// divide by them.
    fn is_no_chance(&self, agreeing: &[usize]) -> bool {
        let is_far =
            |at: &usize| self.before[*at].1 >= WARM && self.pairs[*at].steps[0].abs() >= FAR;
        if agreeing.iter().any(is_far) {
            return true;
        }
        let steps: BTreeSet<(i64, i64)> = agreeing
            .iter()
            .map(|at| (self.before[*at].0, self.before[*at].0 + self.pairs[*at].steps[0]))
            .collect();
        steps.len() >= 2 && agreeing.iter().any(|at| self.before[*at].1 > 0)
    }

    /// The choices of numbers that are tried.
    fn choices(&self, parts: i64) -> Vec<[i64; FOLLOWED]> {
        let all: Vec<Vec<i64>> = (0..self.followed).map(|at| self.numbers(at, parts)).collect();
        let mut choices = vec![[0; FOLLOWED]];
        for (at, numbers) in all.iter().enumerate() {
            let so_far = std::mem::take(&mut choices);
            for choice in so_far {
                for number in numbers {
                    let mut next = choice;
                    next[at] = *number;
                    choices.push(next);
                }
            }
        }
        if let [first, _] = &all[..] {
            // Where connections only come, both numbers show together: one of them is the rest.
            let together = |pair: &Pair| pair.steps[0] == pair.steps[1];
            let sums = self.ratios(0, parts, together);
            for number in first {
                for sum in most_frequent(&sums) {
                    choices.push([*number, (sum - number).max(0), 0, 0]);
                }
            }
        }
        choices.sort_unstable();
        choices.dedup();
        choices
    }

    /// Numbers of blocks that one of what memory follows may have.
    fn numbers(&self, at: usize, parts: i64) -> Vec<i64> {
        let alone = |pair: &Pair| {
            pair.steps.iter().enumerate().all(|(other, step)| other == at || *step == 0)
        };
        let mut numbers = most_frequent(&self.ratios(at, parts, alone));
        if at == 0 || self.followed <= 2 {
            numbers.extend(most_frequent(&self.ratios(at, parts, |_| true)));
        }
        if self.followed > 2 {
            let rows: Vec<&[i64]> =
                self.pairs.iter().map(|pair| &pair.steps[..self.followed]).collect();
            if let Some(line) = solve_weighted(&rows, self.blocks) {
                let near = (line[at] * parts as f64).round() as i64;
                numbers.extend([near - 1, near, near + 1]);
            }
        }
        numbers.push(0);
        numbers.retain(|number| *number >= 0);
        numbers.sort_unstable();
        numbers.dedup();
        numbers
    }

    /// Each pair's blocks for each of one of what memory follows, where that is a whole number.
    fn ratios(
        &self,
        at: usize,
        parts: i64,
        wanted: impl Fn(&Pair) -> bool,
    ) -> BTreeMap<i64, usize> {
        let mut ratios = BTreeMap::new();
        for (pair, blocks) in self.pairs.iter().zip(self.blocks) {
            let (step, blocks) = (pair.steps[at], blocks.saturating_mul(parts));
            if step != 0 && blocks % step == 0 && wanted(pair) {
                *ratios.entry(blocks / step).or_default() += 1;
            }
        }
        ratios
    }

    /// Bytes for each of what memory follows, over the pairs that agree on the blocks.
    fn bytes_of(&self, winner: &[i64; FOLLOWED], agreeing: &[usize]) -> [f64; FOLLOWED] {
        let used: Vec<usize> = (0..self.followed).filter(|at| winner[*at] != 0).collect();
        let mut bytes = [0.0; FOLLOWED];
        match used[..] {
            [] => {}
            [only] => {
                let each: Vec<f64> = agreeing
                    .iter()
                    .filter(|at| self.pairs[**at].steps[only] != 0)
                    .map(|at| self.bytes[*at] as f64 / self.pairs[*at].steps[only] as f64)
                    .collect();
                bytes[only] = median(&each).unwrap_or_default();
            }
            _ => {
                let rows: Vec<Vec<f64>> = agreeing
                    .iter()
                    .map(|at| used.iter().map(|of| self.pairs[*at].steps[*of] as f64).collect())
                    .collect();
                let values: Vec<f64> = agreeing.iter().map(|at| self.bytes[*at] as f64).collect();
                if let Some(line) = least_squares(&rows, &values) {
                    for (of, value) in used.iter().zip(line) {
                        // Blocks of one size come out even but for rounding.
                        bytes[*of] = (value * 1_000.0).round() / 1_000.0;
                    }
                }
            }
        }
        bytes
    }
}

fn most_frequent(ratios: &BTreeMap<i64, usize>) -> Vec<i64> {
    let mut all: Vec<(usize, i64)> =
        ratios.iter().map(|(number, votes)| (*votes, *number)).collect();
    all.sort_by_key(|(votes, number)| (std::cmp::Reverse(*votes), *number));
    all.into_iter().take(CANDIDATES).map(|(_, number)| number).collect()
}
