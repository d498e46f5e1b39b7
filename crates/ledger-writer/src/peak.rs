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
//! Nobody depends on anybody: a thread that finds the accounts being gathered does it as well. Who
//! gathers gives the owners a moment to freeze their accounts themselves, and then has the kernel
//! stop them for an instant ([`fences`]).

#[cfg(not(loom))]
use std::mem::offset_of;
use std::sync::atomic::Ordering;

#[cfg(not(loom))]
use ledger::layout::PeakRecord;

use crate::account::{Account, Lease, NOTHING, OPEN, Stored};
use crate::atomics::AtomicU128;
use crate::fences;
use crate::word::{Word, after};

/// The pool of the margin, and how often the highest total has been raised.
///
/// The total itself is not here: it is the sum of the cells.
#[repr(C, align(64))]
#[derive(Debug, Default)]
pub(crate) struct Peak {
    /// Low half: the pool, as [`Word`]. High half: the epoch, which rises with each new peak.
    word: AtomicU128,
    /// Keeps what follows off this cache line.
    padding: [u64; 6],
}

// The two halves of the word lie where readers look for them.
#[cfg(not(loom))]
const _: () = {
    assert!(size_of::<Peak>() == size_of::<PeakRecord>());
    assert!(align_of::<Peak>() == align_of::<PeakRecord>());
    assert!(offset_of!(Peak, word) == offset_of!(PeakRecord, pool));
    assert!(offset_of!(PeakRecord, epoch) == offset_of!(PeakRecord, pool) + 8);
};

/// Everybody's accounts, for a thread that needs to know their sum.
pub trait Accounts {
    /// Calls `visit` with each account that may have been used. One that is added meanwhile may be
    /// left out, if its owner looks at the peak only after that.
    fn each(&self, visit: &mut dyn FnMut(&Account));

    /// How many threads there are.
    fn threads(&self) -> Threads {
        Threads::Several
    }
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
    /// What the thread knows of it.
    pub lease: &'a mut Lease,
    /// The others'.
    pub accounts: &'a A,
}

/// What an event does to the total in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// An allocation of so many bytes.
    Rise(u64),
    /// A free of so many bytes.
    Fall(u64),
}

impl Change {
    fn bytes(self) -> u64 {
        match self {
            Change::Rise(bytes) | Change::Fall(bytes) => bytes,
        }
    }
}

/// The pool is spread over accounts again when there is this much in it: an account is only worth
/// having if it is not gathered soon.
const WORTH_SPREADING: u64 = 16 * 1024;
/// Each event that went to the pool counts for as much: to gather costs about as much as 64 of
/// them, so that even where there is little in the pool it pays to try in the end.
const EACH_POOLED: u64 = WORTH_SPREADING / 64;

/// How often a change is tried: each time that it fails, another thread's has succeeded, or has
/// been found half done. Memory that another process changes could have one try for ever.
const TRIES: u32 = 1 << 14;

/// How often it is looked whether owners freeze their accounts themselves.
const LOOKS: u32 = if cfg!(loom) { 1 } else { 64 };
/// With more accounts than these, somebody is always busy with something else.
const FEW: u64 = 16;

// States of the pool.
const POOLED: u64 = 0;
const SPREAD: u64 = 1;
const GATHERING: u64 = 2;

impl Peak {
    /// Applies a change that the account does not suffice for, or whose account is not open.
    /// `stored` is what [`Account::rise`] or [`Account::fall`] said. `before` is called with the
    /// epoch in force before the change, perhaps more than once; the last call is the one that
    /// counts. `false`: it has been tried too often, and the peak may be wrong from now on by as
    /// much as the change.
    pub(crate) fn settle<A: Accounts + ?Sized>(
        &self,
        change: Change,
        stored: Stored,
        share: Share<A>,
        before: impl Fn(u64),
    ) -> bool {
        let Share { account, lease, accounts } = share;
        let next = (stored.0 as i64 >= 0).then_some(stored.0);
        let frozen = lease.look(account);
        // Nothing tells apart whether nothing was in it.
        if frozen.is_some() && frozen == next && change.bytes() != 0 {
            // It was frozen after this event.
            account.held.store(NOTHING, Ordering::Relaxed);
            return true;
        }
        let threads = accounts.threads();
        for _ in 0..TRIES {
            // Before the pool: whoever gathers what is spread now freezes the account after that,
            // and this is no longer its gate.
            let gate = account.gate.load(Ordering::SeqCst);
            let (pool, epoch) = split(self.word.load(Ordering::SeqCst));
            // After the pool: if the account is open still, its epoch is the pool's.
            lease.look(account);
            if !lease.is_open() {
                // What was in it has been gathered.
                account.held.store(NOTHING, Ordering::Relaxed);
            }
            let generation = pool.generation();
            if threads == Threads::One {
                if pool.state() != POOLED {
                    self.gather(pool, epoch, account, accounts);
                } else if self.apply_alone(change, (pool, epoch), (account, lease), &before) {
                    return true;
                }
                continue;
            }
            let (new_pool, new_epoch) = match change {
                Change::Rise(bytes) if bytes <= pool.bytes() => {
                    (pool.with(pool.bytes() - bytes), epoch)
                }
                Change::Rise(_) if pool.state() == POOLED => (pool.with(0), epoch + 1),
                Change::Rise(_) => {
                    self.gather(pool, epoch, account, accounts);
                    continue;
                }
                Change::Fall(bytes) if pool.state() == SPREAD => {
                    before(epoch);
                    account.held.store(bytes, Ordering::SeqCst);
                    let open = Word::new(OPEN, generation, 0).0;
                    let (success, failure) = (Ordering::SeqCst, Ordering::Relaxed);
                    if account.gate.compare_exchange(gate, open, success, failure).is_ok() {
                        (lease.epoch, lease.opened) = (epoch, open);
                        return true;
                    }
                    continue;
                }
                Change::Fall(bytes) => {
                    let pool = pool.with(pool.bytes() + bytes);
                    let worth = pool.bytes() + u64::from(lease.pooled) * EACH_POOLED;
                    let spread = pool.state() == POOLED && worth >= WORTH_SPREADING;
                    let next = pool.in_state(SPREAD, after(generation));
                    (if spread { next } else { pool }, epoch)
                }
            };
            before(epoch);
            if self.replace((pool, epoch), (new_pool, new_epoch)) {
                let spread = new_pool.state() == SPREAD && pool.state() == POOLED;
                lease.pooled = if spread { 0 } else { lease.pooled.saturating_add(1) };
                return true;
            }
        }
        false
    }

