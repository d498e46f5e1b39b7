//! Memory for the recorder's own tables: anonymous mappings, outside every allocator.

use std::ptr::NonNull;

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
const GUARD: usize = 4096;

/// Maps `bytes` of zeroed memory that is committed page by page as it is touched. `None` when the
/// kernel refuses. The mapping is for good; tables that lose a race are given back with
/// [`unmap`].
pub(crate) fn map(bytes: usize) -> Option<NonNull<u8>> {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    let whole = whole(bytes);
    // SAFETY: a new anonymous mapping at an address of the kernel's choice.
    let address = unsafe { libc::mmap(std::ptr::null_mut(), whole, libc::PROT_NONE, flags, -1, 0) };
    if address == libc::MAP_FAILED {
        return None;
    }
    let (table, length) = (address.wrapping_byte_add(GUARD), whole - 2 * GUARD);
    let access = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: a part of the mapping just made, which nobody else knows.
    if unsafe { libc::mprotect(table, length, access) } != 0 {
        // SAFETY: as above; it is not used any more.
        unsafe { libc::munmap(address, whole) };
        return None;
    }
    // Where the kernel knows names of anonymous memory (Linux 5.17, if it is built so), a reader of
    // smaps sees whose it is. Elsewhere nothing is lost: the ledger lists the tables.
    if let Some(_permit) = Permit::ask() {
        let name = c"tlsheap tables".as_ptr();
        // SAFETY: names a part of the mapping just made; the name is a C string.
        unsafe { libc::prctl(libc::PR_SET_VMA, libc::PR_SET_VMA_ANON_NAME, table, length, name) };
    }
    NonNull::new(table.cast())
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
