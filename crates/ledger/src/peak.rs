//! The process's highest total, to the byte and with any number of threads, although most events
//! touch nothing that threads share.
//!
//! What counts is the **margin**: how far the process is below its highest total. While there is
//! any, an allocation uses it up and a free adds to it, and the peak stays what it is. The margin
//! is the sum of a pool, which all threads share, and of the threads' [`Account`]s: a thread adds
//! what it frees to its own, and allocates from there. Only what exceeds its account comes out of
//! the pool. When the pool does not hold that much, the accounts are frozen one after the other
//! and then, in one step, their sum goes to the pool; and when it does not suffice even then, that
//! is a new peak, since there is no margin anywhere. So a peak is only ever raised while all
//! accounts are frozen, and an event that succeeds in changing an account knows that none was
//! raised since it looked.
//!
//! ```text
//!  Pooled ─ a free, and the pool is large ─► Spread ─ the pool is too small ─► Gathering ─┐
//!    ▲                                                                                    │
//!    └─────────────────────── all accounts are frozen; their sum joins the pool ──────────┘
//! ```
//!
//! Nobody waits for anybody: a thread that finds the accounts being gathered does it as well.

use std::sync::atomic::{AtomicU64, Ordering};

use portable_atomic::AtomicU128;

/// The pool of the margin, and how often the highest total has been raised.
///
/// The total itself is not here: it is the sum of the cells.
#[repr(C, align(64))]
#[derive(Debug, Default)]
pub struct Peak {
    /// Low half: the pool, as [`Word`]. High half: the epoch, which rises with each new peak.
    word: AtomicU128,
    /// Keeps what follows off this cache line.
    padding: [u64; 6],
}

/// One thread's share of the margin. Only its owner takes from it or adds to it; others may freeze
/// it.
#[repr(C, align(64))]
#[derive(Debug, Default)]
pub struct Account(AtomicU64);

/// Everybody's accounts, for a thread that needs to know their sum.
pub trait Accounts {
    /// Calls `visit` with each account that may have been used. One that is added meanwhile may be
    /// left out, if its owner looks at the peak only after that.
    fn each(&self, visit: &mut dyn FnMut(&Account));
}

impl Accounts for [Account] {
    fn each(&self, visit: &mut dyn FnMut(&Account)) {
        self.iter().for_each(visit);
    }
}

/// How many threads the process has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Threads {
    /// The calling one alone, until it starts another.
    One,
    /// Perhaps others.
    Several,
}

/// A thread's side of the peak.
#[derive(Debug)]
pub struct Share<'a, A: ?Sized> {
    /// The thread's own account.
    pub account: &'a Account,
    /// The epoch that is in force for as long as the account is not frozen.
    pub epoch: &'a mut u64,
    /// How many threads there are.
    pub threads: Threads,
    /// The others'.
    pub accounts: &'a A,
}

/// What an event does to the total in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Rise(u64),
    Fall(u64),
}

/// The pool is spread over accounts again when there is this much in it: an account is only worth
/// having if it is not gathered soon.
const WORTH_SPREADING: u64 = 16 * 1024;

/// A state, a generation of it, and bytes, in one word: no process can have more than 2^48 bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Word(u64);

const BYTES_BITS: u32 = 48;
const GENERATION_BITS: u32 = 14;
const GENERATIONS: u64 = 1 << GENERATION_BITS;

// States of the pool.
const POOLED: u64 = 0;
const SPREAD: u64 = 1;
const GATHERING: u64 = 2;

// States of an account; zeroed memory is one that nobody has looked at yet.
const FROZEN: u64 = 1;
const OPEN: u64 = 2;

impl Word {
    fn new(state: u64, generation: u64, bytes: u64) -> Word {
        debug_assert!(bytes >> BYTES_BITS == 0);
        let state = (state << GENERATION_BITS) | (generation % GENERATIONS);
        Word((state << BYTES_BITS) | bytes)
    }

