//! One thread's share of the margin below the peak: see `peak.rs`.

use std::sync::atomic::Ordering;

use crate::atomics::AtomicU64;
use crate::fences;
use crate::word::{GENERATIONS, Word};

/// One thread's share of the margin. Only its owner takes from it or adds to it; others may freeze
/// it.
///
/// The owner stores what the account holds, and only then looks whether somebody has frozen it:
/// most events need no atomic read-modify-write. Whoever freezes it says so first, looks only after
/// a fence in all threads (`fences.rs`), and leaves there what he saw; or the owner, who sees what
/// he stored without a fence, comes first and does the same. So an owner who finds it frozen can
/// tell whether his last change was in it.
#[repr(C, align(64))]
#[derive(Debug)]
pub struct Account {
    /// Whether it is open, as [`Word`]; the bytes are those that it held when it was frozen.
    pub(crate) gate: AtomicU64,
    /// Bytes in it; [`NOTHING`] once its owner knows that it is not open.
    pub(crate) held: AtomicU64,
}

impl Default for Account {
    /// One that nobody has looked at yet.
    fn default() -> Account {
        Account { gate: AtomicU64::new(0), held: AtomicU64::new(NOTHING) }
    }
}

/// What the owner of an account knows of it.
#[derive(Debug)]
pub struct Lease {
    /// The epoch that is in force for as long as the account is not frozen.
    pub(crate) epoch: u64,
    /// The account's gate when it was opened.
    pub(crate) opened: u64,
    /// Events that went to the pool since this thread last had it spread.
    pub(crate) pooled: u32,
}

impl Default for Lease {
    /// What is known of an account that is not open.
    fn default() -> Lease {
        Lease { epoch: 0, opened: CLOSED, pooled: 0 }
    }
}

// States of an account's gate. Zeroed memory is an account that nobody has looked at yet.
/// Frozen, and what it held has been gathered before.
pub(crate) const SPENT: u64 = 0;
/// Frozen for a gathering of which its bytes are a part.
pub(crate) const FROZEN: u64 = 1;
pub(crate) const OPEN: u64 = 2;
/// To be frozen: whoever looks at what it holds leaves that there.
pub(crate) const FREEZING: u64 = 3;

/// What an account that is not open holds: it stays below 0 whatever event comes.
pub(crate) const NOTHING: u64 = 3 << 62;

/// How often an account is tried to be frozen: each time that it fails, its owner or another thread
/// has changed it. Memory that another process changes could have one try for ever.
const TRIES: u32 = 64;

/// What a lease has for the gate of an account that is not open: no gate is ever this.
pub(crate) const CLOSED: u64 = u64::MAX;

/// What an account's owner stored in it for an event, or below 0 when the account did not suffice.
#[derive(Clone, Copy, Debug)]
pub struct Stored(pub(crate) u64);

impl Account {
    /// Takes what an allocation needs. `before` is called first with the epoch in force. An error
    /// is for `Peak::settle`.
    #[inline(always)]
    pub(crate) fn rise(
        &self,
        bytes: u64,
        lease: &Lease,
        before: impl FnOnce(u64),
    ) -> Result<(), Stored> {
        self.change(self.held.load(Ordering::Relaxed).wrapping_sub(bytes), lease, before)
    }

    /// Adds what a free has left, and otherwise does what [`Account::rise`] does.
    #[inline(always)]
    pub(crate) fn fall(
        &self,
        bytes: u64,
        lease: &Lease,
        before: impl FnOnce(u64),
    ) -> Result<(), Stored> {
        self.change(self.held.load(Ordering::Relaxed).wrapping_add(bytes), lease, before)
    }

    #[inline(always)]
    pub(crate) fn change(
        &self,
        next: u64,
        lease: &Lease,
        before: impl FnOnce(u64),
    ) -> Result<(), Stored> {
        if (next as i64) < 0 {
            return Err(Stored(next));
        }
        // In force still, or else the account is frozen, and that is found below.
        before(lease.epoch);
        self.held.store(next, Ordering::Relaxed);
        fences::of_owner();
        if self.gate.load(Ordering::Relaxed) == lease.opened { Ok(()) } else { Err(Stored(next)) }
    }

    /// Announces to the owner that the account is being frozen for the gathering of this
    /// generation. `None`: that gathering is over, or it has been tried too often.
    pub(crate) fn begin_to_freeze(&self, generation: u64) -> Option<()> {
        for _ in 0..TRIES {
            let word = Word(self.gate.load(Ordering::SeqCst));
            let later = word.generation().wrapping_sub(generation) % GENERATIONS;
            let next = match word.state() {
                FROZEN | SPENT | FREEZING if later == 0 => return Some(()),
                // Nobody has looked at it yet.
                SPENT if word.generation() == 0 => Word::new(SPENT, generation, 0),
                _ if later != 0 && later < GENERATIONS / 2 => return None,
                OPEN => Word::new(FREEZING, generation, 0),
                FREEZING => {
                    self.frozen();
                    continue;
                }
                // What it held has been gathered before, and stays there for its owner. It is
                // frozen anew all the same, so that an owner who is about to open it, and last
                // looked in an earlier generation, fails.
                _ => word.in_state(SPENT, generation),
            };
            let exchanged =
                self.gate.compare_exchange(word.0, next.0, Ordering::SeqCst, Ordering::Relaxed);
            if exchanged.is_ok() {
                return Some(());
            }
        }
        None
    }

    /// Freezes the account after the fence that follows [`Account::begin_to_freeze`], and returns
    /// what it has for the gathering of this generation. `None`: that gathering is over.
    pub(crate) fn freeze(&self, generation: u64) -> Option<u64> {
        // Of a later generation it must not be looked at: the fence came too early for that.
        if Word(self.gate.load(Ordering::SeqCst)).generation() != generation {
            return None;
        }
        let word = self.frozen();
        match word.state() {
            FROZEN if word.generation() == generation => Some(word.bytes()),
            SPENT if word.generation() == generation => Some(0),
            _ => None,
        }
    }

    /// Whether what it holds is not in its gate yet: [`Account::begin_to_freeze`] has been here,
    /// and nobody since.
    pub(crate) fn is_being_frozen(&self, generation: u64) -> bool {
        let word = Word(self.gate.load(Ordering::SeqCst));
        word.state() == FREEZING && word.generation() == generation
    }

    /// The gate, and what the account held when it was frozen, if it is.
    pub(crate) fn frozen(&self) -> Word {
        let word = Word(self.gate.load(Ordering::SeqCst));
        if word.state() != FREEZING {
            return word;
        }
        let held = self.held.load(Ordering::SeqCst);
        let frozen = Word::new(FROZEN, word.generation(), held);
        self.gate
            .compare_exchange(word.0, frozen.0, Ordering::SeqCst, Ordering::SeqCst)
            .map_or_else(Word, |_| frozen)
    }
}

impl Lease {
    pub(crate) fn is_open(&self) -> bool {
        self.opened != CLOSED
    }

    /// Gives the account up if somebody has frozen it, and returns what it held then.
    pub(crate) fn look(&mut self, account: &Account) -> Option<u64> {
        if !self.is_open() || account.gate.load(Ordering::SeqCst) == self.opened {
            return None;
        }
        self.opened = CLOSED;
        Some(account.frozen().bytes())
    }
}
