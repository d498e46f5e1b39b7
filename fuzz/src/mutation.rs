//! Inputs that are nearly good: a seed with some changes, the same for the same number.

use std::ops::Range;

/// Longer inputs are cut: what a reader does wrong, it does with little.
const MOST_BYTES: usize = 1 << 20;
/// Inputs that are kept beside the seeds because a reader took them.
const MOST_KEPT: usize = 256;
/// Bytes that are looked at together for being all zero.
const ROW: usize = 32;
/// Numbers at which something begins or ends.
const NUMBERS: [u64; 12] = [
    0,
    1,
    0x7f,
    0x80,
    0xff,
    0x7fff,
    0xffff,
    0x7fff_ffff,
    0xffff_ffff,
    i64::MAX as u64,
    i64::MIN as u64,
    u64::MAX,
];

/// Makes one input after the other.
#[derive(Clone, Debug)]
pub struct Mutation {
    random: Random,
    seeds: usize,
    /// The seeds, and behind them inputs that were kept.
    pool: Vec<Vec<u8>>,
}

impl Mutation {
    /// Of these seeds, at least one. The same number gives the same inputs.
    pub fn of(seeds: Vec<Vec<u8>>, number: u64) -> Mutation {
        assert!(!seeds.is_empty(), "nothing to begin with");
        Mutation { random: Random(number), seeds: seeds.len(), pool: seeds }
    }

    /// The next input: a seed, or as often one that was kept, with one to five changes.
    pub fn next_input(&mut self) -> Vec<u8> {
        let pool = if self.random.below(2) == 0 { self.seeds } else { self.pool.len() };
        let from = self.random.below(pool);
        let mut bytes = self.pool[from].clone();
        for _ in 0..=self.random.below(5) {
            self.change(&mut bytes);
        }
        bytes.truncate(MOST_BYTES);
        bytes
    }

    /// Goes on from this input too: a reader took it, so more of it may be reached from here. Not
    /// where it is short, of which readers take many.
    pub fn keep(&mut self, bytes: Vec<u8>) {
        let shortest = self.pool[..self.seeds].iter().map(Vec::len).min().unwrap_or(0);
        if bytes.len() < shortest / 2 {
            return;
        }
        if self.pool.len() < self.seeds + MOST_KEPT {
            self.pool.push(bytes);
        } else {
            let place = self.seeds + self.random.below(MOST_KEPT);
            self.pool[place] = bytes;
        }
    }

    fn change(&mut self, bytes: &mut Vec<u8>) {
        match self.random.below(10) {
            0 => bytes.truncate(self.random.below(bytes.len() + 1)),
            1 => {
                let place = self.place(bytes);
                let bit = 1 << self.random.below(8);
                if let Some(byte) = bytes.get_mut(place) {
                    *byte ^= bit;
                }
            }
            2 => {
                let place = self.place(bytes);
                let new = self.random.next() as u8;
                if let Some(byte) = bytes.get_mut(place) {
                    *byte = new;
                }
            }
            3 => self.number(bytes),
            4 => self.decimal(bytes),
            5 => {
                let part = self.part(bytes);
                bytes.drain(part);
            }
            6 => {
                let part = self.part(bytes);
                let copy = bytes[part.clone()].to_vec();
                bytes.splice(part.end..part.end, copy);
            }
            7 => {
                let place = self.place(bytes);
                let new = self.random.next().to_le_bytes();
                let length = 1 + self.random.below(new.len());
                bytes.splice(place..place, new[..length].iter().copied());
            }
            8 => self.line(bytes),
            _ => {
                let other = self.random.below(self.pool.len());
                let part = self.part(&self.pool[other].clone());
                let place = self.place(bytes);
                let over = self.random.below(2) * part.len();
                let end = (place + over).min(bytes.len());
                bytes.splice(place..end, self.pool[other][part].iter().copied());
            }
        }
    }

    /// Stores a number at which something begins or ends, of any width, in either order of bytes.
    fn number(&mut self, bytes: &mut [u8]) {
        let number = NUMBERS[self.random.below(NUMBERS.len())];
        let number = number.wrapping_add(self.random.below(3) as u64).wrapping_sub(1);
        let width = 1 << self.random.below(4);
        let mut stored = number.to_le_bytes();
        if self.random.below(2) == 0 {
            stored[..width].reverse();
        }
        let place = self.place(bytes);
        for (byte, new) in bytes[place..].iter_mut().zip(&stored[..width]) {
            *byte = *new;
        }
    }

