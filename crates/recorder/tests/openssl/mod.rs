//! A stand-in for OpenSSL's side of the hook, and a heap that counts below the recorder.
#![allow(dead_code, reason = "each test program uses a part of it")]

use std::collections::HashMap;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use ledger::{Snapshot, Statistics};
use recorder::{
    FreeFn, Heap, InstallError, MallocFn, OpensslFunctions, Options, ReallocFn, StackSource,
};

/// OpenSSL's three function pointers.
static FUNCTIONS: Mutex<Option<(MallocFn, ReallocFn, FreeFn)>> = Mutex::new(None);
/// Makes the setter refuse, as OpenSSL does after its first allocation.
pub static TOO_LATE: AtomicBool = AtomicBool::new(false);

/// CRYPTO_set_mem_functions.
///
/// # Safety
///
/// None: it only stores.
pub unsafe extern "C" fn set(
    malloc: Option<MallocFn>,
    realloc: Option<ReallocFn>,
    free: Option<FreeFn>,
) -> c_int {
    if TOO_LATE.load(Ordering::Relaxed) {
        return 0;
    }
    *FUNCTIONS.lock().expect("no test panics while it holds the lock") =
        malloc.zip(realloc).zip(free).map(|((malloc, realloc), free)| (malloc, realloc, free));
    1
}

/// CRYPTO_get_mem_functions.
///
/// # Safety
///
/// Three places to store to.
pub unsafe extern "C" fn get(
    malloc: *mut Option<MallocFn>,
    realloc: *mut Option<ReallocFn>,
    free: *mut Option<FreeFn>,
) {
    let functions = functions();
    // SAFETY: the recorder passes three places to store to.
    unsafe {
        *malloc = Some(functions.0);
        *realloc = Some(functions.1);
        *free = Some(functions.2);
    }
}

pub fn functions() -> (MallocFn, ReallocFn, FreeFn) {
    FUNCTIONS.lock().expect("no test panics while it holds the lock").expect("installed")
}

/// Somebody else takes OpenSSL's memory functions over.
pub fn replace_hooks() {
    unsafe extern "C" fn malloc(_: usize, _: *const c_char, _: c_int) -> *mut c_void {
        std::ptr::null_mut()
    }
    unsafe extern "C" fn realloc(
        _: *mut c_void,
        _: usize,
        _: *const c_char,
        _: c_int,
    ) -> *mut c_void {
        std::ptr::null_mut()
    }
    unsafe extern "C" fn free(_: *mut c_void, _: *const c_char, _: c_int) {}
    // SAFETY: three functions of the right types.
    unsafe { set(Some(malloc), Some(realloc), Some(free)) };
}

/// A ledger at `path`, with stacks by frame pointers.
pub fn options_at(path: impl Into<PathBuf>) -> Options {
    Options::at(path, StackSource::FramePointers)
}

/// Installs the recorder over the counting heap.
pub fn install(options: &Options) -> Result<(), InstallError> {
    let heap = Heap { malloc: counted_malloc, realloc: counted_realloc, free: counted_free };
    install_over(options, heap)
}

/// Installs the recorder over `heap`.
pub fn install_over(options: &Options, heap: Heap) -> Result<(), InstallError> {
    // SAFETY: `set` and `get` keep OpenSSL's contract, and `heap` malloc's.
    unsafe { recorder::install(options.clone(), heap, Some(OpensslFunctions { set, get })) }
}

/// What the heap below the recorder has given and not got back, by address.
static LIVE: Mutex<Option<HashMap<usize, usize>>> = Mutex::new(None);
/// Makes the next realloc fail.
pub static REFUSE_REALLOC: AtomicBool = AtomicBool::new(false);

fn live<T>(with: impl FnOnce(&mut HashMap<usize, usize>) -> T) -> T {
    let mut live = LIVE.lock().expect("no test panics while it holds the lock");
    with(live.get_or_insert_default())
}

unsafe extern "C" fn counted_malloc(size: usize) -> *mut c_void {
    assert_ne!(size, 0, "the recorder asked the heap for nothing");
    // SAFETY: libc's malloc takes any size.
    let block = unsafe { libc::malloc(size) };
    live(|live| assert_eq!(live.insert(block as usize, size), None));
    block
}

unsafe extern "C" fn counted_realloc(block: *mut c_void, size: usize) -> *mut c_void {
    if REFUSE_REALLOC.swap(false, Ordering::Relaxed) {
        return std::ptr::null_mut();
    }
    live(|live| live.remove(&(block as usize)));
    // SAFETY: a block of libc's malloc.
    let moved = unsafe { libc::realloc(block, size) };
    live(|live| assert_eq!(live.insert(moved as usize, size), None));
    moved
}

unsafe extern "C" fn counted_free(block: *mut c_void) {
    live(|live| live.remove(&(block as usize)));
    // SAFETY: a block of libc's malloc.
    unsafe { libc::free(block) };
}

/// Blocks and bytes that the heap below the recorder holds.
pub fn held_by_heap() -> (u64, u64) {
    live(|live| (live.len() as u64, live.values().map(|size| *size as u64).sum()))
}

/// OPENSSL_malloc at `file`:`line`.
#[inline(never)]
pub fn malloc_at(file: &'static CStr, line: i32, size: usize) -> *mut c_void {
    // SAFETY: the installed hook, with a C string.
    let block = unsafe { functions().0(size, file.as_ptr(), line) };
    std::hint::black_box(block)
}

/// OPENSSL_realloc at `file`:`line`.
#[inline(never)]
pub fn realloc_at(file: &'static CStr, line: i32, block: *mut c_void, size: usize) -> *mut c_void {
    // SAFETY: the installed hook, with a block of its own or NULL.
    let block = unsafe { functions().1(block, size, file.as_ptr(), line) };
    std::hint::black_box(block)
}

/// OPENSSL_free.
pub fn free(block: *mut c_void) {
    // SAFETY: the installed hook, with a block of its own or NULL.
    unsafe { functions().2(block, c"free.c".as_ptr(), 1) };
}

/// What the ledger says now.
pub fn read(ledger: &Path) -> Snapshot {
    Snapshot::read_file(ledger).expect("a ledger written by this process")
}

/// Counts at all sites of one file and line.
pub fn at(snapshot: &Snapshot, file: &str, line: u32) -> ledger::Counts {
    let mut sum = ledger::Counts::default();
    for site in &snapshot.sites {
        if site.file.as_deref() == Some(file) && site.line == line {
            sum.add(&site.counts);
        }
    }
    sum
}

/// The recorder reports nothing lost and nothing odd.
pub fn assert_nothing_lost(statistics: &Statistics) {
    assert_eq!(statistics.dropped, ledger::Counts::default());
    assert_eq!(statistics.untracked_blocks, 0);
    assert_eq!(statistics.foreign_frees, 0);
    assert_eq!(statistics.stale_blocks, 0);
    assert_eq!(statistics.nested_calls, 0);
}
