//! The stack that the recorder reads through frame pointers is the one that an unwinder reads
//! from the unwind tables, at the very same call.

mod openssl;

use std::cell::RefCell;
use std::ffi::c_void;
use std::hint::black_box;
use std::sync::LazyLock;

use ledger::{FRAMES_PER_SITE, Site};
use openssl::{free, malloc_at, read};
use recorder::Heap;

/// The recorder over a heap that unwinds: it is called from within the hook.
static LEDGER: LazyLock<tempfile::TempDir> = LazyLock::new(|| {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let heap = Heap { malloc: unwinding_malloc, ..Heap::libc() };
    let options = openssl::options_at(folder.path().join("ledger"));
    openssl::install_over(&options, heap).expect("first in this process");
    folder
});

thread_local! {
    /// Return addresses at the last call of the heap, innermost first.
    static UNWOUND: RefCell<Vec<u64>> = const { RefCell::new(Vec::new()) };
}

unsafe extern "C" fn unwinding_malloc(size: usize) -> *mut c_void {
    let mut addresses = Vec::new();
    backtrace::trace(|frame| {
        addresses.push(frame.ip() as u64);
        true
    });
    addresses.retain(|address| *address != 0); // beyond the root
    UNWOUND.set(addresses);
    // SAFETY: libc's malloc takes any size.
    unsafe { libc::malloc(size) }
}

/// One allocation, seen in both ways.
struct Seen {
    site: Site,
    /// What the unwinder saw from the caller of the hook on.
    unwound: Vec<u64>,
}

/// Allocates through `path` at `line`, which no other test uses.
fn see(line: u32, path: impl FnOnce() -> *mut c_void) -> Seen {
    LazyLock::force(&LEDGER);
    free(path());
    let snapshot = read(&LEDGER.path().join("ledger"));
    let mut sites = snapshot.sites.into_iter().filter(|site| site.line == line);
    let (Some(site), None) = (sites.next(), sites.next()) else {
        panic!("one call at line {line} is one site")
    };
    let unwound = UNWOUND.take();
    // The unwinder begins in itself; the recorder in the caller of the hook.
    let start = unwound.iter().position(|address| *address == site.stack[0]);
    let start = start.expect("the unwinder passes the caller of the hook");
    Seen { site, unwound: unwound[start..].to_vec() }
}

/// The function that a return address leads back into.
fn function(address: u64) -> String {
    let mut name = None;
    backtrace::resolve((address - 1) as *mut c_void, |symbol| {
        // Inlined functions come first, the one that has the frame comes last.
        name = symbol.name().map(|name| format!("{name:#}"));
    });
    name.unwrap_or_else(|| "unknown".to_owned())
}

fn functions(stack: &[u64]) -> Vec<String> {
    stack.iter().map(|address| function(*address)).collect()
}

#[inline(never)]
fn inner(line: i32) -> *mut c_void {
    black_box(malloc_at(c"stacks.c", line, 16))
}

#[inline(never)]
fn middle(line: i32) -> *mut c_void {
    black_box(inner(line))
}

#[inline(never)]
fn outer(line: i32) -> *mut c_void {
    black_box(middle(line))
}

#[inline(never)]
fn recurse(line: i32, depth: usize) -> *mut c_void {
    let block = if depth == 0 { outer(line) } else { recurse(line, depth - 1) };
    black_box(block)
}

#[test]
fn every_function_on_the_way_is_there_by_name() {
    let seen = see(1, || outer(1));
    let names = functions(&seen.site.stack);
    let ends = ["openssl::malloc_at", "stacks::inner", "stacks::middle", "stacks::outer"];
    for (name, end) in names.iter().zip(ends) {
        assert!(name.ends_with(end), "{end} is not there: {names:#?}");
    }
    assert!(!seen.site.truncated);
}

#[test]
fn it_is_the_unwinders_stack_down_to_the_threads_root() {
    let seen = std::thread::spawn(|| see(2, || outer(2))).join().expect("the thread ends well");
    assert_no_contradiction(&seen);
    let names = functions(&seen.site.stack);
    // The function that std gives the C library to start a thread with, and who calls that.
    let root = names.iter().position(|name| name.ends_with("::thread_start"));
    let root = root.unwrap_or_else(|| panic!("std starts the thread: {names:#?}"));
    assert!(names.len() - root <= 2, "at most one frame of the C library: {names:#?}");
}

#[test]
fn of_a_deep_stack_the_innermost_frames_are_kept() {
    let seen = see(3, || recurse(3, 2 * FRAMES_PER_SITE));
    assert!(seen.site.truncated);
    assert_eq!(seen.site.stack.len(), FRAMES_PER_SITE);
    assert_eq!(seen.site.stack, seen.unwound[..FRAMES_PER_SITE]);
    let names = functions(&seen.site.stack);
    assert!(names[4..].iter().all(|name| name.ends_with("stacks::recurse")), "{names:#?}");
}

#[test]
fn a_deep_stack_counts_as_truncated_and_a_shallow_one_does_not() {
    see(4, || recurse(4, 10));
    let shallow = see(5, || recurse(5, 10));
    assert!(!shallow.site.truncated);
    assert_no_contradiction(&shallow);
    let deep = see(6, || recurse(6, FRAMES_PER_SITE));
    assert!(deep.site.truncated);
    assert_no_contradiction(&deep);
}

/// Both see the same frames from the hook's caller outwards. Only at the very end may they part:
/// the C library's code that starts threads keeps no frame pointers, and an unwinder may follow
/// its tables where the recorder has to stop.
fn assert_no_contradiction(seen: &Seen) {
    let (read, unwound) = (&seen.site.stack, &seen.unwound);
    let common = read.iter().zip(unwound).take_while(|(a, b)| a == b).count();
    assert_eq!(
        common,
        read.len(),
        "the stacks part at frame {common}:\nread {:#?}\nunwound {:#?}",
        functions(read),
        functions(unwound)
    );
    if !seen.site.truncated {
        let rest = functions(&unwound[common..]);
        assert!(rest.len() <= 2, "only the C library's start is lost: {rest:#?}");
    }
}
