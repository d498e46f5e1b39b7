use std::sync::atomic::AtomicU64;

use super::*;
use crate::word::GENERATIONS;

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
    const TURNS: u64 = if cfg!(miri) { 20 } else { 20_000 };
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
            let mut lease = if thread == 0 { std::mem::take(&mut lease) } else { Lease::default() };
            let turn = &turn;
            scope.spawn(move || {
                let mut round = 0;
                while turn.load(Ordering::Relaxed) < TURNS {
                    round += 1;
                    // One thread after the other needs what the others have in their accounts,
                    // who go on meanwhile.
                    let at_turn = turn.load(Ordering::Relaxed) % THREADS as u64 == thread as u64;
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
    let offset = offset_of!(PeakRecord, epoch) - offset_of!(PeakRecord, pool);
    let epoch = &bytes[offset..offset + 8];
    assert_eq!(u64::from_ne_bytes(epoch.try_into().expect("eight bytes")), 1);
}
