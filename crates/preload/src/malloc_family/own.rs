//! The allocator of this library's own Rust code: the real functions, past the stand-ins.

use std::alloc::{GlobalAlloc, Layout};
use std::ptr::null_mut;

use crate::malloc_family::real;

/// What malloc aligns to.
const ALIGNED: usize = 16;

#[cfg(not(test))]
#[global_allocator]
static OWN: Own = Own;

/// The allocator. Tests have the usual one, and this beside it.
pub(super) struct Own;

// SAFETY: the process's malloc keeps what the trait asks for, for layouts that it aligns to; others
// go to posix_memalign. Nothing here unwinds.
unsafe impl GlobalAlloc for Own {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let Some(real) = real() else { return null_mut() };
        if layout.align() <= ALIGNED {
            // SAFETY: a call of malloc.
            return unsafe { (real.malloc)(layout.size()) }.cast();
        }
        let mut block = null_mut();
        // SAFETY: a place for the block, and an alignment that is a power of two and a multiple of
        // a pointer's size.
        match unsafe { (real.posix_memalign)(&raw mut block, layout.align(), layout.size()) } {
            0 => block.cast(),
            _ => null_mut(),
        }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        if layout.align() <= ALIGNED {
            let Some(real) = real() else { return null_mut() };
            // SAFETY: a call of calloc.
            return unsafe { (real.calloc)(1, layout.size()) }.cast();
        }
        // SAFETY: the caller's promise.
        let block = unsafe { self.alloc(layout) };
        if !block.is_null() {
            // SAFETY: just allocated, as long as that.
            unsafe { block.write_bytes(0, layout.size()) };
        }
        block
    }

    unsafe fn dealloc(&self, block: *mut u8, _layout: Layout) {
        if let Some(real) = real() {
            // SAFETY: a block of these functions: the caller's promise.
            unsafe { (real.free)(block.cast()) };
        }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        if layout.align() <= ALIGNED {
            let Some(real) = real() else { return null_mut() };
            // SAFETY: a block of these functions: the caller's promise.
            return unsafe { (real.realloc)(block.cast(), size) }.cast();
        }
        // SAFETY: the alignment is that of a layout, and the caller promises that the size is one.
        let new = unsafe { self.alloc(Layout::from_size_align_unchecked(size, layout.align())) };
        if !new.is_null() {
            // SAFETY: two blocks, each at least so long; the old one is given up by this call.
            unsafe {
                block.copy_to_nonoverlapping(new, size.min(layout.size()));
                self.dealloc(block, layout);
            }
        }
        new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_aligned_as_their_layouts_say_and_keep_what_is_in_them() {
        for align in [1, 16, 64, 4096] {
            let layout = Layout::from_size_align(100, align).expect("a layout");
            // SAFETY: sizes above zero; each block is given back once, with its layout.
            unsafe {
                let block = Own.alloc_zeroed(layout);
                assert!((block as usize).is_multiple_of(align));
                assert_eq!(std::slice::from_raw_parts(block, 100), [0; 100]);
                block.write_bytes(9, 100);
                let grown = Own.realloc(block, layout, 5000);
                assert!((grown as usize).is_multiple_of(align));
                assert_eq!(std::slice::from_raw_parts(grown, 100), [9; 100]);
                let layout = Layout::from_size_align(5000, align).expect("a layout");
                Own.dealloc(grown, layout);
            }
        }
    }
}
