//! A new file, mapped into the process that writes it.

#[cfg(not(miri))]
use std::ffi::CString;
use std::io;
use std::os::fd::BorrowedFd;
#[cfg(not(miri))]
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
#[cfg(not(miri))]
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr::NonNull;

use ledger::layout::PAGE;

use crate::permit::Permit;

/// A ledger cannot be created. All cases are the environment's.
#[derive(Debug, thiserror::Error)]
#[error("{path}: cannot create the ledger: {step}: {source}")]
pub struct CreateError {
    path: String,
    step: &'static str,
    source: io::Error,
}

impl CreateError {
    fn of_last_call(path: &Path, step: &'static str) -> CreateError {
        let source = io::Error::last_os_error();
        CreateError { path: path.display().to_string(), step, source }
    }

    /// The error of a file that would go beyond [`largest_file`].
    pub(crate) fn too_large(path: &Path) -> CreateError {
        CreateError {
            path: path.display().to_string(),
            step: "the process may not write files as large as that (RLIMIT_FSIZE)",
            source: io::Error::from_raw_os_error(libc::EFBIG),
        }
    }
}

/// How large the files may be that the process writes, in bytes. Who goes beyond that is ended by
/// SIGXFSZ.
pub fn largest_file() -> u64 {
    // SAFETY: a place for the two limits.
    limit(|place| unsafe { libc::getrlimit(libc::RLIMIT_FSIZE, place) })
}

/// Whether the process may have only so many addresses: each that is taken is missing elsewhere
/// then, used or not.
pub fn addresses_are_limited() -> bool {
    // SAFETY: a place for the two limits.
    limit(|place| unsafe { libc::getrlimit(libc::RLIMIT_AS, place) }) != u64::MAX
}

/// A limit of the process's, of which there are two; the highest number where there is none.
fn limit(ask: impl FnOnce(*mut libc::rlimit) -> libc::c_int) -> u64 {
    if cfg!(miri) {
        return u64::MAX;
    }
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    let known = ask(&raw mut limit) == 0;
    if known { limit.rlim_cur } else { u64::MAX }
}

/// The file's bytes in memory. The mapping is not taken down by itself: hooks may run until the very
/// end of the process.
#[derive(Debug)]
pub(crate) struct Mapping {
    base: NonNull<u8>,
    bytes: u64,
}

impl Mapping {
    /// Creates the file, which must not exist, with this length, maps it, and reserves its first
    /// page.
    pub fn create(path: &Path, bytes: u64) -> Result<Mapping, CreateError> {
        let mapping = Mapping { base: map(path, bytes)?, bytes };
        mapping.reserved(path).inspect_err(|_| drop(std::fs::remove_file(path)))
    }

    /// Maps the empty file that this descriptor is of, with this length, and reserves its first
    /// page. `path` is what errors call it.
    pub fn of(file: BorrowedFd, path: &Path, bytes: u64) -> Result<Mapping, CreateError> {
        let mapping = Mapping { base: map_file(file, path, bytes)?, bytes };
        mapping.reserved(path)
    }

    fn reserved(self, path: &Path) -> Result<Mapping, CreateError> {
        if self.populate(0, PAGE) {
            return Ok(self);
        }
        let mut error = CreateError::of_last_call(path, "reserve its first page");
        // What the kernel says of a page for which the filesystem has no room.
        if error.source.raw_os_error() == Some(libc::EFAULT) {
            error.source = io::Error::from_raw_os_error(libc::ENOSPC);
        }
        Err(error)
    }

    /// Puts memory of the process's own in the place of the file's: zeros, of which nothing is
    /// resident until it is touched. Whoever still writes there harms nobody. `false` when the
    /// kernel refuses, and the file stays.
    pub fn let_go(&self) -> bool {
        if cfg!(miri) {
            return true;
        }
        let access = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE | libc::MAP_FIXED;
        let (base, length) = (self.base.as_ptr().cast(), self.bytes as usize);
        // SAFETY: exactly our own mapping, all of whose content is atomics and bytes of which any
        // are valid; it stays mapped and writable throughout.
        unsafe { libc::mmap(base, length, access, flags, -1, 0) != libc::MAP_FAILED }
    }

    /// Takes the mapping down.
    ///
    /// # Safety
    ///
    /// Nobody uses it any more.
    pub unsafe fn unmap(&self) {
        if !cfg!(miri) {
            // SAFETY: our own mapping, and the caller's promise.
            unsafe { libc::munmap(self.base.as_ptr().cast(), self.bytes as usize) };
        }
    }

