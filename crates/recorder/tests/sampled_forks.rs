//! A process that is forked from a sampled one is sampled too, in a ledger of its own, in which
//! what it has from its parent is kept apart and estimated.

mod openssl;

use std::path::Path;

use ledger::{Sampling, Snapshot};
use openssl::{free, malloc_at, read};
use recorder::{Heap, MemoryFunctions, Options, SampleOptions, StackSource};

/// The ledgers in order of their beginnings.
fn ledgers(folder: &Path) -> Vec<Snapshot> {
    let entries = std::fs::read_dir(folder).expect("the folder");
    let mut all: Vec<_> = entries.map(|entry| read(&entry.expect("an entry").path())).collect();
    all.sort_by_key(|snapshot| snapshot.started_nanos);
    all
}

#[test]
fn a_fork_goes_on_sampling() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let folder = folder.path();
    let sampling = Sampling::every(100).expect("an interval");
    let mut options = Options::in_folder(folder, StackSource::FramePointers);
    options.sample = Some(SampleOptions { sampling, seed: Some(7) });
    // SAFETY: libc's heap, and functions that keep OpenSSL's contract.
    unsafe {
        recorder::install(options, Heap::libc(), None).expect("first in this process");
        let own = MemoryFunctions::default();
        let openssl = recorder::add_openssl(Some(openssl::get), own).expect("the first");
        openssl.put_into(openssl::set).expect("it takes functions");
    }
    free(malloc_at(c"first.c", 1, 1));
    assert_eq!(ledgers(folder).len(), 1, "the first block begins the ledger, counted or not");

    // So large that each is counted: what is said of them is exact.
    let blocks: Vec<_> = (0..40).map(|_| malloc_at(c"parent.c", 1, 10_000)).collect();
    // SAFETY: the child only calls the hooks and _exit.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        // Gone before the child's ledger begins.
        free(blocks[0]);
        for _ in 0..1_000 {
            malloc_at(c"child.c", 1, 100);
        }
        blocks[1..5].iter().for_each(|block| free(*block));
        // SAFETY: ends the child without running the parent's handlers.
        unsafe { libc::_exit(0) };
    }
    let mut status = 0;
    // SAFETY: a child of ours and a place for its status.
    assert_eq!(unsafe { libc::waitpid(pid, &raw mut status, 0) }, pid);
    assert_eq!(status, 0);

    let all = ledgers(folder);
    let [parent, child] = &all[..] else { panic!("{} ledgers", all.len()) };
    assert_eq!(parent.totals().inuse_bytes, 400_000, "no child touches it");
    assert_eq!(child.sampling, Some(sampling));
    // The child's own samples hang on its id: 20 deviations never happen.
    let deviation = sampling.variance_of_bytes(100, 100_000.0).sqrt();
    let off = child.totals().inuse_bytes as f64 - 100_000.0;
    assert!(off.abs() < 20.0 * deviation, "{:?}, off by {off}", child.totals());
    let inherited = child.statistics.inherited;
    assert_eq!((inherited.blocks, inherited.bytes), (39, 390_000));
    assert_eq!((inherited.freed_blocks, inherited.freed_bytes), (4, 40_000));
    for snapshot in [parent, child] {
        openssl::assert_nothing_lost(&snapshot.statistics);
    }
}
