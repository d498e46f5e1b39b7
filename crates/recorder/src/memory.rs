//! Memory for the recorder's own tables: anonymous mappings, outside every allocator.

use std::ptr::NonNull;

/// Maps `bytes` of zeroed memory that is committed page by page as it is touched. `None` when the
/// kernel refuses. The mapping is for good; tables that lose a race are given back with
/// [`unmap`].
pub(crate) fn map(bytes: usize) -> Option<NonNull<u8>> {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    let access = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: a new anonymous mapping at an address of the kernel's choice.
    let address = unsafe { libc::mmap(std::ptr::null_mut(), bytes, access, flags, -1, 0) };
    if address == libc::MAP_FAILED { None } else { NonNull::new(address.cast()) }
}

/// Gives back what [`map`] returned.
///
/// # Safety
///
/// `address` and `bytes` are those of one call of [`map`], and nothing uses the memory any more.
pub(crate) unsafe fn unmap(address: NonNull<u8>, bytes: usize) {
    // SAFETY: the caller's promise.
    unsafe { libc::munmap(address.as_ptr().cast(), bytes) };
}
