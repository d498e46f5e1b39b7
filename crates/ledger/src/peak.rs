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

use crate::fences;

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
///
/// The owner stores what the account holds, and only then looks whether somebody has frozen it:
/// most events need no atomic read-modify-write. Whoever freezes it says so first, looks only after
/// a fence in all threads ([`fences`]), and leaves there what he saw. So an owner who finds it
/// frozen can tell whether his last change was in it.
#[repr(C, align(64))]
#[derive(Debug)]
pub struct Account {
    /// Whether it is open, as [`Word`]; the bytes are those that it held when it was frozen.
    gate: AtomicU64,
    /// Bytes in it; [`NOTHING`] once its owner knows that it is not open.
    held: AtomicU64,
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
    epoch: u64,
    /// The account's gate when it was opened.
    opened: u64,
    /// Events that went to the pool since this thread last had it spread.
    pooled: u32,
}

impl Default for Lease {
    /// That of an account that is not open.
    fn default() -> Lease {
        Lease { epoch: 0, opened: CLOSED, pooled: 0 }
    }
}

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
pub(crate) enum Change {
    Rise(u64),
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

/// How often it is looked whether owners freeze their accounts themselves.
const LOOKS: u32 = 64;
/// With more accounts than these, somebody is always busy with something else.
const FEW: u64 = 16;

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

// States of an account's gate. Zeroed memory is an account that nobody has looked at yet.
/// Frozen, and what it held has been gathered before.
const SPENT: u64 = 0;
/// Frozen for a gathering of which its bytes are a part.
const FROZEN: u64 = 1;
const OPEN: u64 = 2;
/// To be frozen: whoever looks at what it holds leaves that there.
const FREEZING: u64 = 3;

/// In place of the bytes in an account: it stays below 0 whatever event comes.
const NOTHING: u64 = 3 << 62;

/// In place of the gate of an open account: no gate is ever this.
const CLOSED: u64 = u64::MAX;

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

/// What an account's owner stored in it for an event, or below 0 when the account did not suffice.
#[derive(Clone, Copy, Debug)]
pub struct Stored(u64);

impl Account {
    /// Takes what an allocation needs. `before` is called first with the epoch in force. An error
    /// is for [`Peak::settle`].
    #[inline(always)]
    #[allow(clippy::inline_always)] // the lease would go through memory
    pub(crate) fn rise(
        &self,
        bytes: u64,
        lease: &Lease,
        before: impl FnOnce(u64),
    ) -> Result<(), Stored> {
        self.change(self.held.load(Ordering::Relaxed).wrapping_sub(bytes), lease, before)
    }

    /// Adds what a free has left. The rest as for [`Account::rise`].
    #[inline(always)]
    #[allow(clippy::inline_always)] // as above
    pub(crate) fn fall(
        &self,
        bytes: u64,
        lease: &Lease,
        before: impl FnOnce(u64),
    ) -> Result<(), Stored> {
        self.change(self.held.load(Ordering::Relaxed).wrapping_add(bytes), lease, before)
    }