    /// The address of `offset`, which lies in the mapping. What is there is the caller's word.
    #[inline]
    #[allow(clippy::cast_ptr_alignment)] // asserted
    pub fn place<T>(&self, offset: u64) -> *mut T {
        debug_assert!(offset <= self.bytes);
        let place = self.base.as_ptr().wrapping_add(offset as usize).cast::<T>();
        debug_assert!(place.is_aligned());
        place
    }

    /// Reserves the file's blocks for [offset, offset + length) and maps them, so that touching
    /// them cannot fail.
    pub fn populate(&self, offset: u64, length: u64) -> bool {
        if cfg!(miri) {
            return true;
        }
        let Some(_permit) = Permit::ask() else { return false };
        let length = length.min(self.bytes - offset) as usize;
        // SAFETY: the range lies in our mapping and starts at a page; populating changes no
        // content. Where it fails (no space) the caller does not touch the range.
        let result =
            unsafe { libc::madvise(self.place(offset), length, libc::MADV_POPULATE_WRITE) };
        // Linux before 5.14 does not know the advice and says EINVAL. There a full disk is met
        // only when the page is touched, as by any program that maps files.
        result == 0 || io::Error::last_os_error().raw_os_error() == Some(libc::EINVAL)
    }
}

/// Creates the file and maps it.
#[cfg(not(miri))]
fn map(path: &Path, bytes: u64) -> Result<NonNull<u8>, CreateError> {
    let name = CString::new(path.as_os_str().as_bytes()).map_err(|e| CreateError {
        path: path.display().to_string(),
        step: "its name holds a zero byte",
        source: e.into(),
    })?;
    let flags = libc::O_RDWR | libc::O_CREAT | libc::O_EXCL | libc::O_CLOEXEC;
    // SAFETY: `name` is a C string; mode 0600 because a ledger shows the program's structure.
    let descriptor = unsafe { libc::open(name.as_ptr(), flags, 0o600) };
    if descriptor < 0 {
        return Err(CreateError::of_last_call(path, "open"));
    }
    // SAFETY: just opened, and nobody else's. It is closed at the end: the mapping does not need it.
    let file = unsafe { OwnedFd::from_raw_fd(descriptor) };
    // A file that is no ledger yet must not stay behind.
    map_file(file.as_fd(), path, bytes).inspect_err(|_| drop(std::fs::remove_file(path)))
}

/// Gives an empty file this length and maps it.
#[cfg(not(miri))]
fn map_file(file: BorrowedFd, path: &Path, bytes: u64) -> Result<NonNull<u8>, CreateError> {
    let descriptor = file.as_raw_fd();
    // SAFETY: an open descriptor; a length of at most 2^24 entries a region fits off_t.
    let sized = unsafe { libc::ftruncate(descriptor, bytes as libc::off_t) };
    let mapped = if sized == 0 {
        let access = libc::PROT_READ | libc::PROT_WRITE;
        let nowhere = std::ptr::null_mut();
        // SAFETY: a new shared mapping of a file of this length, at an address of the kernel's
        // choice, touches no memory that exists.
        unsafe { libc::mmap(nowhere, bytes as usize, access, libc::MAP_SHARED, descriptor, 0) }
    } else {
        libc::MAP_FAILED
    };
    if mapped == libc::MAP_FAILED {
        return Err(CreateError::of_last_call(
            path,
            if sized == 0 { "map" } else { "set its size" },
        ));
    }
    // What is touched first has never been written. Without this advice the kernel would read ahead
    // all the same: on each page that is touched, as much as the disk's settings say, megabytes on
    // some, of zeros that it fills in.
    // SAFETY: advice for the mapping just made; it changes no content.
    unsafe { libc::madvise(mapped, bytes as usize, libc::MADV_RANDOM) };
    Ok(NonNull::new(mapped.cast::<u8>()).expect("mmap without MAP_FIXED is not at 0"))
}

/// As the one below.
#[cfg(miri)]
fn map_file(_file: BorrowedFd, path: &Path, bytes: u64) -> Result<NonNull<u8>, CreateError> {
    map(path, bytes)
}

/// Miri maps no files: a ledger is memory there, which is all that the writer asks of it.
#[cfg(miri)]
#[allow(clippy::unnecessary_wraps)] // as the one above
fn map(_path: &Path, bytes: u64) -> Result<NonNull<u8>, CreateError> {
    let layout = std::alloc::Layout::from_size_align(bytes as usize, PAGE as usize)
        .expect("a ledger is no larger than memory");
    // SAFETY: no ledger is empty.
    let memory = unsafe { std::alloc::alloc_zeroed(layout) };
    Ok(NonNull::new(memory).expect("there is memory"))
}
