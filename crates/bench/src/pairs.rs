//! Workload (d): a malloc and the free of its block, again and again, under a stack of a known
//! depth. As on a busy connection, some lines allocate in turn, and some blocks are in use.

use std::ffi::c_void;
use std::hint::black_box;
use std::path::Path;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::hooks::Hooks;
use crate::recorded;
use crate::took::Took;

/// Frames of the stack, as the recorder counts them. TLS servers on tokio have 32 to 45.
pub const FRAMES: usize = 30;
/// Lines that allocate in turn.
const LINES: u32 = 16;
/// Blocks in use.
const BLOCKS: usize = 64;
const BYTES: usize = 64;

/// Hooks that are called in OpenSSL's place.
#[derive(Clone, Copy)]
pub struct Pairs<'a> {
    /// What is called.
    pub hooks: Hooks,
    /// The folder of the recorder's ledger, where the hooks are its.
    pub ledger: Option<&'a Path>,
}

impl Pairs<'_> {
    /// What `count` pairs take under [`FRAMES`] frames.
    #[inline(never)]
    pub fn run(&self, count: u32) -> Took {
        let further = self.ledger.map_or(0, |folder| {
            let depth = self.depth_here(folder);
            FRAMES.checked_sub(depth).expect("a stack that is not too deep already")
        });
        self.timed(0, further, count)
    }

    /// Frames of a stack of [`Pairs::timed`], by a line that has not allocated yet.
    fn depth_here(&self, folder: &Path) -> usize {
        static NEXT: AtomicU32 = AtomicU32::new(1000);
        let line = NEXT.fetch_add(LINES, Ordering::Relaxed);
        self.timed(line, 0, 1);
        let snapshot = recorded::snapshot(folder).expect("the recorder's ledger");
        let site = snapshot.sites.iter().find(|site| site.line == line);
        site.expect("it has just allocated").stack.len()
    }

    #[inline(never)]
    fn timed(&self, first_line: u32, further: usize, count: u32) -> Took {
        Took::of(|| self.under(first_line, further, count))
    }

    #[inline(never)]
    fn under(&self, first_line: u32, further: usize, count: u32) {
        if further > 0 {
            self.under(first_line, further - 1, count);
        } else {
            self.here(first_line, count);
        }
        // Not a tail call, which would reuse the frame.
        black_box(further);
    }

    #[inline(never)]
    fn here(&self, first_line: u32, count: u32) {
        let mut blocks: [*mut c_void; BLOCKS] = [null_mut(); BLOCKS];
        for number in 0..count {
            let block = &mut blocks[number as usize % BLOCKS];
            let line = (first_line + number % LINES) as i32;
            // SAFETY: a hook, given a C string, and a block of the hooks' or NULL.
            unsafe { (self.hooks.free)(*block, c"pair.c".as_ptr(), 0) };
            // SAFETY: as above.
            *block = unsafe { (self.hooks.malloc)(BYTES, c"pair.c".as_ptr(), line) };
        }
        for block in blocks {
            // SAFETY: as above; each block is given back once.
            unsafe { (self.hooks.free)(block, c"pair.c".as_ptr(), 0) };
        }
    }
}
