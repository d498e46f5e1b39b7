//! Many threads at once, sampled: blocks are freed by other threads than those that allocated them,
//! and what was counted is counted out.

mod openssl;

use std::sync::mpsc;

use ledger::Sampling;
use openssl::{at, free, malloc_at, read, realloc_at};
use recorder::{Heap, SampleOptions};

const THREADS: usize = 4;
const ROUNDS: usize = 50_000;

#[test]
fn threads_that_free_each_others_blocks_leave_nothing_behind() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("ledger");
    let mut options = openssl::options_at(&path);
    let sampling = Sampling::every(512).expect("an interval");
    options.sample = Some(SampleOptions { sampling, seed: Some(1) });
    openssl::install_over(&options, Heap::libc()).expect("the setter accepts");

    let (mut senders, receivers): (Vec<_>, Vec<_>) =
        (0..THREADS).map(|_| mpsc::channel::<usize>()).unzip();
    senders.rotate_left(1);
    std::thread::scope(|scope| {
        for (sender, receiver) in senders.into_iter().zip(receivers) {
            scope.spawn(move || {
                for round in 0..ROUNDS {
                    let block = malloc_at(c"thread.c", 1, 32 + round % 64);
                    let block =
                        if round % 8 == 0 { realloc_at(c"thread.c", 2, block, 128) } else { block };
                    sender.send(block as usize).expect("the neighbour goes on");
                    for block in receiver.try_iter() {
                        free(block as *mut _);
                    }
                }
                drop(sender);
                for block in &receiver {
                    free(block as *mut _);
                }
            });
        }
    });

    let snapshot = read(&path);
    let totals = snapshot.totals();
    assert_eq!((totals.inuse_blocks, totals.inuse_bytes), (0, 0));
    openssl::assert_nothing_lost(&snapshot.statistics);
    // 200,000 blocks of 63.5 bytes on average: six deviations are never missed.
    let truth: usize = THREADS * (0..ROUNDS).map(|round| 32 + round % 64).sum::<usize>();
    let deviation = sampling.variance_of_bytes(64, truth as f64).sqrt();
    let off = at(&snapshot, "thread.c", 1).alloc_bytes as f64 - truth as f64;
    assert!(off.abs() < 6.0 * deviation, "off by {off}, {deviation} is to be expected");

    // And the first frame of every stack is the function that called the hook.
    for (function, line) in
        [(malloc_at as *const () as usize, 1), (realloc_at as *const () as usize, 2)]
    {
        for site in snapshot.sites.iter().filter(|site| site.line == line) {
            let caller = site.stack[0] as usize;
            assert!((function..function + 512).contains(&caller), "{caller:x}, not {function:x}");
        }
    }
}
