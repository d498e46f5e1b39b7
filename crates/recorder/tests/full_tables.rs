//! When a table is full the program runs on, totals stay exact, and the ledger says what fell
//! out of them.

mod openssl;

use openssl::{free, malloc_at, read};

#[test]
fn what_does_not_fit_is_counted_as_dropped() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("ledger");
    let mut options = openssl::options_at(&path);
    options.sites = 3;
    openssl::install(&options).expect("first in this process");

    let blocks: Vec<_> = (1..=10).map(|line| malloc_at(c"many.c", line, 100)).collect();
    let snapshot = read(&path);
    assert_eq!(snapshot.sites.len(), 3);
    assert_eq!(snapshot.statistics.dropped.inuse_blocks, 7);
    assert_eq!(snapshot.statistics.dropped.inuse_bytes, 700);
    assert_eq!(snapshot.totals().inuse_bytes, 1_000);
    assert_eq!(snapshot.totals().peak_bytes, 1_000);
    assert_eq!(openssl::held_by_heap(), (10, 1_000));

    blocks.into_iter().for_each(free);
    let snapshot = read(&path);
    assert_eq!(snapshot.totals().inuse_bytes, 0);
    assert_eq!(snapshot.statistics.dropped.inuse_blocks, 0);
    assert_eq!(snapshot.statistics.dropped.alloc_blocks, 7);
    assert_eq!(snapshot.statistics.foreign_frees, 0);
}
