//! The file of a loaded object, mapped for reading: of a program of a hundred megabytes only what
//! is looked at is touched, and nothing of it stays.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::ptr::NonNull;

use crate::object;

/// A mapped file.
pub(crate) struct MappedFile {
    address: NonNull<u8>,
    bytes: usize,
}

impl MappedFile {
    /// `None` when it cannot be read, or is empty.
    pub(crate) fn open(path: &Path) -> Option<MappedFile> {
        let file = File::open(path).ok().or_else(|| {
            // Without `/proc`. Another name is relative to a folder that the process may have left;
            // who takes something from the file holds it against what is in memory.
            let named = object::started().filter(|named| named.is_absolute());
            named.filter(|_| path == Path::new(object::PROGRAM)).and_then(|it| File::open(it).ok())
        })?;
        let metadata = file.metadata().ok().filter(std::fs::Metadata::is_file)?;
        let bytes = usize::try_from(metadata.len()).ok().filter(|bytes| *bytes > 0)?;
        // SAFETY: a new private mapping at an address of the kernel's choice.
        let address = unsafe {
            let (access, flags) = (libc::PROT_READ, libc::MAP_PRIVATE);
            libc::mmap(std::ptr::null_mut(), bytes, access, flags, file.as_raw_fd(), 0)
        };
        if address == libc::MAP_FAILED {
            return None;
        }
        Some(MappedFile { address: NonNull::new(address.cast())?, bytes })
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        // SAFETY: mapped with this length until `drop`. That nobody cuts a program's file while
        // it runs is the same trust that the loader has.
        unsafe { std::slice::from_raw_parts(self.address.as_ptr(), self.bytes) }
    }
}

impl Drop for MappedFile {
    fn drop(&mut self) {
        // SAFETY: mapped by `open` with this length, and not used any more.
        unsafe { libc::munmap(self.address.as_ptr().cast(), self.bytes) };
    }
}
