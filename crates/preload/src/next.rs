//! The functions of the C library that this library stands in for.

use std::ffi::{CStr, c_void};

/// Versions of the symbol, newest first; which of them there are depends on the C library's age
/// and the processor.
const VERSIONS: [&CStr; 3] = [c"GLIBC_2.34", c"GLIBC_2.2.5", c"GLIBC_2.17"];

/// The C library's function of this name.
pub(crate) fn function(name: &CStr) -> Option<*mut c_void> {
    VERSIONS
        .into_iter()
        // SAFETY: three valid arguments; the answer is NULL when there is no such version.
        .map(|version| unsafe { libc::dlvsym(libc::RTLD_NEXT, name.as_ptr(), version.as_ptr()) })
        .find(|found| !found.is_null())
}