    #[inline]
    fn bytes(self) -> u64 {
        self.0 & ((1 << BYTES_BITS) - 1)
    }

    #[inline]
    fn state(self) -> u64 {
        self.0 >> (BYTES_BITS + GENERATION_BITS)
    }

    fn generation(self) -> u64 {
        self.0 >> BYTES_BITS & (GENERATIONS - 1)
    }

    /// The same with other bytes.
    #[inline]
    fn with(self, bytes: u64) -> Word {
        Word(self.0 - self.bytes() + bytes)
    }

    fn in_state(self, state: u64, generation: u64) -> Word {
        Word::new(state, generation, self.bytes())
    }
}

impl Account {
    /// Applies a change to an open account that suffices for it. `before` is called first.
    #[inline]
    fn apply(&self, change: Change, threads: Threads, before: impl FnOnce()) -> bool {
        let word = Word(self.0.load(Ordering::Relaxed));
        if word.state() != OPEN {
            return false;
        }
        let bytes = match change {
            Change::Rise(bytes) if bytes > word.bytes() => return false,
            Change::Rise(bytes) => word.bytes() - bytes,
            Change::Fall(bytes) => word.bytes() + bytes,
        };
        before();
        self.replace(word, word.with(bytes), threads)
    }

    #[inline]
    fn replace(&self, word: Word, new: Word, threads: Threads) -> bool {
        match threads {
            // Nobody else is there to freeze it.
            Threads::One => {
                self.0.store(new.0, Ordering::Relaxed);
                true
            }
            Threads::Several => {
                self.0.compare_exchange(word.0, new.0, Ordering::SeqCst, Ordering::Relaxed).is_ok()
            }
        }
    }

    /// Freezes the account for the gathering of this generation, and returns what it holds.
    /// `None`: that gathering is over.
    fn freeze(&self, generation: u64) -> Option<u64> {
        loop {
            let word = Word(self.0.load(Ordering::SeqCst));
            let later = word.generation().wrapping_sub(generation) % GENERATIONS;
            let frozen = match word.state() {
                FROZEN if later == 0 => return Some(word.bytes()),
                FROZEN | OPEN if later != 0 && later < GENERATIONS / 2 => return None,
                OPEN => word.in_state(FROZEN, generation),
                // What it held has been gathered before. It is frozen anew all the same, so that
                // an owner who is about to open it, and last looked in an earlier generation, fails.
                _ => Word::new(FROZEN, generation, 0),
            };
            let exchanged =
                self.0.compare_exchange(word.0, frozen.0, Ordering::SeqCst, Ordering::Relaxed);
            if exchanged.is_ok() {
                return Some(frozen.bytes());
            }
        }
    }
}

impl Peak {
    /// Byte offset of the epoch in the word.
    pub(crate) const EPOCH_OFFSET: usize = 8;

    /// Applies `change`. `before` is called with the epoch in force before it, perhaps more than
    /// once; the last call is the one that counts.
    #[inline]
    pub(crate) fn apply<A: Accounts + ?Sized>(
        &self,
        change: Change,
        share: Share<A>,
        before: impl Fn(u64),
    ) {
        let epoch = *share.epoch;
        if !share.account.apply(change, share.threads, || before(epoch)) {
            // Made anew here, so that on the way of most events it need not be in memory.
            let Share { account, epoch, threads, accounts } = share;
            self.apply_to_pool(change, Share { account, epoch, threads, accounts }, before);
        }
    }

