//! Who asked for a block.

use std::ffi::c_char;

use crate::sites::Key;
use crate::stack::Stack;

/// Where OpenSSL asked, as its hook sees it.
#[derive(Clone, Copy)]
pub(crate) struct Caller {
    pub file: *const c_char,
    /// The line, and above it the number of the OpenSSL.
    pub line: u64,
    /// The hook's own frame pointer: the walk starts there.
    pub frame: usize,
}

impl Caller {
    #[inline(always)]
    #[allow(clippy::inline_always)]
    pub(crate) fn new(openssl: u8, file: *const c_char, line: u32, frame: usize) -> Caller {
        Caller { file, line: u64::from(openssl) << 32 | u64::from(line), frame }
    }

    /// The site's key; `block_bytes` is 0 where all sizes have the same site.
    pub(crate) fn key(self, block_bytes: u64, stack: Stack) -> Key {
        let (openssl, line) = ((self.line >> 32) as u8, self.line as u32);
        Key { openssl, file: self.file, line, block_bytes, stack }
    }
}
