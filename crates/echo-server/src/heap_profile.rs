//! jemalloc's sampling profiler, which sees what Rust allocates.

use std::ffi::{CString, c_char};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use tikv_jemalloc_ctl::raw;

/// jemalloc refused.
#[derive(Debug, thiserror::Error)]
#[error("jemalloc refused {name}: {reason}")]
pub struct JemallocError {
    name: String,
    reason: String,
}

impl JemallocError {
    pub(crate) fn of(name: &str) -> impl FnOnce(tikv_jemalloc_ctl::Error) -> JemallocError {
        move |error| JemallocError { name: name.to_owned(), reason: error.to_string() }
    }
}

/// Samples one byte in 2^`lg_sample` from here on, on average. What was allocated before is not in
/// the sample: call it early.
pub fn start(lg_sample: u32) -> Result<(), JemallocError> {
    // SAFETY: a `size_t` and a `bool`, as jemalloc documents for these names, which end with a NUL.
    unsafe {
        raw::write(b"prof.reset\0", lg_sample as usize).map_err(JemallocError::of("prof.reset"))?;
        raw::write(b"prof.active\0", true).map_err(JemallocError::of("prof.active"))
    }
}

/// Writes what is in the sample to `path`, in jemalloc's format `heap_v2`.
pub fn dump(path: &Path) -> Result<(), JemallocError> {
    let name = || format!("prof.dump to {}", path.display());
    let file = CString::new(path.as_os_str().as_bytes())
        .map_err(|error| JemallocError { name: name(), reason: error.to_string() })?;
    // SAFETY: a `const char *` to a C string that outlives the call.
    unsafe { raw::write::<*const c_char>(b"prof.dump\0", file.as_ptr()) }
        .map_err(JemallocError::of(&name()))
}
