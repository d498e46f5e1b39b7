//! Stacks of an OpenSSL without frame pointers, the distribution's: at each of more than 100,000
//! allocations, what the recorder reads through the unwind tables is what the compiler's own
//! unwinder reads.

use std::collections::HashMap;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use ledger::Snapshot;
use recorder::{Getter, Heap, MemoryFunctions, Preparation, Setter, StackSource};

const LIBRARY: &CStr = c"libcrypto.so.3";
/// Parsing its certificates allocates some 200,000 times.
const CERTIFICATES: &str = "/etc/ssl/certs/ca-certificates.crt";

/// How often each stack allocated, by the unwinder, from the caller of the hook on.
static UNWOUND: Mutex<Option<HashMap<Vec<u64>, u64>>> = Mutex::new(None);

/// How many frames the unwinder sees before the caller of the hook; 0 is not known yet.
static FRAMES_OF_MALLOC: AtomicUsize = AtomicUsize::new(0);
static FRAMES_OF_REALLOC: AtomicUsize = AtomicUsize::new(0);

unsafe extern "C" fn unwinding_malloc(size: usize) -> *mut c_void {
    unwind(&FRAMES_OF_MALLOC, unwinding_malloc as *const () as usize);
    // SAFETY: libc's malloc takes any size.
    unsafe { libc::malloc(size) }
}

unsafe extern "C" fn unwinding_realloc(block: *mut c_void, size: usize) -> *mut c_void {
    unwind(&FRAMES_OF_REALLOC, unwinding_realloc as *const () as usize);
    // SAFETY: a block of libc's malloc.
    unsafe { libc::realloc(block, size) }
}

/// Counts the stack that called the hook, which called `function`.
fn unwind(frames_before: &AtomicUsize, function: usize) {
    let calibrate = frames_before.load(Ordering::Relaxed) == 0;
    let mut addresses = Vec::new();
    backtrace::trace(|frame| {
        if calibrate && frame.symbol_address() as usize == function {
            // Itself, and the hook.
            frames_before.store(addresses.len() + 2, Ordering::Relaxed);
        }
        addresses.push(frame.ip() as u64);
        true
    });
    addresses.retain(|address| *address != 0); // beyond the root
    let before = frames_before.load(Ordering::Relaxed);
    assert_ne!(before, 0, "the unwinder passes the heap's function");
    let mut unwound = UNWOUND.lock().expect("nobody panics with it");
    *unwound.get_or_insert_default().entry(addresses.split_off(before)).or_default() += 1;
}

/// A function of the library.
unsafe fn function<F: Copy>(library: *mut c_void, name: &CStr) -> F {
    // SAFETY: an open library and a C string.
    let address = unsafe { libc::dlsym(library, name.as_ptr()) };
    assert!(!address.is_null(), "{LIBRARY:?} has {name:?}");
    assert_eq!(size_of::<F>(), size_of::<usize>());
    // SAFETY: the caller names the function's type.
    unsafe { std::mem::transmute_copy(&address) }
}

#[test]
fn every_stack_is_the_unwinders() {
    // SAFETY: loads a library, whose constructors do nothing to others.
    let library = unsafe { libc::dlopen(LIBRARY.as_ptr(), libc::RTLD_NOW) };
    if library.is_null() || !Path::new(CERTIFICATES).exists() {
        skip("libcrypto.so.3 (package libssl3) or ca-certificates");
        return;
    }
    if StackSource::best() != StackSource::UnwindTables {
        skip("unwind tables (x86-64 and a C library since 2.35)");
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let heap = Heap { malloc: unwinding_malloc, realloc: unwinding_realloc, ..Heap::libc() };
    let preparation = Preparation::in_folder(folder.path(), StackSource::UnwindTables);
    // SAFETY: the heap is libc's; the functions are those of one OpenSSL, used by nobody yet.
    unsafe {
        recorder::prepare(preparation, heap).expect("first in this process");
        let set: Setter = function(library, c"CRYPTO_set_mem_functions");
        let get: Getter = function(library, c"CRYPTO_get_mem_functions");
        let openssl = recorder::add_openssl(Some(get), MemoryFunctions::default());
        openssl.expect("the first").put_into(set).expect("OpenSSL has not allocated");
    }
    let address = library as usize;
    std::thread::spawn(move || parse_certificates(address)).join().expect("it ends well");
    parse_certificates(address);

    let unwound = UNWOUND.lock().expect("nobody panicked").take().expect("OpenSSL allocates");
    let snapshot = read_only_ledger(folder.path());
    compare(&snapshot, &unwound);
}

type New = unsafe extern "C" fn() -> *mut c_void;
type Load = unsafe extern "C" fn(*mut c_void, *const c_char, *const c_char) -> c_int;
type Free = unsafe extern "C" fn(*mut c_void);

fn parse_certificates(library: usize) {
    let library = library as *mut c_void;
    let file = std::ffi::CString::new(CERTIFICATES).expect("no zero byte");
    // SAFETY: OpenSSL's functions of these names, called as it documents them.
    unsafe {
        let store = function::<New>(library, c"X509_STORE_new")();
        let load: Load = function(library, c"X509_STORE_load_locations");
        assert_eq!(load(store, file.as_ptr(), std::ptr::null()), 1);
        function::<Free>(library, c"X509_STORE_free")(store);
    }
}

fn read_only_ledger(folder: &Path) -> Snapshot {
    let entries = std::fs::read_dir(folder).expect("the folder").map(|e| e.expect("an entry"));
    let paths: Vec<_> = entries.map(|entry| entry.path()).collect();
    let [path] = &paths[..] else { panic!("one ledger: {paths:?}") };
    Snapshot::read_file(path).expect("a ledger written by this process")
}

fn compare(snapshot: &Snapshot, unwound: &HashMap<Vec<u64>, u64>) {
    let allocations: u64 = unwound.values().sum();
    assert!(allocations >= 100_000, "{allocations} allocations");
    assert_eq!(snapshot.totals().alloc_blocks, allocations);
    let mut counted: HashMap<&[u64], u64> = HashMap::new();
    for site in &snapshot.sites {
        if !site.truncated {
            *counted.entry(&site.stack).or_default() += site.counts.alloc_blocks;
        }
    }
    for (stack, count) in &counted {
        assert_eq!(unwound.get(*stack), Some(count), "{stack:#x?}");
    }
    let whole: u64 = counted.values().sum();
    println!(
        "{allocations} allocations from {} stacks; {} of them cut short",
        unwound.len(),
        allocations - whole
    );
    for site in snapshot.sites.iter().filter(|site| site.truncated) {
        let known = unwound.keys().any(|stack| stack.starts_with(&site.stack));
        assert!(known, "{:#x?}", site.stack);
    }
    assert!(
        (allocations - whole) * 100 <= allocations,
        "at most one stack in a hundred is cut short"
    );
}

/// Where everything is installed that the tests need, nothing may be skipped.
fn skip(what: &str) {
    assert!(std::env::var_os("CI").is_none(), "missing: {what}");
    println!("skipped: {what}");
}
