//! With many threads the peak is still one moment: what the sites held then adds up to the
//! highest total there ever was.

mod openssl;

use std::sync::Barrier;

use openssl::{free, malloc_at, read};
use recorder::Heap;

#[test]
fn the_sites_add_up_to_the_highest_total() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("ledger");
    openssl::install_over(&openssl::options_at(&path), Heap::libc())
        .expect("first in this process");

    // Four threads hold up to 20 blocks of up to 10,000 bytes each, at random depths, so that the
    // total goes up and down by much more than a thread keeps of it; then all at once hold exactly
    // 30 of the largest size, which is the highest total whatever came before.
    let barrier = Barrier::new(4);
    std::thread::scope(|scope| {
        for thread in 0..4_usize {
            let barrier = &barrier;
            scope.spawn(move || {
                for round in 0..20_000_usize {
                    let depth = (round * 13 + thread * 5) % 20;
                    let blocks: Vec<_> =
                        (0..depth).map(|at| malloc_at(c"before.c", 1, 500 * (at + 1))).collect();
                    blocks.into_iter().for_each(free);
                }
                barrier.wait();
                let blocks: Vec<_> = (0..30).map(|_| malloc_at(c"top.c", 1, 10_000)).collect();
                barrier.wait();
                blocks.into_iter().for_each(free);
                barrier.wait();
                free(malloc_at(c"after.c", 1, 100));
            });
        }
    });
    let snapshot = read(&path);
    assert_eq!(snapshot.totals().peak_bytes, 4 * 30 * 10_000);
    assert_eq!(snapshot.totals().peak_blocks, 4 * 30);
    assert_eq!(openssl::at(&snapshot, "top.c", 1).peak_bytes, 4 * 30 * 10_000);
    assert_eq!(openssl::at(&snapshot, "before.c", 1).peak_bytes, 0);
    openssl::assert_nothing_lost(&snapshot.statistics);
}
