//! Several OpenSSLs in one process, and programs that have memory functions of their own.

mod openssl;

use std::ffi::{c_char, c_int, c_void};
use std::ptr::null_mut;
use std::sync::atomic::{AtomicU64, Ordering};

use contract::Source;
use ledger::{Counts, Snapshot};
use recorder::{
    FreeFn, Heap, MallocFn, MemoryFunctions, OpensslNumber, Options, ReallocFn, StackSource,
};

/// Calls of the program's own functions.
static MALLOCS: AtomicU64 = AtomicU64::new(0);
static REALLOCS: AtomicU64 = AtomicU64::new(0);
static FREES: AtomicU64 = AtomicU64::new(0);

fn calls() -> (u64, u64, u64) {
    let load = |count: &AtomicU64| count.load(Ordering::Relaxed);
    (load(&MALLOCS), load(&REALLOCS), load(&FREES))
}

unsafe extern "C" fn own_malloc(size: usize, _: *const c_char, _: c_int) -> *mut c_void {
    MALLOCS.fetch_add(1, Ordering::Relaxed);
    // SAFETY: libc's malloc takes any size.
    unsafe { libc::malloc(size) }
}

unsafe extern "C" fn own_realloc(
    block: *mut c_void,
    size: usize,
    _: *const c_char,
    _: c_int,
) -> *mut c_void {
    REALLOCS.fetch_add(1, Ordering::Relaxed);
    if size == 0 {
        // SAFETY: a block of libc's malloc, or NULL.
        unsafe { libc::free(block) };
        return null_mut();
    }
    // SAFETY: as above.
    unsafe { libc::realloc(block, size) }
}

unsafe extern "C" fn own_free(block: *mut c_void, _: *const c_char, _: c_int) {
    FREES.fetch_add(1, Ordering::Relaxed);
    // SAFETY: as above.
    unsafe { libc::free(block) };
}

const OWN: MemoryFunctions =
    MemoryFunctions { malloc: Some(own_malloc), realloc: Some(own_realloc), free: Some(own_free) };

/// OpenSSL's own functions, which nobody calls here.
const DEFAULT: MemoryFunctions = {
    unsafe extern "C" fn malloc(_: usize, _: *const c_char, _: c_int) -> *mut c_void {
        panic!("below the hooks, OpenSSL's own functions would call the hooks")
    }
    unsafe extern "C" fn realloc(
        _: *mut c_void,
        _: usize,
        _: *const c_char,
        _: c_int,
    ) -> *mut c_void {
        panic!("below the hooks, OpenSSL's own functions would call the hooks")
    }
    unsafe extern "C" fn free(_: *mut c_void, _: *const c_char, _: c_int) {
        panic!("below the hooks, OpenSSL's own functions would call the hooks")
    }
    MemoryFunctions { malloc: Some(malloc), realloc: Some(realloc), free: Some(free) }
};

/// One OpenSSL, as it calls what its setter was given.
struct Openssl {
    number: OpensslNumber,
    malloc: MallocFn,
    realloc: ReallocFn,
    free: FreeFn,
}

impl Openssl {
    fn new() -> Openssl {
        let number = recorder::add_openssl(None, DEFAULT).expect("there is room");
        let hooks = number.hooks();
        Openssl {
            number,
            malloc: hooks.malloc.expect("a hook"),
            realloc: hooks.realloc.expect("a hook"),
            free: hooks.free.expect("a hook"),
        }
    }

    #[inline(never)]
    fn malloc(&self, size: usize) -> *mut c_void {
        // SAFETY: the hook, with a C string.
        std::hint::black_box(unsafe { (self.malloc)(size, FILE.as_ptr(), 1) })
    }

    fn realloc(&self, block: *mut c_void, size: usize) -> *mut c_void {
        // SAFETY: the hook, with a C string, and a block of its own or NULL.
        unsafe { (self.realloc)(block, size, FILE.as_ptr(), 2) }
    }

    fn free(&self, block: *mut c_void) {
        // SAFETY: as above.
        unsafe { (self.free)(block, FILE.as_ptr(), 3) };
    }
}

