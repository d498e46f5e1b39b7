//! A word that threads exchange as a whole: a state, a generation, and bytes.

/// A state, a generation of it, and bytes, in one word: no process can have more than 2^48 bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Word(pub(crate) u64);

pub(crate) const BYTES_BITS: u32 = 48;
pub(crate) const GENERATION_BITS: u32 = 14;
pub(crate) const GENERATIONS: u64 = 1 << GENERATION_BITS;

impl Word {
    pub(crate) fn new(state: u64, generation: u64, bytes: u64) -> Word {
        debug_assert!(bytes >> BYTES_BITS == 0);
        let state = (state << GENERATION_BITS) | (generation % GENERATIONS);
        Word((state << BYTES_BITS) | bytes)
    }

    #[inline]
    pub(crate) fn bytes(self) -> u64 {
        self.0 & ((1 << BYTES_BITS) - 1)
    }

    #[inline]
    pub(crate) fn state(self) -> u64 {
        self.0 >> (BYTES_BITS + GENERATION_BITS)
    }

    pub(crate) fn generation(self) -> u64 {
        self.0 >> BYTES_BITS & (GENERATIONS - 1)
    }

    /// This word with other bytes.
    #[inline]
    pub(crate) fn with(self, bytes: u64) -> Word {
        Word(self.0 - self.bytes() + bytes)
    }

    pub(crate) fn in_state(self, state: u64, generation: u64) -> Word {
        Word::new(state, generation, self.bytes())
    }
}

/// The generation that follows. Generation 0 is only that of accounts nobody has looked at.
pub(crate) fn after(generation: u64) -> u64 {
    generation % (GENERATIONS - 1) + 1
}