    #[cold]
    #[allow(clippy::needless_pass_by_value)] // see `apply`
    fn apply_to_pool<A: Accounts + ?Sized>(
        &self,
        change: Change,
        share: Share<A>,
        before: impl Fn(u64),
    ) {
        loop {
            let (pool, epoch) = split(self.word.load(Ordering::SeqCst));
            let generation = pool.generation();
            if share.threads == Threads::One {
                if pool.state() != POOLED {
                    self.gather(pool, epoch, share.accounts);
                } else if self.apply_alone(change, (pool, epoch), &share, &before) {
                    *share.epoch = split(self.word.load(Ordering::SeqCst)).1;
                    return;
                }
                continue;
            }
            let (new_pool, new_epoch) = match change {
                Change::Rise(bytes) if bytes <= pool.bytes() => {
                    (pool.with(pool.bytes() - bytes), epoch)
                }
                Change::Rise(_) if pool.state() == POOLED => (pool.with(0), epoch + 1),
                Change::Rise(_) => {
                    self.gather(pool, epoch, share.accounts);
                    continue;
                }
                Change::Fall(bytes) if pool.state() == SPREAD => {
                    let word = Word(share.account.0.load(Ordering::SeqCst));
                    let held = if word.state() == OPEN { word.bytes() } else { 0 };
                    *share.epoch = epoch;
                    before(epoch);
                    let open = Word::new(OPEN, generation, held + bytes);
                    if share.account.replace(word, open, Threads::Several) {
                        return;
                    }
                    continue;
                }
                Change::Fall(bytes) => {
                    let pool = pool.with(pool.bytes() + bytes);
                    let spread = pool.state() == POOLED && pool.bytes() >= WORTH_SPREADING;
                    let next = pool.in_state(SPREAD, generation + 1);
                    (if spread { next } else { pool }, epoch)
                }
            };
            before(epoch);
            if self.replace((pool, epoch), (new_pool, new_epoch)) {
                return;
            }
        }
    }

    /// Applies the change of a process's only thread, which then keeps the whole margin: nobody
    /// else needs it.
    fn apply_alone<A: Accounts + ?Sized>(
        &self,
        change: Change,
        (pool, epoch): (Word, u64),
        share: &Share<A>,
        before: impl Fn(u64),
    ) -> bool {
        let (margin, new_epoch) = match change {
            Change::Rise(bytes) if bytes <= pool.bytes() => (pool.bytes() - bytes, epoch),
            Change::Rise(_) => (0, epoch + 1),
            Change::Fall(bytes) => (pool.bytes() + bytes, epoch),
        };
        before(epoch);
        let generation = pool.generation() + 1;
        let applied = self.replace((pool, epoch), (Word::new(SPREAD, generation, 0), new_epoch));
        if applied {
            share.account.0.store(Word::new(OPEN, generation, margin).0, Ordering::Relaxed);
        }
        applied
    }

    /// Applies a free of a thread that has no account.
    pub(crate) fn fall_into_pool(&self, bytes: u64) {
        loop {
            let (pool, epoch) = split(self.word.load(Ordering::SeqCst));
            if self.replace((pool, epoch), (pool.with(pool.bytes() + bytes), epoch)) {
                return;
            }
        }
    }

    /// Brings what is in the accounts to the pool, if that is still `pool`.
    fn gather<A: Accounts + ?Sized>(&self, pool: Word, epoch: u64, accounts: &A) {
        let generation = pool.generation();
        let gathering = pool.in_state(GATHERING, generation);
        if pool.state() == SPREAD && !self.replace((pool, epoch), (gathering, epoch)) {
            return;
        }
        let mut sum = Some(0);
        accounts.each(&mut |account| {
            sum = sum.and_then(|sum| Some(sum + account.freeze(generation)?));
        });
        // Every account is frozen, and what they hold does not change before this succeeds.
        let Some(sum) = sum else { return };
        loop {
            let (pool, epoch) = split(self.word.load(Ordering::SeqCst));
            if pool.state() != GATHERING || pool.generation() != generation {
                return;
            }
            let pooled = pool.with(pool.bytes() + sum).in_state(POOLED, generation);
            if self.replace((pool, epoch), (pooled, epoch)) {
                return;
            }
        }
    }

