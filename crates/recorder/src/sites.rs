//! From file, line and stack to the number of a site.
//!
//! A match is always confirmed word by word: a hash collision cannot merge two sites.

use std::ffi::c_char;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use contract::Source;
use ledger_writer::{Ledger, SiteId, SiteKey};

use crate::index::{Index, Wanted};
use crate::memory::{self, Table};
use crate::trace::Stack;

/// What tells one site from another.
#[derive(Clone, Copy)]
pub(crate) struct Key<'a> {
    /// The code that asked.
    pub source: Source,
    /// OpenSSL's file name, a literal in its code or data; may be NULL.
    pub file: *const c_char,
    pub line: u32,
    /// The size of each block where a part of them is counted; otherwise 0.
    pub block_bytes: u64,
    pub stack: Stack<'a>,
}

impl<'a> Key<'a> {
    fn in_ledger(self) -> SiteKey<'a> {
        let Key { source, file, line, block_bytes, stack } = self;
        SiteKey { source, file_pointer: file as usize, line, block_bytes, frames: stack.frames() }
    }
}

/// The sites known so far.
pub(crate) struct Sites {
    index: Index,
    files: Files,
}

impl Sites {
    /// None so far. `None` when the kernel refuses memory.
    pub(crate) fn new() -> Option<Sites> {
        Some(Sites { index: Index::new()?, files: Files::new()? })
    }

    /// The index, and the table of file names.
    pub(crate) fn tables(&self) -> impl Iterator<Item = Table> + '_ {
        let files = Table { start: self.files.0.as_ptr() as usize, bytes: Files::BYTES };
        self.index.tables().chain([files])
    }

    /// Gives the tables back.
    ///
    /// # Safety
    ///
    /// Nobody uses them any more.
    pub(crate) unsafe fn unmap(&self) {
        // SAFETY: the caller's promise.
        self.tables().for_each(|table| unsafe { table.unmap() });
    }

    /// The number of the site, which is made when it is new. [`SiteId::DROPPED`] when there is no
    /// room.
    pub(crate) fn find(&self, ledger: &Ledger, key: Key) -> SiteId {
        let is = |number| ledger.site_is(SiteId::from_number(number), key.in_ledger());
        let grown = |table: Table| ledger.add_table(table.start, table.bytes);
        let make = || self.create(ledger, key).map(SiteId::number);
        let found = self.index.find(&Wanted { hash: hash(&key), is, grown }, make);
        found.map_or(SiteId::DROPPED, SiteId::from_number)
    }

    #[cold]
    fn create(&self, ledger: &Ledger, key: Key) -> Option<SiteId> {
        let file = match NonNull::new(key.file.cast_mut()) {
            None => None,
            Some(name) => Some(self.files.place(ledger, name)?),
        };
        ledger.add_site(key.in_ledger(), file, key.stack.end())
    }
}

/// Mixes source, file, line, size and every return address.
fn hash(key: &Key) -> u64 {
    const K: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut hash = (key.file as u64
        ^ u64::from(key.line).rotate_left(40)
        ^ u64::from(key.source.number()).rotate_left(32)
        ^ key.block_bytes.rotate_left(16))
    .wrapping_mul(K);
    for frame in key.stack.frames() {
        hash = (hash.rotate_left(23) ^ *frame as u64).wrapping_mul(K);
    }
    hash ^ hash >> 29
}

/// File names already in the ledger, by OpenSSL's pointer to them.
struct Files(NonNull<File>);

#[repr(C)]
struct File {
    /// 0 is free.
    pointer: AtomicUsize,
    /// The name's place in the ledger; 0 while it is being written.
    place: AtomicU32,
}

impl Files {
    /// OpenSSL has about 520 files that allocate; a second OpenSSL doubles that.
    const ENTRIES: usize = 4096;
    const BYTES: usize = Files::ENTRIES * size_of::<File>();
    /// A longer name is no literal of OpenSSL's; it is cut.
    const LONGEST: usize = 1024;

    fn new() -> Option<Files> {
        memory::map(Files::BYTES).map(|memory| Files(memory.cast()))
    }

    /// The name's place in the ledger, or `None` when there is no room. Two threads that bring a
    /// new name at once may both store it; readers compare contents.
    fn place(&self, ledger: &Ledger, name: NonNull<c_char>) -> Option<u32> {
        let pointer = name.as_ptr() as usize;
        let start = pointer.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
        let probe = |i: usize| {
            // SAFETY: masked to the table's length, which is mapped for good; zeroed memory is a
            // valid, free entry.
            unsafe { self.0.add((start + i) % Files::ENTRIES).as_ref() }
        };
        let known = (0..Files::ENTRIES)
            .map(probe)
            .take_while(|file| file.pointer.load(Ordering::Acquire) != 0)
            .find(|file| file.pointer.load(Ordering::Relaxed) == pointer)
            .map_or(0, |file| file.place.load(Ordering::Acquire));
        if known != 0 {
            return Some(known);
        }
        // SAFETY: OpenSSL's contract with its memory functions: `file` is a C string, valid
        // during the call.
        let text = unsafe {
            let length = libc::strnlen(name.as_ptr(), Files::LONGEST);
            std::slice::from_raw_parts(name.as_ptr().cast(), length)
        };
        let place = ledger.add_file(text)?;
        let free = (0..Files::ENTRIES).map(probe).find(|file| {
            file.pointer.compare_exchange(0, pointer, Ordering::AcqRel, Ordering::Relaxed).is_ok()
        });
        if let Some(file) = free {
            file.place.store(place, Ordering::Release);
        }
        Some(place)
    }
}