    /// Applies the change of a process's only thread, which then keeps the whole margin: nobody
    /// else needs it.
    fn apply_alone(
        &self,
        change: Change,
        (pool, epoch): (Word, u64),
        (account, lease): (&Account, &mut Lease),
        before: impl Fn(u64),
    ) -> bool {
        let (margin, new_epoch) = match change {
            Change::Rise(bytes) if bytes <= pool.bytes() => (pool.bytes() - bytes, epoch),
            Change::Rise(_) => (0, epoch + 1),
            Change::Fall(bytes) => (pool.bytes() + bytes, epoch),
        };
        before(epoch);
        let generation = after(pool.generation());
        let applied = self.replace((pool, epoch), (Word::new(SPREAD, generation, 0), new_epoch));
        if applied {
            let open = Word::new(OPEN, generation, 0).0;
            account.held.store(margin, Ordering::Relaxed);
            account.gate.store(open, Ordering::SeqCst);
            (lease.epoch, lease.opened) = (new_epoch, open);
        }
        applied
    }

    /// Applies a free of a thread that has no account. `false`: as [`Peak::settle`] says.
    pub(crate) fn fall_into_pool(&self, bytes: u64) -> bool {
        for _ in 0..TRIES {
            let (pool, epoch) = split(self.word.load(Ordering::SeqCst));
            if self.replace((pool, epoch), (pool.with(pool.bytes() + bytes), epoch)) {
                return true;
            }
        }
        false
    }

    /// Brings what is in the accounts to the pool, if that is still `pool`. `own` is that of the
    /// calling thread.
    fn gather<A: Accounts + ?Sized>(&self, pool: Word, epoch: u64, own: &Account, accounts: &A) {
        let generation = pool.generation();
        let gathering = pool.in_state(GATHERING, generation);
        if pool.state() == SPREAD && !self.replace((pool, epoch), (gathering, epoch)) {
            return;
        }
        let mut all = Some(());
        accounts.each(&mut |account| {
            all = all.and_then(|()| account.begin_to_freeze(generation));
        });
        if all.is_none() {
            return;
        }
        // Its owner sees for himself what he has stored.
        own.frozen();
        if !owners_have_frozen(generation, accounts) {
            fences::of_others();
        }
        let mut sum = Some(0);
        accounts.each(&mut |account| {
            sum = sum.and_then(|sum| Some(sum + account.freeze(generation)?));
        });
        // Every account is frozen, and what they hold does not change before this succeeds.
        let Some(sum) = sum else { return };
        // Whoever tries too often here finds the accounts frozen as they are the next time.
        for _ in 0..TRIES {
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

/// Whether all owners have frozen their accounts themselves, as each does at its next event: soon,
/// where they allocate all the time. Waits about as long for it as the kernel's fences would take.
fn owners_have_frozen<A: Accounts + ?Sized>(generation: u64, accounts: &A) -> bool {
    for _ in 0..LOOKS {
        let (mut open, mut all) = (0, 0);
        accounts.each(&mut |account| {
            all += 1;
            open += u64::from(account.is_being_frozen(generation));
        });
        if open == 0 {
            return true;
        }
        if all > FEW {
            break;
        }
        std::hint::spin_loop();
    }
    false
}

fn split(word: u128) -> (Word, u64) {
    (Word(word as u64), (word >> 64) as u64)
}

fn join(pool: Word, epoch: u64) -> u128 {
    u128::from(pool.0) | u128::from(epoch) << 64
}

#[cfg(all(test, loom))]
mod interleavings;
#[cfg(all(test, not(loom)))]
mod tests;
