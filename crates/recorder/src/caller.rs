//! The place that asked for a block.

use std::ffi::c_char;

use contract::{Domain, Source};

use crate::sites::Key;
use crate::trace::Stack;

/// Where somebody asked, as the hook sees it.
#[derive(Clone, Copy)]
pub(crate) struct Caller {
    /// OpenSSL's file name; NULL or an address of somebody else's code.
    pub file: *const c_char,
    /// The line, and above it the number of the source.
    pub line: u64,
    /// The hook's own frame pointer: the walk starts there.
    pub frame: usize,
}

impl Caller {
    #[inline(always)]
    pub(crate) fn new(source: Source, file: *const c_char, line: u32, frame: usize) -> Caller {
        Caller { file, line: u64::from(source.number()) << 32 | u64::from(line), frame }
    }

    /// Where somebody called a function of the malloc family whose frame pointer this is. The
    /// address that it returns to stands in the place of a file, to tell callers apart quickly.
    ///
    /// # Safety
    ///
    /// It is the frame of a function that has a frame pointer, on the calling thread's stack.
    #[inline(always)]
    pub(crate) unsafe fn in_family(source: Source, frame: usize) -> Caller {
        // SAFETY: the word above a frame pointer is the return address: the caller's promise.
        let returns_to = unsafe { (frame as *const *const c_char).add(1).read() };
        Caller::new(source, returns_to, 0, frame)
    }

    /// Who asked.
    pub(crate) fn source(self) -> Source {
        // What `new` put there.
        Source::from_number((self.line >> 32) as u16).unwrap_or_default()
    }

    /// The site's key; `block_bytes` is 0 where all sizes have the same site.
    pub(crate) fn key(self, block_bytes: u64, stack: Stack) -> Key {
        let (source, line) = (self.source(), self.line as u32);
        let file = match source.domain {
            Domain::Openssl => self.file,
            _ => std::ptr::null(),
        };
        Key { source, file, line, block_bytes, stack }
    }
}
