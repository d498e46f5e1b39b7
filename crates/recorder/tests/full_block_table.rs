//! Blocks beyond the table of live blocks are not tracked, and are said to be.

mod openssl;

use openssl::{free, malloc_at, read};
use recorder::Heap;

#[test]
fn blocks_that_cannot_be_tracked_are_reported() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("ledger");
    let mut options = openssl::options_at(&path);
    options.blocks = 1; // one level: 65,536 slots
    openssl::install_over(&options, Heap::libc()).expect("first in this process");

    let blocks: Vec<_> = (0..100_000).map(|_| malloc_at(c"many.c", 1, 24)).collect();
    let snapshot = read(&path);
    let (tracked, untracked) =
        (snapshot.totals().inuse_blocks, snapshot.statistics.untracked_blocks);
    assert_eq!(tracked + untracked, 100_000);
    assert!(untracked >= 100_000 - 65_536, "{untracked}");
    assert_eq!(snapshot.statistics.untracked_bytes, untracked * 24);

    blocks.into_iter().for_each(free);
    let snapshot = read(&path);
    assert_eq!(snapshot.totals().inuse_blocks, 0);
    assert_eq!(snapshot.statistics.foreign_frees, untracked);
}
