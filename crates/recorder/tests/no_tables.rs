//! Stacks that lead through code without unwind tables, as V8 and other compilers make it while a
//! program runs.

#![cfg(target_arch = "x86_64")]

mod openssl;

use std::ffi::c_void;
use std::hint::black_box;
use std::ops::Range;
use std::ptr::null_mut;

use ledger::Site;
use openssl::{free, malloc_at, read};
use recorder::{Heap, MemoryFunctions, Options, StackSource};

/// `push rbp; mov rbp, rsp; call rdi; pop rbp; ret`: it keeps a frame pointer.
const WITH_FRAME_POINTER: &[u8] = &[0x55, 0x48, 0x89, 0xe5, 0xff, 0xd7, 0x5d, 0xc3];
/// A caller that has a number in rbp: `push rbp; xor ebp, ebp; call rdi; pop rbp; ret`.
const WITH_A_NUMBER: &[u8] = &[0x55, 0x31, 0xed, 0xff, 0xd7, 0x5d, 0xc3];
/// With rbp for a place on the stack that is no frame: `push rbp; lea rbp, [rsp-256]; …`.
const WITH_A_PLACE_FURTHER_IN: &[u8] =
    &[0x55, 0x48, 0x8d, 0xac, 0x24, 0x00, 0xff, 0xff, 0xff, 0xff, 0xd7, 0x5d, 0xc3];
/// With rbp for a place that is not aligned: `push rbp; lea rbp, [rsp+3]; …`.
const WITH_AN_ODD_PLACE: &[u8] = &[0x55, 0x48, 0x8d, 0x6c, 0x24, 0x03, 0xff, 0xd7, 0x5d, 0xc3];

/// Code in memory that belongs to no file.
struct Code {
    start: *mut c_void,
}

const PAGE: usize = 4096;

impl Code {
    fn of(bytes: &[u8]) -> Code {
        // SAFETY: a new mapping of the test's own, written within its bounds, and made code after
        // that.
        let start = unsafe {
            let start = libc::mmap(
                null_mut(),
                PAGE,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                -1,
                0,
            );
            assert_ne!(start, libc::MAP_FAILED);
            start.cast::<u8>().copy_from_nonoverlapping(bytes.as_ptr(), bytes.len());
            assert_eq!(libc::mprotect(start, PAGE, libc::PROT_READ | libc::PROT_EXEC), 0);
            start
        };
        Code { start }
    }

    fn addresses(&self) -> Range<u64> {
        self.start as u64..self.start as u64 + PAGE as u64
    }

    /// Calls `function` through the code.
    #[inline(never)]
    fn call(&self, function: extern "C" fn()) {
        // SAFETY: each of the codes above is a function with this type, which keeps the registers
        // that it has to.
        let code = unsafe {
            std::mem::transmute::<*mut c_void, extern "C" fn(extern "C" fn())>(self.start)
        };
        code(black_box(function));
        black_box(());
    }
}

impl Drop for Code {
    fn drop(&mut self) {
        // SAFETY: the mapping that `of` made, in which nobody runs any more.
        unsafe { libc::munmap(self.start, PAGE) };
    }
}

extern "C" fn allocate<const LINE: i32>() {
    free(black_box(malloc_at(c"jit.c", LINE, 16)));
}

#[test]
fn a_stack_goes_on_behind_code_with_frame_pointers_and_ends_marked_at_other_code() {
    if StackSource::best() != StackSource::UnwindTables {
        assert!(std::env::var_os("CI").is_none(), "missing: unwind tables");
        println!("skipped: unwind tables (a C library since 2.35)");
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let options = Options::in_folder(folder.path(), StackSource::UnwindTables);
    // SAFETY: the heap is libc's; the functions are a stand-in's, which keeps OpenSSL's contract.
    unsafe {
        recorder::install(options, Heap::libc(), None).expect("first in this process");
        let added = recorder::add_openssl(Some(openssl::get), MemoryFunctions::default());
        added.expect("the first").put_into(openssl::set).expect("it has not allocated");
    }
    let site = |line: u32| -> Site {
        let mut files = std::fs::read_dir(folder.path()).expect("the folder");
        let ledger = files.next().expect("a ledger").expect("an entry").path();
        let sites = read(&ledger).sites;
        sites.into_iter().find(|site| site.line == line).expect("it has allocated")
    };

    let direct = {
        allocate::<1>();
        site(1)
    };
    let framed = Code::of(WITH_FRAME_POINTER);
    // Twice, since what was learnt the first time is used the second time.
    for _ in 0..black_box(2) {
        framed.call(allocate::<2>);
    }
    let through = site(2);
    assert!(!direct.truncated && !through.truncated);
    assert_eq!(through.counts.alloc_blocks, 2);
    assert!(through.stack.iter().any(|address| framed.addresses().contains(address)));
    assert_eq!(through.stack.last(), direct.stack.last());

    let nested = Code::of(WITH_FRAME_POINTER);
    thread_local!(static INNER: std::cell::Cell<usize> = const { std::cell::Cell::new(0) });
    INNER.set(&raw const framed as usize);
    extern "C" fn again() {
        // SAFETY: the code lives until the end of the test, on this thread.
        unsafe { &*(INNER.get() as *const Code) }.call(allocate::<3>);
    }
    nested.call(again);
    let through = site(3);
    assert!(!through.truncated);
    for code in [&framed, &nested] {
        assert!(through.stack.iter().any(|address| code.addresses().contains(address)));
    }

    for (bytes, line, call) in [
        (WITH_A_NUMBER, 4, allocate::<4> as extern "C" fn()),
        (WITH_A_PLACE_FURTHER_IN, 5, allocate::<5>),
        (WITH_AN_ODD_PLACE, 6, allocate::<6>),
    ] {
        let code = Code::of(bytes);
        code.call(call);
        let cut = site(line);
        assert!(cut.truncated, "{cut:#x?}");
        let last = cut.stack.last().expect("the code at least");
        assert!(code.addresses().contains(last), "{cut:#x?}");
    }
}
