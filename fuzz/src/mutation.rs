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
    pool: Vec<Parent>,
}

/// What inputs are made from.
#[derive(Clone, Debug)]
struct Parent {
    bytes: Vec<u8>,
    /// The rows of it that are not all zero, looked for once: in a file with holes they are few,
    /// and looking takes longer than most readers do.
    filled: Vec<usize>,
}

impl Parent {
    fn of(bytes: Vec<u8>) -> Parent {
        let is_filled = |row: &[u8]| row.iter().fold(0, |all, byte| all | byte) != 0;
        let rows = bytes.chunks(ROW).enumerate();
        let filled = rows.filter(|(_, row)| is_filled(row)).map(|(number, _)| number).collect();
        Parent { bytes, filled }
    }
}

impl Mutation {
    /// Of these seeds, at least one. The same number gives the same inputs.
    pub fn of(seeds: Vec<Vec<u8>>, number: u64) -> Mutation {
        assert!(!seeds.is_empty(), "nothing to begin with");
        let pool: Vec<Parent> = seeds.into_iter().map(Parent::of).collect();
        Mutation { random: Random(number), seeds: pool.len(), pool }
    }

    /// The next input: a seed, or as often one that was kept, with one to five changes.
    pub fn next_input(&mut self) -> Vec<u8> {
        let pool = if self.random.below(2) == 0 { self.seeds } else { self.pool.len() };
        let parent = &self.pool[self.random.below(pool)];
        let mut child = Child {
            random: &mut self.random,
            pool: &self.pool,
            parent,
            bytes: parent.bytes.clone(),
        };
        for _ in 0..=child.random.below(5) {
            child.change();
        }
        let mut bytes = child.bytes;
        bytes.truncate(MOST_BYTES);
        bytes
    }

    /// Goes on from this input too: a reader took it, so more of it may be reached from here. Not
    /// where it is short, of which readers take many.
    pub fn keep(&mut self, bytes: Vec<u8>) {
        let seeds = self.pool[..self.seeds].iter();
        let shortest = seeds.map(|seed| seed.bytes.len()).min().unwrap_or(0);
        if bytes.len() < shortest / 2 {
            return;
        }
        let kept = Parent::of(bytes);
        if self.pool.len() < self.seeds + MOST_KEPT {
            self.pool.push(kept);
        } else {
            let place = self.seeds + self.random.below(MOST_KEPT);
            self.pool[place] = kept;
        }
    }
}

/// An input while it is made.
struct Child<'a> {
    random: &'a mut Random,
    pool: &'a [Parent],
    parent: &'a Parent,
    bytes: Vec<u8>,
}

impl Child<'_> {
    fn change(&mut self) {
        match self.random.below(10) {
            0 => self.bytes.truncate(self.random.below(self.bytes.len() + 1)),
            1 => {
                let place = self.place();
                let bit = 1 << self.random.below(8);
                if let Some(byte) = self.bytes.get_mut(place) {
                    *byte ^= bit;
                }
            }
            2 => {
                let place = self.place();
                let new = self.random.next() as u8;
                if let Some(byte) = self.bytes.get_mut(place) {
                    *byte = new;
                }
            }
            3 => self.number(),
            4 => self.decimal(),
            5 => {
                let part = self.part();
                self.bytes.drain(part);
            }
            6 => {
                let part = self.part();
                let copy = self.bytes[part.clone()].to_vec();
                self.put(part.end..part.end, &copy);
            }
            7 => {
                let place = self.place();
                let new = self.random.next().to_le_bytes();
                let length = 1 + self.random.below(new.len());
                self.put(place..place, &new[..length]);
            }
            8 => self.line(),
            _ => {
                let other = &self.pool[self.random.below(self.pool.len())];
                let part = self.random.part(&other.filled, other.bytes.len());
                let place = self.place();
                let over = self.random.below(2) * part.len();
                let end = (place + over).min(self.bytes.len());
                self.put(place..end, &other.bytes[part]);
            }
        }
    }

    /// Puts these bytes in the place of some. `Vec::splice` takes them one by one, and a part may
    /// be most of a file.
    fn put(&mut self, over: Range<usize>, new: &[u8]) {
        let behind = self.bytes.split_off(over.end);
        self.bytes.truncate(over.start);
        self.bytes.extend_from_slice(new);
        self.bytes.extend_from_slice(&behind);
    }

    /// Stores a number at which something begins or ends, of any width, in either order of self.bytes.
    fn number(&mut self) {
        let number = NUMBERS[self.random.below(NUMBERS.len())];
        let number = number.wrapping_add(self.random.below(3) as u64).wrapping_sub(1);
        let width = 1 << self.random.below(4);
        let mut stored = number.to_le_bytes();
        if self.random.below(2) == 0 {
            stored[..width].reverse();
        }
        let place = self.place();
        for (byte, new) in self.bytes[place..].iter_mut().zip(&stored[..width]) {
            *byte = *new;
        }
    }

    /// Writes a number in the place of the digits that are nearest behind a place.
    fn decimal(&mut self) {
        let place = self.place();
        let is_digit = |byte: &u8| byte.is_ascii_digit();
        let Some(start) = self.bytes[place..].iter().position(is_digit) else { return };
        let start = place + start;
        let length = self.bytes[start..].iter().take_while(|byte| is_digit(byte)).count();
        let number = NUMBERS[self.random.below(NUMBERS.len())];
        let text = match self.random.below(4) {
            0 => format!("-{number}"),
            1 => format!("{number:x}"),
            2 => format!("{number}{number}"),
            _ => number.to_string(),
        };
        self.put(start..start + length, text.as_bytes());
    }

    /// Moves a line to another place, or doubles it.
    fn line(&mut self) {
        let ends: Vec<usize> = memchr::memchr_iter(b'\n', &self.bytes).collect();
        if ends.is_empty() {
            return;
        }
        let chosen = self.random.below(ends.len());
        let start = chosen.checked_sub(1).map_or(0, |before| ends[before] + 1);
        let line = self.bytes[start..=ends[chosen]].to_vec();
        let place = ends[self.random.below(ends.len())] + 1;
        self.put(place..place, &line);
        if self.random.below(2) == 0 {
            let start = if place <= start { start + line.len() } else { start };
            self.bytes.drain(start..start + line.len());
        }
    }

    /// A place in or just behind the bytes, mostly near some that are not zero: of a file with
    /// holes, most is zero.
    fn place(&mut self) -> usize {
        self.random.place(&self.parent.filled, self.bytes.len())
    }

    /// A part of the bytes, mostly a short one.
    fn part(&mut self) -> Range<usize> {
        self.random.part(&self.parent.filled, self.bytes.len())
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

    /// A place in or just behind so many bytes, mostly in one of the rows that are filled.
    fn place(&mut self, filled: &[usize], length: usize) -> usize {
        let place = self.below(length + 1);
        if self.below(8) == 0 || filled.is_empty() {
            return place;
        }
        let row = filled[self.below(filled.len())];
        (row * ROW + self.below(ROW)).min(length)
    }

    /// A part of so many bytes, mostly a short one, that begins mostly in a row that is filled.
    fn part(&mut self, filled: &[usize], length: usize) -> Range<usize> {
        let start = self.place(filled, length);
        let rest = length - start;
        let most = if self.below(8) == 0 { rest } else { rest.min(64) };
        start..start + self.below(most + 1)
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
