//! Two threads, ten million operations: nothing is lost, and the peak adds up.

mod openssl;

use std::sync::mpsc;

use openssl::{free, malloc_at, read, realloc_at};
use recorder::Heap;

/// Allocations and frees of each thread; with the reallocs, ten million operations in all.
const ROUNDS: usize = 2_000_000;

#[test]
fn two_threads_leave_nothing_in_use() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("ledger");
    openssl::install_over(&openssl::options_at(&path), Heap::libc())
        .expect("first in this process");

    std::thread::scope(|scope| {
        for seed in 0..2 {
            scope.spawn(move || hammer(seed));
        }
    });
    let snapshot = read(&path);
    let totals = snapshot.totals();
    assert_eq!((totals.inuse_blocks, totals.inuse_bytes), (0, 0));
    assert_eq!(totals.alloc_blocks, 2 * (ROUNDS + ROUNDS / 2) as u64);
    assert!(totals.peak_bytes > 0);
    openssl::assert_nothing_lost(&snapshot.statistics);

    freed_by_another_thread();
    let snapshot = read(&path);
    assert_eq!((snapshot.totals().inuse_blocks, snapshot.totals().inuse_bytes), (0, 0));
    openssl::assert_nothing_lost(&snapshot.statistics);
}

/// Keeps 64 blocks of changing sizes alive.
fn hammer(seed: usize) {
    const LINES: [i32; 5] = [1, 2, 3, 4, 5];
    let mut kept = [std::ptr::null_mut(); 64];
    for round in 0..ROUNDS {
        let slot = &mut kept[(round * 7 + seed) % 64];
        free(*slot);
        *slot = malloc_at(c"hammer.c", LINES[round % 5], 1 + (round * 31 + seed) % 200);
        if round % 2 == 0 {
            *slot = realloc_at(c"hammer.c", 99, *slot, 1 + (round * 17) % 300);
        }
    }
    for block in kept {
        free(block);
    }
}

fn freed_by_another_thread() {
    let (give, take) = mpsc::sync_channel::<usize>(1000);
    std::thread::scope(|scope| {
        scope.spawn(move || take.iter().for_each(|block| free(block as *mut _)));
        scope.spawn(move || {
            for round in 0..200_000 {
                let block = malloc_at(c"given.c", 1, 1 + round % 100) as usize;
                give.send(block).expect("the other thread takes all");
            }
        });
    });
}
