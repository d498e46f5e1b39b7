//! What the recorder costs: the time of a malloc and the free of its block, by the depth of the
//! stack, next to the C library's malloc and free without a recorder.
//!
//! ```text
//! cargo bench -p recorder --bench pair
//! ```
//!
//! The heap below the recorder does next to nothing, so that what is measured is the recorder. As
//! on a busy connection, the calls come from some lines in turn, and addresses are used again.

#[path = "../tests/openssl/mod.rs"]
mod openssl;

use std::ffi::c_void;
use std::hint::black_box;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion};
use recorder::{Heap, Options};

/// Frames of the stacks, as the recorder counts them. TLS servers on tokio have 32 to 45.
const DEPTHS: [usize; 3] = [10, 30, 60];
/// Lines that allocate in turn.
const LINES: u64 = 16;
/// Addresses that are given in turn.
const ADDRESSES: usize = 64;
const SIZE: usize = 64;

fn main() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let ledger = folder.path().join("ledger");
    let heap = Heap { malloc: next_address, realloc: libc::realloc, free: keep };
    openssl::install_over(&Options::at(&ledger), heap).expect("first in this process");

    let mut criterion = Criterion::default().configure_from_args();
    let mut group = criterion.benchmark_group("pair");
    group.bench_function("libc without a recorder", |bencher| {
        bencher.iter(|| {
            // SAFETY: malloc takes any size, and free what malloc gave.
            unsafe { libc::free(black_box(libc::malloc(black_box(SIZE)))) }
        });
    });
    time_pairs(0, 1);
    let shallowest = newest_depth(&ledger);
    for depth in DEPTHS {
        let further = depth - shallowest;
        time_pairs(further, 1);
        assert_eq!(newest_depth(&ledger), depth);
        group.bench_function(BenchmarkId::new("recorder, frames", depth), |bencher| {
            bencher.iter_custom(|pairs| time_pairs(further, pairs));
        });
    }
    group.finish();
    criterion.final_summary();
    openssl::assert_nothing_lost(&openssl::read(&ledger).statistics);
}

/// Takes the time of `pairs` pairs under `further` frames more than it takes anyway. On a new
/// thread, whose stack has the same depth whoever calls.
fn time_pairs(further: usize, pairs: u64) -> Duration {
    std::thread::spawn(move || under(further, pairs)).join().expect("the thread ends well")
}

#[inline(never)]
fn under(further: usize, pairs: u64) -> Duration {
    // Not a tail call, which would reuse the frame.
    black_box(if further > 0 { under(further - 1, pairs) } else { here(pairs) })
}

#[inline(never)]
fn here(pairs: u64) -> Duration {
    let (malloc, _, free) = openssl::functions();
    let started = Instant::now();
    for pair in 0..pairs {
        let line = (pair % LINES) as i32;
        // SAFETY: the recorder's hooks, with C strings, and a block of theirs.
        unsafe {
            let block = malloc(SIZE, c"pair.c".as_ptr(), line);
            free(black_box(block), c"pair.c".as_ptr(), 0);
        }
    }
    started.elapsed()
}

/// Frames of the site that was made last.
fn newest_depth(ledger: &Path) -> usize {
    openssl::read(ledger).sites.last().map_or(0, |site| site.stack.len())
}

/// A heap for one thread that gives the same addresses again and again. Nobody looks at what is
/// there.
unsafe extern "C" fn next_address(_: usize) -> *mut c_void {
    static LAST: AtomicUsize = AtomicUsize::new(0);
    let last = LAST.load(Ordering::Relaxed);
    LAST.store((last + 1) % ADDRESSES, Ordering::Relaxed);
    std::ptr::without_provenance_mut(0x10_0000 + last * SIZE)
}

unsafe extern "C" fn keep(_: *mut c_void) {}
