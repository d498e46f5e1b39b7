//! How one frame leads to the next, in one word.

/// The rule at one instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rule {
    /// There is no further frame.
    Root,
    /// The tables ask for more than is known here.
    Unknown,
    /// There is no table for this instruction: code that was compiled while the program runs, or
    /// assembly. Such code usually keeps frame pointers.
    NoTable,
    /// An ordinary function: its return address lies in the word below the canonical frame
    /// address, and the caller's rbp at an offset from there, or it is unchanged.
    Frame { cfa: Cfa, saved_base: Option<i32> },
    /// A function that aligns its stack: rbp points at the caller's, and the canonical frame
    /// address is stored at an offset from there.
    Aligned { cfa_at: i32 },
    /// The C library's code that a signal handler returns to.
    Signal,
}

/// The canonical frame address: what the stack pointer was before the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cfa {
    /// An offset from the stack pointer.
    Stack(i32),
    /// An offset from rbp.
    Base(i32),
}

// Bits 0 to 2: the kind, never 0. Bit 3: the caller's rbp is saved. Bits 4 to 31: its offset.
// Bits 32 to 63: the offset of the canonical frame address.
const ROOT: u64 = 1;
const UNKNOWN: u64 = 2;
const SIGNAL: u64 = 3;
const STACK: u64 = 4;
const BASE: u64 = 5;
const ALIGNED: u64 = 6;
const NO_TABLE: u64 = 7;
const KIND: u64 = 7;
const SAVED: u64 = 1 << 3;

/// Offsets of the saved rbp that fit.
const OFFSETS: std::ops::Range<i32> = -(1 << 27)..1 << 27;

impl Rule {
    /// The rule as a word, which is never 0.
    pub(crate) fn pack(self) -> u64 {
        match self {
            Rule::Root => ROOT,
            Rule::Unknown => UNKNOWN,
            Rule::NoTable => NO_TABLE,
            Rule::Signal => SIGNAL,
            Rule::Aligned { cfa_at } => ALIGNED | u64::from(cfa_at as u32) << 32,
            Rule::Frame { saved_base: Some(offset), .. } if !OFFSETS.contains(&offset) => UNKNOWN,
            Rule::Frame { cfa, saved_base } => {
                let (kind, offset) = match cfa {
                    Cfa::Stack(offset) => (STACK, offset),
                    Cfa::Base(offset) => (BASE, offset),
                };
                let saved = saved_base.map_or(0, |offset| SAVED | u64::from((offset as u32) << 4));
                kind | saved | u64::from(offset as u32) << 32
            }
        }
    }

    /// The rule that [`Rule::pack`] made a word of.
    #[inline]
    pub(crate) fn unpack(word: u64) -> Rule {
        let offset = (word >> 32) as i32;
        let cfa = match word & KIND {
            ROOT => return Rule::Root,
            SIGNAL => return Rule::Signal,
            NO_TABLE => return Rule::NoTable,
            STACK => Cfa::Stack(offset),
            BASE => Cfa::Base(offset),
            ALIGNED => return Rule::Aligned { cfa_at: offset },
            _ => return Rule::Unknown,
        };
        let saved_base = (word & SAVED != 0).then_some((word as u32).cast_signed() >> 4);
        Rule::Frame { cfa, saved_base }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_survives_packing() {
        let offsets = [0, 8, -16, i32::MAX, i32::MIN];
        let cfas = offsets.iter().flat_map(|o| [Cfa::Stack(*o), Cfa::Base(*o)]);
        let saved = [None, Some(0), Some(-16), Some(OFFSETS.start), Some(OFFSETS.end - 1)];
        let frames = cfas.flat_map(|cfa| saved.map(|saved_base| Rule::Frame { cfa, saved_base }));
        for rule in frames
            .chain([Rule::Root, Rule::Unknown, Rule::NoTable, Rule::Signal])
            .chain(offsets.map(|cfa_at| Rule::Aligned { cfa_at }))
        {
            assert_ne!(rule.pack(), 0);
            assert_eq!(Rule::unpack(rule.pack()), rule);
        }
    }

    #[test]
    fn what_does_not_fit_is_unknown() {
        let rule = Rule::Frame { cfa: Cfa::Stack(8), saved_base: Some(OFFSETS.end) };
        assert_eq!(Rule::unpack(rule.pack()), Rule::Unknown);
    }
}
