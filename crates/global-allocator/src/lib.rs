//! A global allocator that counts every block of a Rust program by the call stack that asked for
//! it, around any other allocator.
//!
//! Blocks are counted in the ledger of tlsheap's recorder, in domain `rust`, as large as was asked
//! for: not in size classes, and without alignment. Another process reads the ledger at any moment.
//!
//! ```
//! use std::alloc::System;
//!
//! use global_allocator::Recorded;
//! use recorder::{Heap, Options, StackSource};
//!
//! #[global_allocator]
//! static ALLOCATOR: Recorded<System> = Recorded::over(System);
//!
//! // Once a process, as early as can be: what is allocated before is in no figure.
//! let folder = std::env::temp_dir().join(format!("example-{}", std::process::id()));
//! std::fs::create_dir(&folder)?;
//! let ledger = folder.join("ledger");
//! let options = Options::at(&ledger, StackSource::FramePointers);
//! // SAFETY: the C library's allocator, and no OpenSSL.
//! unsafe { recorder::install(options, Heap::libc(), None) }?;
//! ALLOCATOR.begin();
//!
//! let block = vec![0_u8; 12_345];
//! let counted = ledger::Snapshot::read_file(&ledger)?;
//! assert!(counted.totals().inuse_bytes >= 12_345);
//! # drop(block);
//! # std::fs::remove_dir_all(folder)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! What holds:
//!
//! * Each allocation is one event, whichever function of the allocator serves it. A block that grows
//!   or shrinks is given back and asked for anew, in place or not, as with C's realloc.
//! * Addresses pass through unchanged, no block is larger than the inner allocator makes it, and its
//!   alignment is that allocator's affair.
//! * Nothing here allocates through the recorded path, takes a lock or unwinds. What the recorder
//!   itself needs of the global allocator, to begin, is its own work and in no figure.
//! * Until [`Recorded::begin`], each call costs a look at a flag beside the inner allocator.
//!
//! Stacks are read as the recorder's options say. By frame pointers, programs need
//! `-C force-frame-pointers=yes`; the standard library that comes with the compiler has them.
//!
//! A program that hands OpenSSL memory of the inner allocator itself, as tlsheap's reference server
//! does, has OpenSSL's blocks in domain `openssl` and not here: both are counted once. One whose
//! OpenSSL takes it from this allocator would have them twice; none does by itself, for OpenSSL
//! calls malloc.

use std::alloc::{GlobalAlloc, Layout};

/// The allocator `A`, whose blocks are counted after [`begin`](Recorded::begin).
#[derive(Debug, Default)]
pub struct Recorded<A> {
    inner: A,
}

impl<A> Recorded<A> {
    /// Around `inner`.
    pub const fn over(inner: A) -> Recorded<A> {
        Recorded { inner }
    }

    /// Counts every block from here on, for good. Where no recorder is installed, nothing is counted
    /// until one is; and in processes that are forked from this one, what its options say. Blocks
    /// from before are known to nobody: when they are given back, the recorder counts them as
    /// earlier ones.
    pub fn begin(&self) {
        recorder::count_rust();
    }
}

// SAFETY: every call is passed on to an allocator that keeps the contract, with the caller's own
// arguments, and what it returns is returned as it is. What happens beside that touches no block's
// content, does not unwind (the recorder's functions end in no panic), and calls no allocator: what
// the recorder asks this one for at a thread's first event comes here again, is marked as its own
// work and goes straight on to `inner`. A block is counted after it was given and counted out
// before it is given back, so that another thread that gets its address finds it unknown.
unsafe impl<A: GlobalAlloc> GlobalAlloc for Recorded<A> {
    #[inline]
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's call, passed on; so are all below.
        let block = unsafe { self.inner.alloc(layout) };
        given(block, layout.size());
        block
    }

    #[inline]
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        // SAFETY: as above.
        let block = unsafe { self.inner.alloc_zeroed(layout) };
        given(block, layout.size());
        block
    }

    #[inline]
    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        if recorder::counts_rust() {
            recorder::rust_takes_back(block);
        }
        // SAFETY: as above.
        unsafe { self.inner.dealloc(block, layout) };
    }

    #[inline]
    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        // SAFETY: as above.
        let resize = || unsafe { self.inner.realloc(block, layout, size) };
        if recorder::counts_rust() { recorder::rust_resizes(block, size, resize) } else { resize() }
    }
}

#[inline(always)]
#[expect(clippy::inline_always, reason = "a call less between the recorder and who asked")]
fn given(block: *mut u8, bytes: usize) {
    if recorder::counts_rust() && !block.is_null() {
        recorder::rust_gives(block, bytes);
    }
}