    #[inline(always)]
    #[allow(clippy::inline_always)] // as above
    fn change(&self, next: u64, lease: &Lease, before: impl FnOnce(u64)) -> Result<(), Stored> {
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
    /// generation. `None`: that gathering is over.
    fn begin_to_freeze(&self, generation: u64) -> Option<()> {
        loop {
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
    }

    /// Freezes the account after the fence that follows [`Account::begin_to_freeze`], and returns
    /// what it has for the gathering of this generation. `None`: that gathering is over.
    fn freeze(&self, generation: u64) -> Option<u64> {
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
    fn is_being_frozen(&self, generation: u64) -> bool {
        let word = Word(self.gate.load(Ordering::SeqCst));
        word.state() == FREEZING && word.generation() == generation
    }

    /// The gate, and what the account held when it was frozen, if it is.
    fn frozen(&self) -> Word {
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
    fn is_open(&self) -> bool {
        self.opened != CLOSED
    }

    /// Gives the account up if somebody has frozen it, and returns what it held then.
    fn look(&mut self, account: &Account) -> Option<u64> {
        if !self.is_open() || account.gate.load(Ordering::SeqCst) == self.opened {
            return None;
        }
        self.opened = CLOSED;
        Some(account.frozen().bytes())
    }
}

impl Peak {
    /// Byte offset of the epoch in the word.
    pub(crate) const EPOCH_OFFSET: usize = 8;

    /// Applies a change that the account does not suffice for, or whose account is not open.
    /// `stored` is what [`Account::rise`] or [`Account::fall`] said. `before` is called with the
    /// epoch in force before the change, perhaps more than once; the last call is the one that
    /// counts.
    pub(crate) fn settle<A: Accounts + ?Sized>(
        &self,
        change: Change,
        stored: Stored,
        share: Share<A>,
        before: impl Fn(u64),
    ) {
        let Share { account, lease, accounts } = share;
        let next = (stored.0 as i64 >= 0).then_some(stored.0);
        let frozen = lease.look(account);
        // Nothing tells apart whether nothing was in it.
        if frozen.is_some() && frozen == next && change.bytes() != 0 {
            // It was frozen after this event.
            account.held.store(NOTHING, Ordering::Relaxed);
            return;
        }
        let threads = accounts.threads();
        loop {
            // Before the pool: whoever gathers what is spread now freezes the account after that, and
            // this is no longer its gate.
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
                        return;
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
                return;
            }
        }
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

    /// Applies a free of a thread that has no account.
    pub(crate) fn fall_into_pool(&self, bytes: u64) {
        loop {
            let (pool, epoch) = split(self.word.load(Ordering::SeqCst));
            if self.replace((pool, epoch), (pool.with(pool.bytes() + bytes), epoch)) {
                return;
            }
        }
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

/// The generation that follows. Generation 0 is only that of accounts nobody has looked at.
fn after(generation: u64) -> u64 {
    generation % (GENERATIONS - 1) + 1
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
        leases: [Lease; 3],
    }

    impl Process {
        fn new() -> Process {
            let (peak, (accounts, leases)) = Default::default();
            Process { peak, accounts, leases }
        }

        fn apply(&mut self, thread: usize, change: Change) {
            let share = Share {
                account: &self.accounts[thread],
                lease: &mut self.leases[thread],
                accounts: &self.accounts[..],
            };
            let (account, lease) = (share.account, &*share.lease);
            let applied = match change {
                Change::Rise(bytes) => account.rise(bytes, lease, |_| {}),
                Change::Fall(bytes) => account.fall(bytes, lease, |_| {}),
            };
            if let Err(stored) = applied {
                self.peak.settle(change, stored, share, |_| {});
            }
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
    fn where_there_is_little_in_the_pool_it_is_spread_after_many_events() {
        let mut process = Process::new();
        for _ in 0..WORTH_SPREADING / EACH_POOLED {
            process.apply(0, Change::Rise(64));
            process.apply(0, Change::Fall(64));
        }
        assert_eq!(process.pool_and_epoch(), (0, 1), "the thread keeps its 64 bytes");
        process.apply(1, Change::Rise(64));
        assert_eq!(process.pool_and_epoch(), (0, 1), "they count before there is a new peak");
        process.apply(0, Change::Rise(1));
        assert_eq!(process.pool_and_epoch(), (0, 2));
    }

    fn open(generation: u64, held: u64) -> (Account, Lease) {
        let gate = Word::new(OPEN, generation, 0).0;
        let account = Account { gate: gate.into(), held: held.into() };
        (account, Lease { opened: gate, ..Lease::default() })
    }

    fn freeze(account: &Account, generation: u64) -> Option<u64> {
        account.begin_to_freeze(generation)?;
        account.freeze(generation)
    }

    #[test]
    fn an_account_frozen_in_an_earlier_generation_holds_nothing() {
        assert_eq!(freeze(&Account::default(), 7), Some(0));
        let (account, _) = open(8, 500);
        assert_eq!(freeze(&account, 7), None, "that gathering is over");
        assert_eq!(freeze(&account, 8), Some(500));
        assert_eq!(freeze(&account, 8), Some(500), "whoever else gathers finds the same");
        assert_eq!(freeze(&account, 9), Some(0));
        assert_eq!(freeze(&account, 9), Some(0));
    }

    #[test]
    fn generations_begin_again_after_the_last() {
        let (account, _) = open(GENERATIONS - 1, 500);
        assert_eq!(freeze(&account, GENERATIONS - 1), Some(500));
        assert_eq!(after(GENERATIONS - 1), 1);
        assert_eq!(freeze(&account, 1), Some(0));
        assert_eq!(freeze(&account, GENERATIONS - 1), None);
    }

    #[test]
    fn the_owner_learns_what_was_frozen_however_late_he_looks() {
        let (account, mut lease) = open(8, 500);
        assert_eq!(lease.look(&account), None);
        account.begin_to_freeze(8);
        account.held.store(400, Ordering::Relaxed);
        assert_eq!(account.freeze(8), Some(400), "what it holds now, not what it held before");
        account.held.store(300, Ordering::Relaxed);
        assert_eq!(freeze(&account, 9), Some(0));
        assert_eq!(lease.look(&account), Some(400), "300 came too late");
        assert_eq!(lease.look(&account), None, "the account is given up");
    }

    #[test]
    fn an_owner_who_looks_first_says_what_is_frozen() {
        let (account, mut lease) = open(8, 500);
        account.begin_to_freeze(8);
        account.held.store(400, Ordering::Relaxed);
        assert_eq!(lease.look(&account), Some(400));
        account.held.store(0, Ordering::Relaxed);
        assert_eq!(account.freeze(8), Some(400));
    }

    /// Freezes the first account while its owner, who does not know it yet, applies `change`.
    fn frozen_before(change: Change) -> (u64, u64) {
        let mut process = Process::new();
        process.apply(0, Change::Rise(10 * WORTH_SPREADING));
        process.apply(0, Change::Fall(WORTH_SPREADING));
        process.apply(0, Change::Fall(500));
        let (pool, epoch) = split(process.peak.word.load(Ordering::Relaxed));
        process.peak.gather(pool, epoch, &process.accounts[2], &process.accounts[..]);
        process.apply(0, change);
        process.pool_and_epoch()
    }

    #[test]
    fn a_change_of_a_frozen_account_is_made_in_the_pool() {
        let margin = WORTH_SPREADING + 500;
        assert_eq!(frozen_before(Change::Rise(100)), (margin - 100, 1));
        assert_eq!(frozen_before(Change::Rise(500)), (margin - 500, 1));
        assert_eq!(frozen_before(Change::Rise(margin)), (0, 1));
        assert_eq!(frozen_before(Change::Rise(margin + 1)), (0, 2));
        // The pool is large enough to be spread again, and this is what spreads it.
        assert_eq!(frozen_before(Change::Fall(100)), (margin + 100, 1));
    }

    #[test]
    fn nothing_of_the_margin_is_lost_or_found_while_threads_gather_it() {
        const THREADS: usize = 2;
        const MARGIN: u64 = 8 << 20;
        const TURNS: u64 = 20_000;
        let turn = AtomicU64::new(0);
        fences::prepare();
        let (peak, accounts) =
            (Peak::default(), std::array::from_fn::<_, THREADS, _>(|_| Account::default()));
        let apply = |account, lease: &mut Lease, change| {
            let applied = match change {
                Change::Rise(bytes) => Account::rise(account, bytes, lease, |_| {}),
                Change::Fall(bytes) => Account::fall(account, bytes, lease, |_| {}),
            };
            if let Err(stored) = applied {
                let share = Share { account, lease, accounts: &accounts[..] };
                peak.settle(change, stored, share, |_| {});
            }
        };
        let mut lease = Lease::default();
        apply(&accounts[0], &mut lease, Change::Rise(MARGIN));
        apply(&accounts[0], &mut lease, Change::Fall(MARGIN));
        std::thread::scope(|scope| {
            for (thread, account) in accounts.iter().enumerate() {
                let apply = &apply;
                let mut lease =
                    if thread == 0 { std::mem::take(&mut lease) } else { Lease::default() };
                let turn = &turn;
                scope.spawn(move || {
                    let mut round = 0;
                    while turn.load(Ordering::Relaxed) < TURNS {
                        round += 1;
                        // One thread after the other needs what the others have in their accounts,
                        // who go on meanwhile.
                        let at_turn =
                            turn.load(Ordering::Relaxed) % THREADS as u64 == thread as u64;
                        let bytes = if at_turn { MARGIN - 10_000 } else { 1 + round % 1_000 };
                        apply(account, &mut lease, Change::Rise(bytes));
                        apply(account, &mut lease, Change::Fall(bytes));
                        if at_turn {
                            turn.fetch_add(1, Ordering::Relaxed);
                        } else if round % 256 == 0 {
                            std::thread::yield_now();
                        }
                    }
                });
            }
        });
        let (pool, epoch) = split(peak.word.load(Ordering::SeqCst));
        if pool.state() == SPREAD {
            peak.gather(pool, epoch, &accounts[0], &accounts[..]);
        }
        let (pool, epoch) = split(peak.word.load(Ordering::SeqCst));
        assert_eq!((pool.bytes(), epoch), (MARGIN, 1));
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
