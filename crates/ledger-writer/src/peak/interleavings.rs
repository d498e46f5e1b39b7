//! Two threads in every order that there is, with loom: the margin is neither lost nor made, and
//! the peak rises exactly when it has to. Seconds, with `LOOM_MAX_PREEMPTIONS=2` less:
//!
//! ```sh
//! RUSTFLAGS="--cfg loom -Cforce-frame-pointers=yes" \
//!     cargo test --release -p ledger-writer --lib --target-dir target/loom
//! ```

use loom::sync::Arc;
use loom::thread;

use super::*;

/// A process with two threads.
struct Process {
    peak: Peak,
    accounts: [Account; 2],
}

/// What the first thread has in its account; the pool has [`WORTH_SPREADING`].
const HELD: u64 = 500;
const MARGIN: u64 = WORTH_SPREADING + HELD;

impl Process {
    fn apply(&self, thread: usize, lease: &mut Lease, change: Change) {
        let account = &self.accounts[thread];
        let applied = match change {
            Change::Rise(bytes) => account.rise(bytes, lease, |_| {}),
            Change::Fall(bytes) => account.fall(bytes, lease, |_| {}),
        };
        if let Err(stored) = applied {
            let share = Share { account, lease, accounts: &self.accounts[..] };
            self.peak.settle(change, stored, share, |_| {});
        }
    }

    /// The whole margin, and how often there was a new peak. Nothing else happens meanwhile.
    fn margin_and_epoch(&self) -> (u64, u64) {
        let (pool, epoch) = split(self.peak.word.load(Ordering::SeqCst));
        if pool.state() != POOLED {
            self.peak.gather(pool, epoch, &self.accounts[0], &self.accounts[..]);
        }
        let (pool, epoch) = split(self.peak.word.load(Ordering::SeqCst));
        assert_eq!(pool.state(), POOLED);
        (pool.bytes(), epoch)
    }
}

/// Both threads apply their changes at once; `is_right` judges the margin and the epoch after it.
fn at_once(
    changes: [&'static [Change]; 2],
    is_right: impl Fn((u64, u64)) -> bool + Send + Sync + 'static,
) {
    loom::model(move || {
        let process = Arc::new(Process { peak: Peak::default(), accounts: Default::default() });
        let mut first = Lease::default();
        process.apply(0, &mut first, Change::Rise(MARGIN));
        process.apply(0, &mut first, Change::Fall(WORTH_SPREADING));
        process.apply(0, &mut first, Change::Fall(HELD));
        let other = {
            let process = Arc::clone(&process);
            thread::spawn(move || {
                let mut lease = Lease::default();
                for change in changes[1] {
                    process.apply(1, &mut lease, *change);
                }
            })
        };
        for change in changes[0] {
            process.apply(0, &mut first, *change);
        }
        other.join().expect("it ends well");
        let found = process.margin_and_epoch();
        assert!(is_right(found), "margin and epoch are {found:?}");
    });
}

#[test]
fn what_is_gathered_while_its_owner_takes_from_it_is_taken_once() {
    const GATHERED: u64 = WORTH_SPREADING + 100;
    at_once([&[Change::Rise(300)], &[Change::Rise(GATHERED)]], |found| {
        found == (MARGIN - 300 - GATHERED, 1)
    });
}

#[test]
fn what_is_gathered_while_its_owner_adds_to_it_is_kept() {
    const GATHERED: u64 = WORTH_SPREADING + 100;
    at_once([&[Change::Fall(300)], &[Change::Rise(GATHERED)]], |found| {
        found == (MARGIN + 300 - GATHERED, 1)
    });
}

#[test]
fn there_is_a_new_peak_exactly_where_the_margin_does_not_suffice() {
    at_once([&[Change::Fall(100)], &[Change::Rise(MARGIN + 50)]], |found| {
        // The free came first, or the allocation did and raised the peak.
        found == (50, 1) || found == (100, 2)
    });
}

#[test]
fn two_threads_that_exhaust_the_margin_together_raise_the_peak_once() {
    at_once([&[Change::Rise(HELD + 1)], &[Change::Rise(WORTH_SPREADING)]], |found| found == (0, 2));
}

#[test]
fn an_account_is_gathered_and_opened_again_while_both_go_on() {
    const GATHERED: u64 = WORTH_SPREADING + 100;
    let first = &[Change::Rise(200), Change::Fall(WORTH_SPREADING)];
    let second = &[Change::Rise(GATHERED), Change::Fall(GATHERED)];
    at_once([first, second], |found| found == (MARGIN + WORTH_SPREADING - 200, 1));
}
