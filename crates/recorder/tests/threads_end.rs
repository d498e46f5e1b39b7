//! Threads come and go: what they do while they are torn down is counted, and their tables are
//! taken over by those that follow.

mod openssl;

use std::ffi::c_void;

use openssl::{free, malloc_at, read};

/// A block such as OpenSSL's own thread-specific data: freed by the thread's destructors, which
/// also allocate once more.
unsafe extern "C" fn free_at_exit(block: *mut c_void) {
    free(block);
    free(malloc_at(c"exit.c", 2, 11));
}

#[test]
fn what_a_thread_does_while_it_ends_is_counted() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("ledger");
    openssl::install(&openssl::options_at(&path)).expect("first in this process");

    // Two keys, one made before and one after the recorder's own, so that destructors run on
    // both sides of it.
    let mut key = 0;
    // SAFETY: a place for the key, and a destructor that takes what is set below.
    assert_eq!(unsafe { libc::pthread_key_create(&raw mut key, Some(free_at_exit)) }, 0);

    let run_a_thread = || {
        let thread = std::thread::spawn(move || {
            let block = malloc_at(c"exit.c", 1, 77);
            // SAFETY: the key made above.
            assert_eq!(unsafe { libc::pthread_setspecific(key, block) }, 0);
        });
        thread.join().expect("the thread ends well");
    };
    run_a_thread();
    let after_the_first = read(&path).tables.len();
    (1..100).for_each(|_| run_a_thread());
    let snapshot = read(&path);
    assert_eq!(snapshot.totals().inuse_blocks, 0);
    assert_eq!(openssl::at(&snapshot, "exit.c", 1).alloc_blocks, 100);
    assert_eq!(openssl::at(&snapshot, "exit.c", 2).alloc_blocks, 100);
    openssl::assert_nothing_lost(&snapshot.statistics);

    // One desk served all of them, or two if a destructor came late.
    let tables = snapshot.tables.len();
    assert!(tables <= after_the_first + 1, "{tables} tables, {after_the_first} after one thread");
}
