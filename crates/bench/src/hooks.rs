//! What stands in OpenSSL in place of malloc, realloc and free.

use std::ffi::{c_char, c_int, c_void};
use std::path::Path;
use std::ptr::null_mut;
use std::sync::Mutex;

use crate::openssl::Openssl;
use recorder::{
    FreeFn, Heap, MallocFn, OpensslFunctions, Options, ReallocFn, SampleOptions, StackSource,
};

/// Three functions for `CRYPTO_set_mem_functions`.
#[derive(Clone, Copy)]
pub struct Hooks {
    /// In place of malloc.
    pub malloc: MallocFn,
    /// In place of realloc.
    pub realloc: ReallocFn,
    /// In place of free.
    pub free: FreeFn,
}

impl Hooks {
    /// Puts them into an OpenSSL.
    pub fn put_into(self, openssl: &Openssl) -> Result<(), &'static str> {
        // SAFETY: functions that keep malloc's contract, all over the C library's heap.
        let taken = unsafe {
            (openssl.CRYPTO_set_mem_functions)(
                Some(self.malloc),
                Some(self.realloc),
                Some(self.free),
            )
        };
        if taken == 1 { Ok(()) } else { Err("OpenSSL has allocated already, and takes no hooks") }
    }
}

/// Hooks that go straight to the C library: what every hook costs at least.
pub const NO_OP: Hooks = Hooks { malloc, realloc, free };

unsafe extern "C" fn malloc(size: usize, _: *const c_char, _: c_int) -> *mut c_void {
    // SAFETY: libc's malloc takes any size.
    unsafe { libc::malloc(size) }
}

unsafe extern "C" fn realloc(
    block: *mut c_void,
    size: usize,
    _: *const c_char,
    _: c_int,
) -> *mut c_void {
    if size == 0 {
        // SAFETY: OpenSSL's block, which it gives up.
        unsafe { libc::free(block) };
        return null_mut();
    }
    // SAFETY: OpenSSL's block or NULL.
    unsafe { libc::realloc(block, size) }
}

unsafe extern "C" fn free(block: *mut c_void, _: *const c_char, _: c_int) {
    // SAFETY: OpenSSL's block or NULL.
    unsafe { libc::free(block) };
}

/// What the recorder puts into an OpenSSL.
static HOOKS: Mutex<Option<Hooks>> = Mutex::new(None);

/// The recorder's hooks, put into no OpenSSL yet. Once a process.
///
/// With [`StackSource::FramePointers`] this is the linked recorder, otherwise what is preloaded.
/// `path` is the ledger's, or for the latter the folder for ledgers.
pub fn recorder(stacks: StackSource, path: &Path) -> Result<Hooks, recorder::InstallError> {
    hooks_of(stacks, path, None)
}

/// Hooks like those of [`recorder()`] that count a part of the blocks.
pub fn sampling_recorder(
    stacks: StackSource,
    path: &Path,
    sample: SampleOptions,
) -> Result<Hooks, recorder::InstallError> {
    hooks_of(stacks, path, Some(sample))
}

fn hooks_of(
    stacks: StackSource,
    path: &Path,
    sample: Option<SampleOptions>,
) -> Result<Hooks, recorder::InstallError> {
    let mut options = match stacks {
        StackSource::FramePointers => Options::at(path, stacks),
        _ => Options::in_folder(path, stacks),
    };
    options.sample = sample;
    let functions = OpensslFunctions { set: take, get: give };
    // SAFETY: the heap is the C library's; `take` and `give` keep the contracts of OpenSSL's
    // functions.
    unsafe { recorder::install(options, Heap::libc(), Some(functions)) }?;
    Ok(HOOKS.lock().expect("nobody panics with it").expect("the recorder has set its hooks"))
}

unsafe extern "C" fn take(
    malloc: Option<MallocFn>,
    realloc: Option<ReallocFn>,
    free: Option<FreeFn>,
) -> c_int {
    let hooks = malloc.zip(realloc).zip(free);
    *HOOKS.lock().expect("nobody panics with it") =
        hooks.map(|((malloc, realloc), free)| Hooks { malloc, realloc, free });
    1
}

unsafe extern "C" fn give(
    malloc: *mut Option<MallocFn>,
    realloc: *mut Option<ReallocFn>,
    free: *mut Option<FreeFn>,
) {
    let hooks = *HOOKS.lock().expect("nobody panics with it");
    // SAFETY: the caller passes three places to store to.
    unsafe {
        *malloc = hooks.map(|hooks| hooks.malloc);
        *realloc = hooks.map(|hooks| hooks.realloc);
        *free = hooks.map(|hooks| hooks.free);
    }
}
