//! jemalloc with a table of its own of what it gave and has not got back. The recorder sits above
//! it and is checked against it, so nothing here is the recorder's.

use std::collections::HashMap;
use std::ffi::c_void;
use std::sync::{LazyLock, Mutex, MutexGuard};

use recorder::Heap;

/// What the heap has given and not got back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Figures {
    pub blocks: u64,
    pub bytes: u64,
    /// Calls up to now: two equal readings mean that nothing happened between them.
    pub calls: u64,
}

/// A heap that passes everything on to jemalloc and counts.
pub fn heap() -> Heap {
    Heap { malloc, realloc, free }
}

pub fn figures() -> Figures {
    let table = table();
    Figures { blocks: table.sizes.len() as u64, bytes: table.bytes, calls: table.calls }
}

#[derive(Default)]
struct Table {
    /// Requested size by address.
    sizes: HashMap<usize, usize>,
    bytes: u64,
    calls: u64,
}

impl Table {
    fn enter(&mut self, block: *mut c_void, size: usize) {
        self.calls += 1;
        if !block.is_null() {
            self.bytes += size as u64;
            assert_eq!(self.sizes.insert(block as usize, size), None, "a block given twice");
        }
    }

    fn take_out(&mut self, block: *mut c_void) -> usize {
        self.calls += 1;
        let size = self.sizes.remove(&(block as usize)).expect("a block of this heap, freed once");
        self.bytes -= size as u64;
        size
    }
}

static TABLE: LazyLock<Mutex<Table>> = LazyLock::new(Mutex::default);

fn table() -> MutexGuard<'static, Table> {
    TABLE.lock().expect("a panic below the recorder ends the process")
}

// A block is entered after it is given and taken out before it is given back: an address has one
// owner at a time. A panic does not leave these functions: it aborts, and the test sees that.

unsafe extern "C" fn malloc(size: usize) -> *mut c_void {
    assert_ne!(size, 0, "the recorder asked for nothing");
    // SAFETY: a size above zero.
    let block = unsafe { (echo_server::openssl_heap().malloc)(size) };
    table().enter(block, size);
    block
}

unsafe extern "C" fn realloc(block: *mut c_void, size: usize) -> *mut c_void {
    assert_ne!(size, 0, "the recorder asked for nothing");
    let old_size = table().take_out(block);
    // SAFETY: a block of jemalloc's and a size above zero.
    let moved = unsafe { (echo_server::openssl_heap().realloc)(block, size) };
    if moved.is_null() {
        table().enter(block, old_size);
    } else {
        table().enter(moved, size);
    }
    moved
}

unsafe extern "C" fn free(block: *mut c_void) {
    table().take_out(block);
    // SAFETY: a block of jemalloc's.
    unsafe { (echo_server::openssl_heap().free)(block) };
}
