//! The process's highest total, as one 128-bit word that every event moves.

use std::sync::atomic::Ordering;

use portable_atomic::AtomicU128;

/// How far the process is below its highest total in use, and how often that has been raised.
///
/// The two halves change together, so an event that succeeds in changing the word knows that no
/// peak was reached since it looked: that is what makes the peak exact with many threads. The
/// total itself is not here: it is the sum of the cells.
#[repr(C, align(64))]
#[derive(Debug, Default)]
pub struct Peak {
    /// Low half: bytes below the highest total. High half: the epoch.
    word: AtomicU128,
    /// Keeps what follows off this cache line.
    padding: [u64; 6],
}

/// What an event does to the total in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Rise(u64),
    Fall(u64),
}

impl Peak {
    /// Byte offset of the epoch in the word.
    pub(crate) const EPOCH_OFFSET: usize = 8;

    /// Applies `change`. `before` is called with the epoch in force before it, perhaps more than
    /// once; the last call is the one that counts.
    ///
    /// `guess` is the word as the calling thread last saw it. A wrong guess costs a second try;
    /// a right one saves the load, which on x86-64 costs as much as the exchange.
    #[inline]
    pub(crate) fn apply(&self, change: Change, guess: &mut u128, mut before: impl FnMut(u64)) {
        let mut word = *guess;
        loop {
            let (deficit, epoch) = (word as u64, (word >> 64) as u64);
            before(epoch);
            let (deficit, epoch) = match change {
                Change::Rise(bytes) if bytes > deficit => (0, epoch + 1),
                Change::Rise(bytes) => (deficit - bytes, epoch),
                Change::Fall(bytes) => (deficit + bytes, epoch),
            };
            let next = u128::from(deficit) | u128::from(epoch) << 64;
            match self.word.compare_exchange(word, next, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => {
                    *guess = next;
                    return;
                }
                Err(found) => word = found,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn apply(peak: &Peak, change: Change) {
        peak.apply(change, &mut 0, |_| {});
    }

    fn state(peak: &Peak) -> (u64, u64) {
        let word = peak.word.load(Ordering::Relaxed);
        (word as u64, (word >> 64) as u64)
    }

    #[test]
    fn the_epoch_rises_only_above_the_highest_total() {
        let peak = Peak::default();
        apply(&peak, Change::Rise(100));
        assert_eq!(state(&peak), (0, 1));
        apply(&peak, Change::Fall(60));
        apply(&peak, Change::Rise(60));
        assert_eq!(state(&peak), (0, 1), "reaching the old maximum is no new one");
        apply(&peak, Change::Rise(1));
        assert_eq!(state(&peak), (0, 2));
    }

    #[test]
    fn a_reader_finds_the_epoch_at_its_offset() {
        let peak = Peak::default();
        apply(&peak, Change::Rise(1));
        let bytes = peak.word.load(Ordering::Relaxed).to_ne_bytes();
        let epoch = &bytes[Peak::EPOCH_OFFSET..Peak::EPOCH_OFFSET + 8];
        assert_eq!(u64::from_ne_bytes(epoch.try_into().expect("eight bytes")), 1);
    }
}
