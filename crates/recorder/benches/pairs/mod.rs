//! What the recorder costs: the time of a malloc and the free of its block, by the depth of the
//! stack, next to hooks that do nothing and to the C library's malloc and free.
//!
//! ```text
//! cargo bench -p recorder
//! ```
//!
//! The heap below the recorder does next to nothing, so that what is measured is the recorder. As
//! on a busy connection, the calls come from some lines in turn, and addresses are used again. A
//! process with a single thread does without atomics, so it is measured apart.

#[path = "../../tests/openssl/mod.rs"]
mod openssl;

use std::ffi::{c_char, c_int, c_void};
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use criterion::{BenchmarkId, Criterion};
use recorder::{FreeFn, Heap, MallocFn, Options, StackSource};

/// Frames of the stacks, as the recorder counts them. TLS servers on tokio have 32 to 45.
const DEPTHS: [usize; 3] = [10, 30, 60];
/// Lines that allocate in turn.
const LINES: u64 = 16;
/// Addresses that are given in turn.
const ADDRESSES: usize = 64;
const SIZE: usize = 64;

/// What is called in OpenSSL's place.
#[derive(Clone, Copy)]
struct Pair {
    malloc: MallocFn,
    free: FreeFn,
    /// The first of the lines it allocates at.
    line: i32,
}

/// Measures pairs with stacks that are read in one way; a process can have one recorder.
pub fn measure(stacks: StackSource) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let heap = Heap { malloc: next_address, realloc: libc::realloc, free: keep };
    let options = Options::at(folder.path().join("ledger"), stacks);
    openssl::install_over(&options, heap).expect("first in this process");
    let (malloc, _, free) = openssl::functions();
    let recorder = Pair { malloc, free, line: 0 };
    let no_op = Pair { malloc: no_op_malloc, free: no_op_free, line: 0 };

    let mut criterion = Criterion::default().configure_from_args();
    let mut group = criterion.benchmark_group(format!("pair, {stacks:?}"));
    group.bench_function("libc without a recorder", |bencher| {
        bencher.iter(|| {
            // SAFETY: malloc takes any size, and free what malloc gave.
            unsafe { libc::free(black_box(libc::malloc(black_box(SIZE)))) }
        });
    });
    // The main thread's stack is deeper than the first of them.
    for depth in &DEPTHS[1..] {
        let id = BenchmarkId::new("recorder, one thread, frames", depth);
        group.bench_function(id, |bencher| {
            bencher.iter_custom(|pairs| {
                let further = depth - recorder_depth(recorder, folder.path());
                under(recorder, further, pairs)
            });
        });
    }
    time_pairs(recorder, 0, 1);
    let ledger = only_ledger(folder.path());
    let shallowest = newest_depth(&ledger);
    for depth in DEPTHS {
        let further = depth - shallowest;
        time_pairs(recorder, further, 1);
        assert_eq!(newest_depth(&ledger), depth);
        for (name, pair) in [("no-op hook, frames", no_op), ("recorder, frames", recorder)] {
            group.bench_function(BenchmarkId::new(name, depth), |bencher| {
                bencher.iter_custom(|pairs| time_pairs(pair, further, pairs));
            });
        }
    }
    group.finish();
    criterion.final_summary();
    openssl::assert_nothing_lost(&openssl::read(&ledger).statistics);
}

/// Frames of a stack that comes from here, by a line that has not allocated yet.
#[inline(never)]
fn recorder_depth(recorder: Pair, folder: &Path) -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(1_000);
    let line = NEXT.fetch_add(1, Ordering::Relaxed) as i32;
    black_box(under(Pair { line, ..recorder }, 0, 1));
    // One frame is this function's own.
    newest_depth(&only_ledger(folder)) - 1
}

/// Takes the time of `pairs` pairs under `further` frames more than it takes anyway. On a new
/// thread, whose stack has the same depth whoever calls.
fn time_pairs(pair: Pair, further: usize, pairs: u64) -> Duration {
    std::thread::spawn(move || under(pair, further, pairs)).join().expect("the thread ends well")
}

#[inline(never)]
fn under(pair: Pair, further: usize, pairs: u64) -> Duration {
    // Not a tail call, which would reuse the frame.
    black_box(if further > 0 { under(pair, further - 1, pairs) } else { here(pair, pairs) })
}

#[inline(never)]
fn here(pair: Pair, pairs: u64) -> Duration {
    let started = processor_time();
    for number in 0..pairs {
        let line = pair.line + (number % LINES) as i32;
        // SAFETY: hooks, with C strings, and a block of theirs.
        unsafe {
            let block = (pair.malloc)(SIZE, c"pair.c".as_ptr(), line);
            (pair.free)(black_box(block), c"pair.c".as_ptr(), 0);
        }
    }
    processor_time().saturating_sub(started)
}

/// Processor time of the calling thread, which other programs disturb less than wall time.
fn processor_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: a clock that every Linux has, and a place for its answer.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
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

unsafe extern "C" fn no_op_malloc(size: usize, _: *const c_char, _: c_int) -> *mut c_void {
    // SAFETY: it takes any size.
    unsafe { next_address(size) }
}

unsafe extern "C" fn no_op_free(block: *mut c_void, _: *const c_char, _: c_int) {
    // SAFETY: it takes any address.
    unsafe { keep(block) };
}

fn only_ledger(folder: &Path) -> PathBuf {
    let mut entries = std::fs::read_dir(folder).expect("the folder");
    entries.next().expect("one ledger").expect("an entry").path()
}