const FILE: &std::ffi::CStr = c"same.c";

/// Sums over the sites of one OpenSSL.
fn of(snapshot: &Snapshot, openssl: &Openssl) -> Counts {
    let mut sum = Counts::default();
    for site in
        snapshot.sites.iter().filter(|site| site.source == Source::openssl(openssl.number.get()))
    {
        sum.add(&site.counts);
    }
    sum
}

/// All in one: there is one recorder in a process, and it is never taken out.
#[test]
fn openssls_are_told_apart_and_a_programs_functions_are_called_below() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let options = Options::in_folder(folder.path(), StackSource::FramePointers);
    // SAFETY: libc's heap.
    unsafe { recorder::install(options, Heap::libc(), None).expect("first in this process") };
    let read = || {
        let ledgers: Vec<_> = std::fs::read_dir(folder.path()).expect("the folder").collect();
        let [Ok(ledger)] = &ledgers[..] else { panic!("{ledgers:?}") };
        openssl::read(&ledger.path())
    };

    // Two that allocate at one file and line, through one stack.
    let [first, second] = [(); 2].map(|()| Openssl::new());
    let blocks = [&first, &second].map(|openssl| openssl.malloc(100));
    let more = second.malloc(11);
    let snapshot = read();
    assert_eq!((of(&snapshot, &first).inuse_bytes, of(&snapshot, &second).inuse_bytes), (100, 111));
    // Who frees a block does not matter: it is taken off where it was allocated.
    first.free(more);
    first.free(blocks[0]);
    second.free(blocks[1]);
    assert_eq!(read().totals().inuse_bytes, 0);

    // Each has allocated with what is its own below the hooks: it takes no functions any more.
    assert!(!first.number.set_below(OWN));
    assert_eq!(first.number.below().pointers(), DEFAULT.pointers());
    assert_eq!(calls(), (0, 0, 0));

    // One that has not allocated takes them, and goes on taking others.
    let third = Openssl::new();
    assert!(third.number.set_below(OWN));
    assert_eq!(third.number.below().pointers(), OWN.pointers());
    let block = third.realloc(third.malloc(1_000), 2_000);
    assert_eq!(calls(), (1, 1, 0));
    assert_eq!(of(&read(), &third).inuse_bytes, 2_000);
    assert!(third.number.set_below(MemoryFunctions { malloc: None, ..OWN }));
    // A realloc to nothing that the program's function answers with NULL was a free.
    assert!(third.realloc(block, 0).is_null());
    third.free(null_mut());
    assert_eq!(calls(), (1, 2, 1), "they get every call as it comes");
    assert_eq!(of(&read(), &third).inuse_bytes, 0);

    // Given back what it had at first, it allocates from the heap again, and then takes no more.
    assert!(third.number.set_below(DEFAULT));
    assert_eq!(third.number.below().pointers(), DEFAULT.pointers());
    third.free(third.malloc(5));
    assert!(third.malloc(0).is_null());
    assert!(third.realloc(third.malloc(6), 0).is_null());
    assert!(!third.number.set_below(OWN));
    assert_eq!(calls(), (1, 2, 1));

    let snapshot = read();
    assert_eq!(snapshot.totals().inuse_bytes, 0);
    openssl::assert_nothing_lost(&snapshot.statistics);

    // A child that is forked goes on refusing what its parent would refuse.
    // SAFETY: the child only asks and ends.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let taken = first.number.set_below(OWN);
        // SAFETY: ends the child without running the parent's handlers.
        unsafe { libc::_exit(i32::from(taken)) };
    }
    let mut status = -1;
    // SAFETY: a child of ours and a place for its status.
    unsafe { libc::waitpid(child, &raw mut status, 0) };
    assert_eq!(status, 0);

    // There is a limit, and room again for what was given back.
    let mut others = Vec::new();
    while let Ok(number) = recorder::add_openssl(None, DEFAULT) {
        others.push(number);
    }
    assert_eq!(3 + others.len(), recorder::MOST_OPENSSLS);
    others.pop().expect("five").give_back();
    assert!(recorder::add_openssl(None, DEFAULT).is_ok());
}
