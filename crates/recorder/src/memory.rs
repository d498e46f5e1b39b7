//! Memory for the recorder's own tables: anonymous mappings, outside every allocator.

use std::ptr::NonNull;
use std::sync::atomic::{AtomicUsize, Ordering};

use ledger_writer::Permit;

/// A table of the recorder's, for the ledger to list.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Table {
    pub start: usize,
    pub bytes: usize,
}

/// Has the processor fetch the cache line at `place`, which is soon needed.
#[inline]
pub(crate) fn prefetch<T>(place: *const T) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a hint; an address that is not mapped has no effect.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(place.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = place;
}

/// Room before and behind a table that nobody may touch. It keeps the kernel from joining a table
/// with a neighbour's memory, so that /proc/PID/smaps has each table on its own and the tool can
/// tell the recorder's resident pages from the program's.
const GUARD: usize = PAGE;

/// The bytes of a page, or of a part of one where pages are larger.
pub(crate) const PAGE: usize = 4096;

/// Maps `bytes` of zeroed memory that is committed page by page as it is touched. `None` when the
/// kernel refuses. The mapping is for good; tables that lose a race are given back with
/// [`unmap`].
pub(crate) fn map(bytes: usize) -> Option<NonNull<u8>> {
    let table = reserve(whole(bytes))?;
    if make_usable(table, whole(bytes) - 2 * GUARD) {
        return Some(table);
    }
    // SAFETY: reserved above and not used.
    unsafe { unmap(table, bytes) };
    None
}

/// Reserves addresses, `whole` bytes of them, and returns where the table begins in them.
fn reserve(whole: usize) -> Option<NonNull<u8>> {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    // SAFETY: a new anonymous mapping at an address of the kernel's choice.
    let address = unsafe { libc::mmap(std::ptr::null_mut(), whole, libc::PROT_NONE, flags, -1, 0) };
    if address == libc::MAP_FAILED {
        return None;
    }
    NonNull::new(address.wrapping_byte_add(GUARD).cast())
}

/// Makes memory of a part of what was reserved.
fn make_usable(table: NonNull<u8>, length: usize) -> bool {
    let table = table.as_ptr().cast::<libc::c_void>();
    let access = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: a part of a mapping of ours that nobody uses yet, or that is memory already.
    if unsafe { libc::mprotect(table, length, access) } != 0 {
        return false;
    }
    // Where the kernel knows names of anonymous memory (Linux 5.17, if it is built so), a reader of
    // smaps sees whose it is. Elsewhere nothing is lost: the ledger lists the tables.
    if let Some(_permit) = Permit::ask() {
        let name = c"tlsheap tables".as_ptr();
        // SAFETY: names a part of the mapping just made; the name is a C string.
        unsafe { libc::prctl(libc::PR_SET_VMA, libc::PR_SET_VMA_ANON_NAME, table, length, name) };
    }
    true
}

/// Gives back what [`map`] returned.
///
/// # Safety
///
/// `address` and `bytes` are those of one call of [`map`], and nothing uses the memory any more.
pub(crate) unsafe fn unmap(address: NonNull<u8>, bytes: usize) {
    // SAFETY: the caller's promise; `map` put a guard before the address and one behind the table.
    unsafe { libc::munmap(address.as_ptr().wrapping_sub(GUARD).cast(), whole(bytes)) };
}

impl Table {
    /// Gives back a table that [`map`] returned.
    ///
    /// # Safety
    ///
    /// It is one, and nothing uses the memory any more.
    pub(crate) unsafe fn unmap(self) {
        if let Some(start) = NonNull::new(self.start as *mut u8) {
            // SAFETY: the caller's promise.
            unsafe { unmap(start, self.bytes) };
        }
    }
}

/// A table that grows in place: addresses are reserved for the whole of it, and become memory from
/// the start on. What is not memory yet counts for nothing, not even where the kernel promises no
/// more memory than there is.
pub(crate) struct Growing {
    start: NonNull<u8>,
    /// How long it may become.
    bytes: usize,
    /// Becomes memory at once.
    step: usize,
    /// Is memory.
    ready: AtomicUsize,
}

impl Growing {
    /// A table of at most `bytes`, of which the first `step` are memory: whole pages. `None` when
    /// the kernel refuses.
    pub(crate) fn new(bytes: usize, step: usize) -> Option<Growing> {
        debug_assert!(step.is_multiple_of(GUARD));
        let whole = whole(bytes);
        let start = reserve(whole)?;
        let bytes = whole - 2 * GUARD;
        let growing = Growing { start, bytes, step, ready: AtomicUsize::new(0) };
        if growing.reach(1, &|_| {}) {
            return Some(growing);
        }
        // SAFETY: reserved above and not used.
        unsafe { growing.give_back() };
        None
    }

    /// Gives all of it back.
    ///
    /// # Safety
    ///
    /// Nothing uses the memory any more.
    pub(crate) unsafe fn give_back(self) {
        // SAFETY: the caller's promise.
        unsafe { self.unmap() };
    }

    /// Gives all of it back.
    ///
    /// # Safety
    ///
    /// Nothing uses the memory, or this value, any more.
    pub(crate) unsafe fn unmap(&self) {
        // SAFETY: the caller's promise; `new` has reserved so much.
        unsafe { unmap(self.start, self.bytes) };
    }

    /// Where it begins.
    #[inline(always)]
    pub(crate) fn start(&self) -> NonNull<u8> {
        self.start
    }

    /// What is memory so far.
    pub(crate) fn table(&self) -> Table {
        Table { start: self.start.as_ptr() as usize, bytes: self.ready.load(Ordering::Acquire) }
    }

    /// Makes memory of all that lies before `end`. `false` when the kernel refuses, or it is beyond
    /// the table. `grown` is told of what has become memory.
    #[inline]
    pub(crate) fn reach(&self, end: usize, grown: &impl Fn(Table)) -> bool {
        let ready = self.ready.load(Ordering::Acquire);
        end <= ready || self.grow(ready, end, grown)
    }

    #[cold]
    fn grow(&self, ready: usize, end: usize, grown: &impl Fn(Table)) -> bool {
        let to = end.next_multiple_of(self.step).min(self.bytes);
        // SAFETY: within what was reserved.
        let from = unsafe { self.start.add(ready) };
        if end > self.bytes || !make_usable(from, to - ready) {
            return false;
        }
        // Of threads that are here at once the others have made the same usable.
        if self.ready.fetch_max(to, Ordering::AcqRel) == ready {
            grown(Table { start: from.as_ptr() as usize, bytes: to - ready });
        }
        true
    }
}

/// Bytes mapped for a table and its guards.
fn whole(bytes: usize) -> usize {
    bytes.next_multiple_of(GUARD) + 2 * GUARD
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_a_mapping_of_its_own() {
        let bytes = 3 * GUARD + 1;
        let table = map(bytes).expect("a few pages").as_ptr() as usize;
        let maps = std::fs::read_to_string("/proc/self/maps").expect("a mounted /proc");
        let expected = format!("{table:x}-{:x} rw-p", table + 4 * GUARD);
        assert!(maps.lines().any(|line| line.starts_with(&expected)), "{expected} not in\n{maps}");
    }
}
