//! Every kind of call is counted as OpenSSL means it. One test, since the hook is process-wide:
//! each step states what the one before it left.

mod openssl;

use std::sync::atomic::Ordering;

use openssl::{at, free, held_by_heap, malloc_at, read, realloc_at};
use recorder::InstallError;

#[test]
fn every_call_is_counted_as_openssl_means_it() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("ledger");

    openssl::TOO_LATE.store(true, Ordering::Relaxed);
    let refused = openssl::install(&openssl::options_at(&path));
    assert!(matches!(refused, Err(InstallError::Refused)), "{refused:?}");
    assert!(!path.exists(), "a refused installation leaves no ledger");

    openssl::TOO_LATE.store(false, Ordering::Relaxed);
    openssl::install(&openssl::options_at(&path)).expect("the setter accepts");
    let again = openssl::install(&openssl::options_at(folder.path().join("second")));
    assert!(matches!(again, Err(InstallError::AlreadyInstalled)), "{again:?}");

    // The profiler sees nothing of itself.
    assert_eq!(read(&path).sites, []);

    // Nothing is nothing.
    assert!(malloc_at(c"a.c", 1, 0).is_null());
    free(std::ptr::null_mut());
    assert_eq!(read(&path).sites, []);

    // One block, and its stack begins in the function that called the hook.
    let block = malloc_at(c"a.c", 10, 33);
    let snapshot = read(&path);
    let counts = at(&snapshot, "a.c", 10);
    assert_eq!((counts.inuse_blocks, counts.inuse_bytes), (1, 33));
    assert_eq!((counts.alloc_blocks, counts.alloc_bytes), (1, 33));
    assert_eq!((counts.peak_blocks, counts.peak_bytes), (1, 33));
    let caller = snapshot.sites[0].stack[0] as usize;
    let function = malloc_at as *const () as usize;
    assert!((function..function + 512).contains(&caller), "{caller:x} not in {function:x}");

    // realloc of NULL allocates; to larger and to smaller moves the bytes to its own site.
    let grown = realloc_at(c"b.c", 20, block, 100);
    let fresh = realloc_at(c"b.c", 21, std::ptr::null_mut(), 7);
    let shrunk = realloc_at(c"b.c", 22, grown, 50);
    let snapshot = read(&path);
    assert_eq!(at(&snapshot, "a.c", 10).inuse_blocks, 0);
    assert_eq!(at(&snapshot, "b.c", 20).inuse_bytes, 0);
    assert_eq!(at(&snapshot, "b.c", 20).alloc_bytes, 100);
    assert_eq!(at(&snapshot, "b.c", 21).inuse_bytes, 7);
    assert_eq!(at(&snapshot, "b.c", 22).inuse_bytes, 50);
    assert_eq!(snapshot.totals().inuse_bytes, 57);
    assert_eq!(snapshot.totals().alloc_blocks, 4);

    // A realloc that fails leaves the block where it was, at the site it had.
    openssl::REFUSE_REALLOC.store(true, Ordering::Relaxed);
    assert!(realloc_at(c"b.c", 23, shrunk, 1 << 20).is_null());
    let snapshot = read(&path);
    assert_eq!(at(&snapshot, "b.c", 22).inuse_bytes, 50);
    assert_eq!(at(&snapshot, "b.c", 22).alloc_blocks, 1, "nothing was allocated");
    assert_eq!(at(&snapshot, "b.c", 23).alloc_blocks, 0);

    // realloc to 0 frees.
    assert!(realloc_at(c"b.c", 24, shrunk, 0).is_null());
    assert_eq!(read(&path).totals().inuse_bytes, 7);

    // Freed on a thread other than the one that allocated.
    let fresh = fresh as usize;
    std::thread::spawn(move || free(fresh as *mut _)).join().expect("the thread ends well");
    let snapshot = read(&path);
    assert_eq!(snapshot.totals().inuse_blocks, 0);
    assert_eq!(held_by_heap(), (0, 0));
    openssl::assert_nothing_lost(&snapshot.statistics);

    the_peak_is_one_moment(&path);
    one_line_reached_in_two_ways_is_two_sites(&path);

    // A block that OpenSSL never allocated is counted as foreign, and freed.
    // SAFETY: malloc takes any size.
    free(unsafe { libc::malloc(5) });
    assert_eq!(read(&path).statistics.foreign_frees, 1);

    // Being replaced is noticed and noted.
    assert!(recorder::check_in_place());
    openssl::replace_hooks();
    assert!(!recorder::check_in_place());
    assert!(read(&path).statistics.hook_replaced);
}

/// Sites whose own maxima fall at different times: the peak is their values at the time of the
/// highest total.
fn the_peak_is_one_moment(path: &std::path::Path) {
    let early = malloc_at(c"early.c", 1, 5_000);
    free(early);
    let middle = malloc_at(c"middle.c", 1, 4_000);
    let top = malloc_at(c"top.c", 1, 3_000);
    free(middle);
    let late = malloc_at(c"late.c", 1, 3_999);
    let snapshot = read(path);
    assert_eq!(at(&snapshot, "early.c", 1).peak_bytes, 0);
    assert_eq!(at(&snapshot, "middle.c", 1).peak_bytes, 4_000);
    assert_eq!(at(&snapshot, "top.c", 1).peak_bytes, 3_000);
    assert_eq!(at(&snapshot, "late.c", 1).peak_bytes, 0);
    assert_eq!(snapshot.totals().peak_bytes, 7_000);
    assert_eq!(snapshot.totals().peak_blocks, 2);
    free(top);
    free(late);
}

fn one_line_reached_in_two_ways_is_two_sites(path: &std::path::Path) {
    #[inline(never)]
    fn first() -> *mut std::ffi::c_void {
        std::hint::black_box(malloc_at(c"two.c", 2, 16))
    }
    #[inline(never)]
    fn second() -> *mut std::ffi::c_void {
        std::hint::black_box(malloc_at(c"two.c", 2, 16))
    }
    // Not unrolled: each copy of a call would be a stack of its own.
    for _ in 0..std::hint::black_box(3) {
        free(first());
        free(second());
    }
    let snapshot = read(path);
    let sites: Vec<u64> = snapshot
        .sites
        .iter()
        .filter(|site| site.file.as_deref() == Some("two.c"))
        .map(|site| site.counts.alloc_blocks)
        .collect();
    assert_eq!(sites, [3, 3]);
}
