//! From file, line and stack to the number of a site.
//!
//! An open-addressing index over the ledger's sites. Entries are only ever added, each with one
//! compare-and-swap, so that looking up needs no lock. A match is always confirmed word by word:
//! a hash collision cannot merge two sites.

use std::ffi::c_char;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};

use contract::Source;
use ledger_writer::{Ledger, SiteId, SiteKey};

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
    /// Hash in the upper 40 bits, number in the lower 24; 0 is free.
    index: NonNull<AtomicU64>,
    mask: usize,
    files: Files,
}

const NUMBER_BITS: u32 = 24;

impl Sites {
    /// An index for `capacity` sites, at most half full.
    pub(crate) fn with_capacity(capacity: u32) -> Option<Sites> {
        let entries = (capacity as usize * 2).next_power_of_two();
        let index = memory::map(entries * size_of::<AtomicU64>())?.cast();
        Some(Sites { index, mask: entries - 1, files: Files::new()? })
    }

    /// The index, and the table of file names.
    pub(crate) fn tables(&self) -> [Table; 2] {
        let index = (self.mask + 1) * size_of::<AtomicU64>();
        [
            Table { start: self.index.as_ptr() as usize, bytes: index },
            Table { start: self.files.0.as_ptr() as usize, bytes: Files::BYTES },
        ]
    }

    /// The number of the site, which is made when it is new. [`SiteId::DROPPED`] when there is no
    /// room.
    pub(crate) fn find(&self, ledger: &Ledger, key: Key) -> SiteId {
        let hash = hash(&key);
        let tag = hash >> NUMBER_BITS << NUMBER_BITS;
        let mut created = None;
        let mut at = (hash >> 7) as usize;
        // At most half of the index is ever full.
        for _ in 0..=self.mask {
            at &= self.mask;
            let entry = self.entry(at);
            let mut found = entry.load(Ordering::Acquire);
            if found == 0 {
                let site = match created {
                    Some(site) => site,
                    None => match self.create(ledger, key) {
                        Some(site) => *created.insert(site),
                        None => return SiteId::DROPPED,
                    },
                };
                let new = tag | u64::from(site.number());
                match entry.compare_exchange(0, new, Ordering::AcqRel, Ordering::Acquire) {
                    Ok(_) => return site,
                    // Another thread took the place, perhaps for this very site; then the record
                    // just made stays empty, and readers leave it out.
                    Err(other) => found = other,
                }
            }
            if found >> NUMBER_BITS << NUMBER_BITS == tag {
                let site = SiteId::from_number((found & ((1 << NUMBER_BITS) - 1)) as u32);
                if ledger.site_is(site, key.in_ledger()) {
                    return site;
                }
            }
            at += 1;
        }
        SiteId::DROPPED
    }

    #[cold]
    fn create(&self, ledger: &Ledger, key: Key) -> Option<SiteId> {
        let file = match NonNull::new(key.file.cast_mut()) {
            None => None,
            Some(name) => Some(self.files.place(ledger, name)?),
        };
        ledger.add_site(key.in_ledger(), file, key.stack.end())
    }

    fn entry(&self, at: usize) -> &AtomicU64 {
        // SAFETY: `at` is masked to the index's length; the mapping is never taken down, and
        // zeroed memory is a valid AtomicU64.
        unsafe { self.index.add(at).as_ref() }
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
