//! Every stack of the distribution's OpenSSL is the compiler's unwinder's, also when connections
//! take turns at random on two threads, when a signal allocates on a stack of its own, and after
//! what is known of code has been forgotten.

use std::cell::Cell;
use std::collections::HashMap;
use std::ffi::{c_int, c_void};
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

use bench::handshakes::{Connection, Handshakes, write_identity};
use bench::hooks;
use bench::openssl::Openssl;
use ledger::Snapshot;
use recorder::{Heap, StackSource};

/// Connections that take turns on each thread.
const CONNECTIONS: usize = 16;
/// Turns of each thread.
const TURNS: usize = 200;

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
    let mut addresses = Vec::with_capacity(64);
    backtrace::trace(|frame| {
        if calibrate && frame.symbol_address() as usize == function {
            // Itself, what of the recorder has a frame, and the hook: see `hooks.rs`.
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

/// What a signal handler allocates with.
static OPENSSL: AtomicPtr<Openssl> = AtomicPtr::new(std::ptr::null_mut());

extern "C" fn on_signal(_: c_int) {
    // SAFETY: stored before the handler was, and never freed.
    let openssl = unsafe { &*OPENSSL.load(Ordering::Acquire) };
    // SAFETY: the signal is raised between calls of OpenSSL.
    unsafe { (openssl.X509_STORE_free)((openssl.X509_STORE_new)()) };
}

#[test]
fn every_stack_is_the_unwinders() {
    let openssl = match Openssl::distribution() {
        Ok(openssl) => openssl,
        Err(missing) => return skip(&missing),
    };
    if StackSource::best() != StackSource::UnwindTables {
        return skip("unwind tables (x86-64 and a C library since 2.35)");
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let folder = folder.path();
    let heap = Heap { malloc: unwinding_malloc, realloc: unwinding_realloc, ..Heap::libc() };
    let hooks = hooks::recorder_over(heap, StackSource::UnwindTables, folder, None);
    hooks.expect("first in this process").put_into(&openssl).expect("it has not allocated");
    OPENSSL.store(Box::leak(Box::new(openssl)), Ordering::Release);
    handle_on_a_stack_of_its_own();
    write_identity(folder).expect("a folder that can be written");

    std::thread::scope(|scope| {
        for seed in [1, 2] {
            scope.spawn(move || take_turns(&Handshakes::new(openssl, folder), seed));
        }
    });

    let unwound = UNWOUND.lock().expect("nobody panicked").take().expect("OpenSSL allocates");
    compare(&read_only_ledger(folder), &unwound);
}

fn take_turns(handshakes: &Handshakes, seed: u64) {
    let stack = vec![0_u8; 256 * 1024];
    let alternate = libc::stack_t {
        ss_sp: stack.as_ptr().cast_mut().cast(),
        ss_flags: 0,
        ss_size: stack.len(),
    };
    // SAFETY: memory that outlives its use: it is given up below.
    assert_eq!(unsafe { libc::sigaltstack(&raw const alternate, std::ptr::null_mut()) }, 0);
    let random = Cell::new(seed);
    let mut connections: Vec<Option<Connection>> = (0..CONNECTIONS).map(|_| None).collect();
    for turn in 0..TURNS {
        random.set(random.get().wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(1));
        let connection = &mut connections[(random.get() >> 33) as usize % CONNECTIONS];
        if !connection.get_or_insert_with(|| handshakes.connect()).go_on() {
            *connection = None;
        }
        if turn % 50 == 25 {
            // SAFETY: the handler is installed.
            assert_eq!(unsafe { libc::raise(libc::SIGUSR1) }, 0);
        }
        if turn == TURNS / 2 {
            recorder::note_unloading();
        }
    }
    drop(connections);
    let off = libc::stack_t { ss_flags: libc::SS_DISABLE, ..alternate };
    // SAFETY: switches the stack off before its memory goes.
    assert_eq!(unsafe { libc::sigaltstack(&raw const off, std::ptr::null_mut()) }, 0);
}

fn handle_on_a_stack_of_its_own() {
    // SAFETY: an all-zero sigaction is an empty one; the handler is a function that does not
    // unwind.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = on_signal as *const () as usize;
        action.sa_flags = libc::SA_ONSTACK;
        assert_eq!(libc::sigaction(libc::SIGUSR1, &raw const action, std::ptr::null_mut()), 0);
    }
}

fn read_only_ledger(folder: &Path) -> Snapshot {
    let entries = std::fs::read_dir(folder).expect("the folder").map(|entry| entry.expect("one"));
    let mut ledgers =
        entries.map(|entry| entry.path()).filter(|path| path.to_string_lossy().ends_with("ledger"));
    let (Some(ledger), None) = (ledgers.next(), ledgers.next()) else { panic!("one ledger") };
    Snapshot::read_file(&ledger).expect("a ledger of this process")
}

fn compare(snapshot: &Snapshot, unwound: &HashMap<Vec<u64>, u64>) {
    let allocations: u64 = unwound.values().sum();
    assert!(allocations >= 100_000, "{allocations} allocations");
    assert_eq!(snapshot.totals().alloc_blocks, allocations);
    let mut counted: HashMap<&[u64], u64> = HashMap::new();
    for site in snapshot.sites.iter().filter(|site| !site.truncated) {
        *counted.entry(&site.stack).or_default() += site.counts.alloc_blocks;
    }
    for (stack, count) in &counted {
        assert_eq!(unwound.get(*stack), Some(count), "{stack:#x?}");
    }
    let whole: u64 = counted.values().sum();
    let cut = allocations - whole;
    println!("{allocations} allocations from {} stacks; {cut} of them cut short", unwound.len());
    for site in snapshot.sites.iter().filter(|site| site.truncated) {
        let known = unwound.keys().any(|stack| stack.starts_with(&site.stack));
        assert!(known, "{:#x?}", site.stack);
    }
    assert!(cut > 0, "the signal's own stack is not followed");
    assert!(cut * 100 <= allocations, "at most one stack in a hundred is cut short");
}

/// Where everything is installed that the tests need, nothing may be skipped.
fn skip(what: &str) {
    assert!(std::env::var_os("CI").is_none(), "missing: {what}");
    println!("skipped: {what}");
}