    /// Writes a number in the place of the digits that are nearest behind a place.
    fn decimal(&mut self, bytes: &mut Vec<u8>) {
        let place = self.place(bytes);
        let is_digit = |byte: &u8| byte.is_ascii_digit();
        let Some(start) = bytes[place..].iter().position(is_digit) else { return };
        let start = place + start;
        let length = bytes[start..].iter().take_while(|byte| is_digit(byte)).count();
        let number = NUMBERS[self.random.below(NUMBERS.len())];
        let text = match self.random.below(4) {
            0 => format!("-{number}"),
            1 => format!("{number:x}"),
            2 => format!("{number}{number}"),
            _ => number.to_string(),
        };
        bytes.splice(start..start + length, text.into_bytes());
    }

    /// Moves a line to another place, or doubles it.
    fn line(&mut self, bytes: &mut Vec<u8>) {
        let ends: Vec<usize> = (0..bytes.len()).filter(|at| bytes[*at] == b'\n').collect();
        if ends.is_empty() {
            return;
        }
        let chosen = self.random.below(ends.len());
        let start = chosen.checked_sub(1).map_or(0, |before| ends[before] + 1);
        let line = bytes[start..=ends[chosen]].to_vec();
        let place = ends[self.random.below(ends.len())] + 1;
        bytes.splice(place..place, line.iter().copied());
        if self.random.below(2) == 0 {
            let start = if place <= start { start + line.len() } else { start };
            bytes.drain(start..start + line.len());
        }
    }

    /// A place in or just behind the bytes, mostly near some that are not zero: of a file with
    /// holes, most is zero.
    fn place(&mut self, bytes: &[u8]) -> usize {
        let place = self.random.below(bytes.len() + 1);
        if self.random.below(8) == 0 {
            return place;
        }
        let rows = bytes.chunks(ROW).enumerate();
        let filled: Vec<usize> = rows
            .filter(|(_, row)| row.iter().fold(0, |all, byte| all | byte) != 0)
            .map(|(number, _)| number)
            .collect();
        if filled.is_empty() {
            return place;
        }
        let row = filled[self.random.below(filled.len())];
        (row * ROW + self.random.below(ROW)).min(bytes.len())
    }

    /// A part of the bytes, mostly a short one.
    fn part(&mut self, bytes: &[u8]) -> Range<usize> {
        let start = self.place(bytes);
        let rest = bytes.len() - start;
        let most = if self.random.below(8) == 0 { rest } else { rest.min(64) };
        start..start + self.random.below(most + 1)
    }
}

/// Numbers that look like chance: Sebastiano Vigna's SplitMix64.
#[derive(Clone, Debug)]
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `limit`, which is not 0.
    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_number_makes_the_same_inputs() {
        let inputs = |number| {
            let mut mutation = Mutation::of(vec![b"12 apples\n3 pears\n".to_vec()], number);
            (0..100).map(|_| mutation.next_input()).collect::<Vec<_>>()
        };
        assert_eq!(inputs(1), inputs(1));
        assert_ne!(inputs(1), inputs(2));
    }

    #[test]
    fn any_seed_is_changed_even_one_of_nothing() {
        for seed in [&b""[..], b"\n", b"\0", &[0; 5000], b"a line\nanother\n\nand 17\n"] {
            let mut mutation = Mutation::of(vec![seed.to_vec()], 5);
            let mut changed = 0;
            for _ in 0..2000 {
                let input = mutation.next_input();
                changed += usize::from(input != seed);
                mutation.keep(input);
            }
            assert!(changed > 500, "{changed} of 2,000");
        }
    }

    #[test]
    fn what_is_in_a_file_with_holes_is_found() {
        let mut seed = vec![0; 100_000];
        seed[50_000..50_008].copy_from_slice(b"contents");
        let mut mutation = Mutation::of(vec![seed], 3);
        let hit = (0..1000).filter(|_| {
            let input = mutation.next_input();
            !input.windows(8).any(|part| part == b"contents")
        });
        assert!(hit.count() > 300);
    }
}
