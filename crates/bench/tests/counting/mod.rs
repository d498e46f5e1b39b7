//! Hooks that count by file and line, and go on in the recorder's: a second count of the very same
//! calls, which knows nothing of stacks.

use std::collections::BTreeMap;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::path::Path;
use std::sync::{Mutex, OnceLock};

use bench::handshakes::{Handshakes, write_identity};
use bench::hooks::{self, Hooks};
use bench::openssl::Openssl;
use ledger::Snapshot;
use recorder::StackSource;

/// Allocations and bytes, by file and line. OpenSSL has calls without a file.
type Counts = BTreeMap<(Option<String>, u32), (u64, u64)>;

static COUNTS: Mutex<Counts> = Mutex::new(BTreeMap::new());
static RECORDER: OnceLock<Hooks> = OnceLock::new();

fn count(size: usize, file: *const c_char, line: c_int) {
    // SAFETY: OpenSSL passes a C string or NULL.
    let file = (!file.is_null()).then(|| unsafe { CStr::from_ptr(file) });
    let file = file.map(|file| file.to_string_lossy().into_owned());
    let mut counts = COUNTS.lock().expect("nobody panics with it");
    let (blocks, bytes) = counts.entry((file, line as u32)).or_default();
    *blocks += 1;
    *bytes += size as u64;
}

fn recorder() -> &'static Hooks {
    RECORDER.get().expect("set before OpenSSL calls")
}

unsafe extern "C" fn malloc(size: usize, file: *const c_char, line: c_int) -> *mut c_void {
    // SAFETY: OpenSSL's call, passed on.
    let block = unsafe { (recorder().malloc)(size, file, line) };
    if !block.is_null() {
        count(size, file, line);
    }
    block
}

unsafe extern "C" fn realloc(
    block: *mut c_void,
    size: usize,
    file: *const c_char,
    line: c_int,
) -> *mut c_void {
    // SAFETY: OpenSSL's call, passed on.
    let moved = unsafe { (recorder().realloc)(block, size, file, line) };
    if !moved.is_null() {
        count(size, file, line);
    }
    moved
}

unsafe extern "C" fn free(block: *mut c_void, file: *const c_char, line: c_int) {
    // SAFETY: OpenSSL's call, passed on.
    unsafe { (recorder().free)(block, file, line) };
}

/// Records the workload of handshakes, and compares. `ledger` is the file, or the folder where
/// the recorder makes one.
pub fn compare(openssl: Openssl, stacks: StackSource, folder: &Path, ledger: &Path) {
    let hooks = hooks::recorder(stacks, ledger).expect("first in this process");
    assert!(RECORDER.set(hooks).is_ok());
    Hooks { malloc, realloc, free }.put_into(&openssl).expect("OpenSSL has not allocated");
    write_identity(folder).expect("a folder that can be written");
    let handshakes = Handshakes::new(openssl, folder);
    for _ in 0..50 {
        handshakes.one();
    }
    let snapshot = read_only_ledger(folder);
    let mut recorded = Counts::new();
    for site in &snapshot.sites {
        let file = site.file.as_deref().map(str::to_owned);
        let (blocks, bytes) = recorded.entry((file, site.line)).or_default();
        *blocks += site.counts.alloc_blocks;
        *bytes += site.counts.alloc_bytes;
    }
    let counted = COUNTS.lock().expect("nobody panicked").clone();
    let all: u64 = counted.values().map(|(blocks, _)| blocks).sum();
    assert!(all > 50_000, "{all} allocations");
    assert_eq!(recorded, counted);
    println!("{all} allocations at {} lines of OpenSSL: both counts are equal", counted.len());
}

fn read_only_ledger(folder: &Path) -> Snapshot {
    let entries = std::fs::read_dir(folder).expect("the folder").map(|entry| entry.expect("one"));
    let mut ledgers =
        entries.map(|entry| entry.path()).filter(|path| path.to_string_lossy().ends_with("ledger"));
    let (Some(ledger), None) = (ledgers.next(), ledgers.next()) else { panic!("one ledger") };
    Snapshot::read_file(&ledger).expect("a ledger of this process")
}
