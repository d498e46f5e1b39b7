//! A program whose Rust code has jemalloc under names of its own: what tests record, and hold against
//! what it says it has asked for since it began, and has at its end: blocks and bytes of both. With a
//! number, it asks for so many blocks of 100 bytes and gives each back at once: to measure.

use std::alloc::{GlobalAlloc, Layout};
use std::ffi::c_int;
use std::io::Write;
use std::sync::atomic::{AtomicU64, Ordering};

use tikv_jemallocator::Jemalloc;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// jemalloc, and the sum of what is asked of it.
struct Counting;

static EVER: [AtomicU64; 2] = [AtomicU64::new(0), AtomicU64::new(0)];
static GONE: [AtomicU64; 2] = [AtomicU64::new(0), AtomicU64::new(0)];

fn add(sum: &[AtomicU64; 2], block: *mut u8, bytes: usize) -> *mut u8 {
    if !block.is_null() {
        sum[0].fetch_add(1, Ordering::Relaxed);
        sum[1].fetch_add(bytes as u64, Ordering::Relaxed);
    }
    block
}

// SAFETY: jemalloc's functions, which keep the contract, and sums of numbers beside them.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's call, passed on; so are those below.
        add(&EVER, unsafe { Jemalloc.alloc(layout) }, layout.size())
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as above.
        add(&EVER, unsafe { Jemalloc.alloc_zeroed(layout) }, layout.size())
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        add(&GONE, block, layout.size());
        // SAFETY: as above.
        unsafe { Jemalloc.dealloc(block, layout) };
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: as above.
        let moved = unsafe { Jemalloc.realloc(block, layout, size) };
        add(&GONE, moved, layout.size());
        add(&EVER, moved, size)
    }
}

#[repr(align(4096))]
struct Aligned([u8; 8192]);

fn main() {
    if let Some(pairs) = std::env::args().nth(1) {
        for _ in 0..pairs.parse().expect("a number of pairs") {
            std::hint::black_box(vec![1_u8; 100]);
        }
        return;
    }
    let words: Vec<String> = (0..2000).map(|at| "x".repeat(at)).collect();
    let mut grown = Vec::new();
    for byte in 0..3_000_000_u32 {
        // Small and large, in place and moved.
        grown.push(byte as u8);
    }
    grown.truncate(70_000);
    grown.shrink_to_fit();
    grown.truncate(69_000);
    grown.shrink_to_fit();
    let threads: Vec<_> = (0..3_u8)
        .map(|number| {
            std::thread::spawn(move || {
                let pages: Vec<_> = (0..50).map(|_| Box::new(Aligned([number; 8192]))).collect();
                let written = pages.iter().filter(|page| page.0[8191] == number).count();
                (0..1000).map(|at| vec![0_u64; at]).map(|it| it.len()).sum::<usize>() + written
            })
        })
        .collect();
    let sum: usize = threads.into_iter().map(|it| it.join().expect("it ends well")).sum();
    std::mem::forget(vec![sum; 1234]);
    let mut output = std::io::stdout().lock();
    // Its buffer is there from here on.
    let begun = writeln!(output, "{} {}", words.len(), grown.len());
    let of = |sum: &[AtomicU64; 2]| [0, 1].map(|at: usize| sum[at].load(Ordering::Relaxed));
    let ([blocks, bytes], gone) = (of(&EVER), of(&GONE));
    let left = [blocks - gone[0], bytes - gone[1]];
    let ended = writeln!(output, "{blocks} {bytes} {} {}", left[0], left[1]);
    let failed = begun.and(ended).and(output.flush()).is_err();
    // SAFETY: ends the process as the C library does, without Rust's own end, which gives back some
    // of what was counted.
    unsafe { libc::exit(c_int::from(failed)) };
}