    fn replace(&self, old: (Word, u64), new: (Word, u64)) -> bool {
        let [old, new] = [old, new].map(|(pool, epoch)| join(pool, epoch));
        self.word.compare_exchange(old, new, Ordering::SeqCst, Ordering::Relaxed).is_ok()
    }
}

fn split(word: u128) -> (Word, u64) {
    (Word(word as u64), (word >> 64) as u64)
}

fn join(pool: Word, epoch: u64) -> u128 {
    u128::from(pool.0) | u128::from(epoch) << 64
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Some threads, of which the last one has never done anything.
    struct Process {
        peak: Peak,
        accounts: [Account; 3],
        epochs: [u64; 3],
    }

    impl Process {
        fn new() -> Process {
            Process { peak: Peak::default(), accounts: Default::default(), epochs: [0; 3] }
        }

        fn apply(&mut self, thread: usize, change: Change) {
            let share = Share {
                account: &self.accounts[thread],
                epoch: &mut self.epochs[thread],
                threads: Threads::Several,
                accounts: &self.accounts[..],
            };
            self.peak.apply(change, share, |_| {});
        }

        fn pool_and_epoch(&self) -> (u64, u64) {
            let (pool, epoch) = split(self.peak.word.load(Ordering::Relaxed));
            (pool.bytes(), epoch)
        }
    }

    #[test]
    fn the_epoch_rises_only_above_the_highest_total() {
        let mut process = Process::new();
        process.apply(0, Change::Rise(100));
        assert_eq!(process.pool_and_epoch(), (0, 1));
        process.apply(0, Change::Fall(60));
        process.apply(1, Change::Rise(60));
        assert_eq!(process.pool_and_epoch(), (0, 1), "reaching the old maximum is no new one");
        process.apply(0, Change::Rise(1));
        assert_eq!(process.pool_and_epoch(), (0, 2));
    }

    #[test]
    fn what_threads_keep_counts_before_there_is_a_new_peak() {
        let mut process = Process::new();
        process.apply(0, Change::Rise(10 * WORTH_SPREADING));
        for thread in [0, 0, 1, 0] {
            process.apply(thread, Change::Fall(WORTH_SPREADING));
        }
        let (pool, epoch) = process.pool_and_epoch();
        assert_eq!((pool, epoch), (WORTH_SPREADING, 1), "threads keep what they free after that");
        process.apply(1, Change::Rise(4 * WORTH_SPREADING));
        assert_eq!(process.pool_and_epoch(), (0, 1));
        process.apply(1, Change::Rise(1));
        assert_eq!(process.pool_and_epoch(), (0, 2));
    }

    #[test]
    fn an_account_frozen_in_an_earlier_generation_holds_nothing() {
        let account = Account::default();
        assert_eq!(account.freeze(7), Some(0));
        account.0.store(Word::new(OPEN, 8, 500).0, Ordering::Relaxed);
        assert_eq!(account.freeze(7), None, "that gathering is over");
        assert_eq!(account.freeze(8), Some(500));
        assert_eq!(account.freeze(8), Some(500), "whoever else gathers finds the same");
        assert_eq!(account.freeze(9), Some(0));
    }

    #[test]
    fn generations_begin_again_after_the_last() {
        let account = Account::default();
        account.0.store(Word::new(OPEN, GENERATIONS - 1, 500).0, Ordering::Relaxed);
        assert_eq!(account.freeze(GENERATIONS - 1), Some(500));
        assert_eq!(account.freeze(0), Some(0));
        assert_eq!(account.freeze(GENERATIONS - 1), None);
    }

    #[test]
    fn a_reader_finds_the_epoch_at_its_offset() {
        let mut process = Process::new();
        process.apply(0, Change::Rise(1));
        let bytes = process.peak.word.load(Ordering::Relaxed).to_ne_bytes();
        let epoch = &bytes[Peak::EPOCH_OFFSET..Peak::EPOCH_OFFSET + 8];
        assert_eq!(u64::from_ne_bytes(epoch.try_into().expect("eight bytes")), 1);
    }
}
