//! The place that asked for a block.

use std::ffi::c_char;

use contract::Source;

use crate::sites::Key;
use crate::trace::Stack;

/// Where OpenSSL asked, as its hook sees it.
#[derive(Clone, Copy)]
pub(crate) struct Caller {
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

    /// The site's key; `block_bytes` is 0 where all sizes have the same site.
    pub(crate) fn key(self, block_bytes: u64, stack: Stack) -> Key {
        // What `new` put there.
        let source = Source::from_number((self.line >> 32) as u16).unwrap_or_default();
        let line = self.line as u32;
        Key { source, file: self.file, line, block_bytes, stack }
    }
}
