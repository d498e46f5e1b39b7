//! Switches profiling on: the recorder between OpenSSL and jemalloc.

use std::ffi::c_int;
use std::fs;
use std::path::PathBuf;

use recorder::{FreeFn, Heap, MallocFn, OpensslFunctions, PeakOf, ReallocFn, StackSource};
pub use recorder::{InstallError, Options, SampleOptions, check_in_place};

use crate::allocator::{ALLOCATOR, openssl_heap};

unsafe extern "C" {
    fn CRYPTO_set_mem_functions(
        malloc: Option<MallocFn>,
        realloc: Option<ReallocFn>,
        free: Option<FreeFn>,
    ) -> c_int;
    fn CRYPTO_get_mem_functions(
        malloc: *mut Option<MallocFn>,
        realloc: *mut Option<ReallocFn>,
        free: *mut Option<FreeFn>,
    );
}

/// Why profiling cannot be switched on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProfilingError {
    /// Another thread might be using OpenSSL.
    #[error(
        "profiling must be switched on while the process has one thread, and it has {threads}: \
         call this first in main, before a runtime is started"
    )]
    Threads {
        /// How many there are.
        threads: usize,
    },
    /// The recorder could not be installed.
    #[error(transparent)]
    Recorder(#[from] InstallError),
}

/// Counting in a ledger at this path, as this program can: it and its OpenSSL are built with frame
/// pointers, and it does not fork. The highest total is OpenSSL's, whatever else is counted.
pub fn options_at(ledger: impl Into<PathBuf>) -> Options {
    let mut options = Options::at(ledger, StackSource::FramePointers);
    options.peak_of = PeakOf::Openssl;
    options
}

/// Counts every allocation of this program's OpenSSL in a ledger from here on, and puts its
/// blocks into jemalloc. Call it first in main: before any other thread is started, and before
/// anything calls OpenSSL.
pub fn install(options: &Options) -> Result<(), ProfilingError> {
    // SAFETY: jemalloc's functions follow C's, to the end of the process, and call no OpenSSL.
    unsafe { install_over(options, openssl_heap()) }
}

/// Counts every block of this program's Rust code too, from here on and beside OpenSSL's. After
/// [`install`].
pub fn count_rust() {
    ALLOCATOR.begin();
}

/// Counts as [`install`] does, with OpenSSL's blocks in another heap: to check the recorder against
/// what the heap below it has seen.
///
/// # Safety
///
/// The functions of `heap` follow C's malloc, realloc and free as [`Heap`] says, from any thread
/// and until the process ends, and do not call OpenSSL.
pub unsafe fn install_over(options: &Options, heap: Heap) -> Result<(), ProfilingError> {
    // Where /proc is not mounted the threads cannot be counted; the caller's word has to do.
    let threads = fs::read_dir("/proc/self/task").map_or(1, Iterator::count);
    if threads != 1 {
        return Err(ProfilingError::Threads { threads });
    }
    let functions =
        OpensslFunctions { set: CRYPTO_set_mem_functions, get: CRYPTO_get_mem_functions };
    // SAFETY: the functions are those of the one OpenSSL that is linked, the heap is as the caller
    // promised, and there is no other thread to call OpenSSL meanwhile.
    unsafe { recorder::install(options.clone(), heap, Some(functions)) }?;
    Ok(())
}
