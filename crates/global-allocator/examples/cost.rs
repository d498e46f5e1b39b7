//! What the allocator costs for a block that is given and taken back: around the system's, beside it
//! alone, before and after it begins to count. Prints nanoseconds of processor time, the least of
//! many rounds.
//!
//! ```sh
//! cargo run --release -p global-allocator --example cost
//! ```

use std::alloc::{GlobalAlloc, Layout, System};
use std::hint::black_box;

use global_allocator::Recorded;
use recorder::{Heap, Options, StackSource};

const ROUNDS: usize = 50;
const PAIRS: usize = 100_000;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let options = Options::at(folder.path().join("ledger"), StackSource::FramePointers);
    // SAFETY: the C library's allocator, and no OpenSSL.
    unsafe { recorder::install(options, Heap::libc(), None) }?;
    let recorded = Recorded::over(System);
    println!("the system's alone         {:6.1} ns", pairs(&System));
    println!("before it begins to count  {:6.1} ns", pairs(&recorded));
    recorded.begin();
    println!("counting, under 3 frames   {:6.1} ns", pairs(&recorded));
    println!("counting, under 30 frames  {:6.1} ns", deep(27, &recorded));
    Ok(())
}

/// For a pair, under more frames.
#[inline(never)]
fn deep(frames: usize, allocator: &impl GlobalAlloc) -> f64 {
    if frames == 0 { pairs(allocator) } else { black_box(deep(frames - 1, allocator)) }
}

/// For a pair.
#[inline(never)]
fn pairs(allocator: &impl GlobalAlloc) -> f64 {
    let layout = Layout::new::<[u8; 100]>();
    let least = (0..ROUNDS)
        .map(|_| {
            let began = processor_time();
            for _ in 0..PAIRS {
                // SAFETY: a size above zero; given back at once, with its layout.
                unsafe {
                    let block = black_box(allocator.alloc(layout));
                    allocator.dealloc(block, layout);
                }
            }
            processor_time() - began
        })
        .min();
    least.unwrap_or(0) as f64 / PAIRS as f64
}

/// Of this thread, in nanoseconds.
fn processor_time() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: a place for the time.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}
