//! The pages that memory is protected by.

use std::sync::OnceLock;

/// Bytes of a page.
pub(crate) fn size() -> usize {
    static BYTES: OnceLock<usize> = OnceLock::new();
    // SAFETY: sysconf only reads.
    *BYTES.get_or_init(|| unsafe { libc::sysconf(libc::_SC_PAGESIZE) }.cast_unsigned() as usize)
}
