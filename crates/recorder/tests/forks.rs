//! A prepared process makes its ledger at its first allocation, and each one that it forks gets a
//! ledger of its own, in which what it has from its parent is kept apart.

mod openssl;

use std::path::Path;

use ledger::{Inherited, Snapshot};
use openssl::{at, free, malloc_at, read, realloc_at};
use recorder::{Heap, MemoryFunctions, Options, StackSource};

/// Calls `child` in a forked process and waits for its end.
fn in_a_child(child: impl FnOnce()) {
    // SAFETY: the child only calls the hooks and _exit.
    let pid = unsafe { libc::fork() };
    if pid == 0 {
        child();
        // SAFETY: ends the child without running the parent's handlers.
        unsafe { libc::_exit(0) };
    }
    let mut status = 0;
    // SAFETY: a child of ours and a place for its status.
    assert_eq!(unsafe { libc::waitpid(pid, &raw mut status, 0) }, pid);
    assert_eq!(status, 0);
}

/// The ledgers in order of their beginnings.
fn ledgers(folder: &Path) -> Vec<Snapshot> {
    let entries = std::fs::read_dir(folder).expect("the folder");
    let mut all: Vec<_> = entries.map(|entry| read(&entry.expect("an entry").path())).collect();
    all.sort_by_key(|snapshot| snapshot.started_nanos);
    all
}

#[test]
fn every_process_counts_its_own() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let folder = folder.path();
    let options = Options::in_folder(folder, StackSource::FramePointers);
    // SAFETY: libc's heap, and functions that keep OpenSSL's contract.
    unsafe {
        recorder::install(options, Heap::libc(), None).expect("first in this process");
        let own = MemoryFunctions::default();
        let openssl = recorder::add_openssl(Some(openssl::get), own).expect("the first");
        openssl.put_into(openssl::set).expect("it takes functions");
    }
    assert!(ledgers(folder).is_empty(), "nothing was allocated yet");

    let blocks = [1_000, 200, 30].map(|size| malloc_at(c"parent.c", 1, size));
    assert_eq!(ledgers(folder).len(), 1);
    in_a_child(|| free(blocks[0]));
    assert_eq!(ledgers(folder).len(), 1, "a child that does not allocate leaves nothing");

    in_a_child(|| {
        // Gone before the child's ledger begins, so not among what it began with.
        free(blocks[0]);
        malloc_at(c"child.c", 1, 4_000);
        free(blocks[1]);
        in_a_child(|| {
            free(malloc_at(c"grandchild.c", 1, 7));
            realloc_at(c"grandchild.c", 2, blocks[2], 50);
        });
    });
    free(malloc_at(c"parent.c", 2, 5));

    let all = ledgers(folder);
    let [parent, child, grandchild] = &all[..] else { panic!("{} ledgers", all.len()) };
    assert_eq!(parent.totals().inuse_bytes, 1_230, "no child touches it");
    assert_eq!(parent.statistics.inherited, Inherited::default());
    assert_eq!(at(parent, "parent.c", 2).alloc_blocks, 1);

    assert_eq!(child.totals().inuse_bytes, 4_000);
    assert_eq!(at(child, "parent.c", 1).alloc_blocks, 0);
    let expected = Inherited { blocks: 2, bytes: 230, freed_blocks: 1, freed_bytes: 200 };
    assert_eq!(child.statistics.inherited, expected);

    assert_eq!(grandchild.totals().inuse_bytes, 50);
    let expected = Inherited { blocks: 2, bytes: 4_030, freed_blocks: 1, freed_bytes: 30 };
    assert_eq!(grandchild.statistics.inherited, expected);
    for snapshot in [parent, child, grandchild] {
        assert_eq!(snapshot.statistics.foreign_frees, 0);
    }
}
