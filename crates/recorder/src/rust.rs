//! The blocks of a program's Rust code, where its global allocator tells of them: a crate of its own
//! has that allocator (`global-allocator`), and calls these functions.

use std::sync::atomic::{AtomicBool, Ordering};

use contract::{Domain, Source};

use crate::caller::Caller;
use crate::events;
use crate::frame_pointer::frame_pointer;
use crate::moves::{Null, resized};

static COUNTED: AtomicBool = AtomicBool::new(false);

/// Counts what the global allocator tells from here on.
pub fn count_rust() {
    COUNTED.store(true, Ordering::Release);
}

/// Whether that is counted.
#[inline]
pub fn counts_rust() -> bool {
    COUNTED.load(Ordering::Relaxed)
}

const RUST: Source = Source { domain: Domain::Rust, instance: 0 };

/// Counts a block of so many bytes that has just been given to whoever called the allocator. For
/// blocks that the caller owns and has not told of.
#[inline(never)] // its frame is where the walk begins
pub fn rust_gives(block: *mut u8, bytes: usize) {
    // SAFETY: the frame of this very function, which has a frame pointer, as this library is built.
    let caller = unsafe { Caller::in_family(RUST, frame_pointer()) };
    events::allocated(block as usize, bytes as u64, caller);
}

/// Counts a block out that the allocator is about to take back.
#[inline(never)]
pub fn rust_takes_back(block: *mut u8) {
    events::freed(block as usize, Domain::Rust);
}

/// Has `resize` give a block another size, at its place or elsewhere, and counts what comes of it:
/// NULL says that the block is as it was.
#[inline(never)]
pub fn rust_resizes(block: *mut u8, bytes: usize, resize: impl FnOnce() -> *mut u8) -> *mut u8 {
    // SAFETY: as in `rust_gives`.
    let caller = unsafe { Caller::in_family(RUST, frame_pointer()) };
    resized(block.cast(), bytes, caller, Null::Refused, || resize().cast()).cast()
}
