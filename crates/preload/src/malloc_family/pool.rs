//! What is given while nobody knows yet whom to ask: some bytes that are never taken back.

use std::cell::UnsafeCell;
use std::ffi::c_void;
use std::ptr::{copy_nonoverlapping, null_mut};
use std::sync::atomic::{AtomicUsize, Ordering};

use recorder::{AtomicFn, MallocFamily};

const BYTES: usize = 16 << 10;
/// What malloc aligns to; and before each block lies its size.
const UNIT: usize = 16;

pub(super) struct Pool {
    /// Aligned as blocks are.
    memory: UnsafeCell<[u128; BYTES / UNIT]>,
    used: AtomicUsize,
}

// SAFETY: each byte is given to one caller, for good.
unsafe impl Sync for Pool {}

pub(super) static POOL: Pool =
    Pool { memory: UnsafeCell::new([0; BYTES / UNIT]), used: AtomicUsize::new(0) };

impl Pool {
    /// A block of zeros, or NULL.
    pub(super) fn take(&self, size: usize) -> *mut c_void {
        let Some(bytes) = size.checked_next_multiple_of(UNIT).filter(|bytes| *bytes < BYTES) else {
            return null_mut();
        };
        let at = self.used.fetch_add(UNIT + bytes, Ordering::Relaxed);
        if at > BYTES - UNIT - bytes {
            return null_mut();
        }
        // SAFETY: from `at` on so many bytes are this caller's alone, and lie within, as was seen.
        unsafe {
            let head = self.memory.get().cast::<u128>().add(at / UNIT);
            head.cast::<usize>().write(size);
            head.add(1).cast()
        }
    }

    /// A block of so many times so many zeros, or NULL.
    pub(super) fn take_all(&self, number: usize, size: usize) -> *mut c_void {
        number.checked_mul(size).map_or(null_mut(), |size| self.take(size))
    }

    /// A block with the content of another, or NULL.
    ///
    /// # Safety
    ///
    /// The other is NULL or one of this pool's.
    pub(super) unsafe fn take_again(&self, block: *mut c_void, size: usize) -> *mut c_void {
        let new = self.take(size);
        if !new.is_null() && !block.is_null() {
            // SAFETY: the caller's promise; so many bytes are in both.
            unsafe { copy_nonoverlapping(block.cast::<u8>(), new.cast(), size.min(size_of(block))) }
        }
        new
    }

    fn holds(&self, block: *mut c_void) -> bool {
        let start = self.memory.get() as usize;
        (start..start + BYTES).contains(&(block as usize))
    }
}

/// # Safety
///
/// A block of the pool's.
unsafe fn size_of(block: *mut c_void) -> usize {
    // SAFETY: `take` has written it a unit before the block.
    unsafe { block.cast::<u128>().sub(1).cast::<usize>().read() }
}

/// The functions below [`free`] and [`realloc`].
static FREE: AtomicFn<unsafe extern "C" fn(*mut c_void)> = AtomicFn::none();
static REALLOC: AtomicFn<unsafe extern "C" fn(*mut c_void, usize) -> *mut c_void> =
    AtomicFn::none();
static MALLOC: AtomicFn<unsafe extern "C" fn(usize) -> *mut c_void> = AtomicFn::none();

/// These functions, in a form that knows the pool's blocks where there are any.
pub(super) fn respected(family: MallocFamily) -> MallocFamily {
    if POOL.used.load(Ordering::Relaxed) == 0 {
        return family;
    }
    FREE.store(Some(family.free), Ordering::Release);
    REALLOC.store(Some(family.realloc), Ordering::Release);
    MALLOC.store(Some(family.malloc), Ordering::Release);
    MallocFamily { free, realloc, ..family }
}

/// # Safety
///
/// As the C library's; the block may be the pool's.
unsafe extern "C" fn free(block: *mut c_void) {
    if let Some(free) = FREE.load(Ordering::Relaxed).filter(|_| !POOL.holds(block)) {
        // SAFETY: the caller's call, passed on.
        unsafe { free(block) };
    }
}

/// # Safety
///
/// As the C library's; the block may be the pool's.
unsafe extern "C" fn realloc(block: *mut c_void, size: usize) -> *mut c_void {
    let (Some(realloc), Some(malloc)) =
        (REALLOC.load(Ordering::Relaxed), MALLOC.load(Ordering::Relaxed))
    else {
        return null_mut();
    };
    if !POOL.holds(block) {
        // SAFETY: the caller's call, passed on.
        return unsafe { realloc(block, size) };
    }
    // SAFETY: a call of the process's malloc.
    let new = unsafe { malloc(size) };
    if !new.is_null() {
        // SAFETY: a block of the pool's and one just given, each at least so long.
        unsafe { copy_nonoverlapping(block.cast::<u8>(), new.cast(), size.min(size_of(block))) };
    }
    new
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_apart_and_what_does_not_fit_is_refused() {
        let pool = Pool { memory: UnsafeCell::new([0; BYTES / UNIT]), used: AtomicUsize::new(0) };
        let one = pool.take(5);
        let other = pool.take_all(2, 20);
        assert_eq!(other as usize - one as usize, 2 * UNIT);
        assert_eq!(one as usize % UNIT, 0);
        // SAFETY: blocks of this size.
        unsafe {
            one.cast::<u8>().write_bytes(7, 5);
            let again = pool.take_again(one, 100).cast::<u8>();
            assert_eq!(std::slice::from_raw_parts(again, 6), [7, 7, 7, 7, 7, 0]);
        }
        assert!(pool.holds(other) && !pool.holds((&raw const pool.used).cast_mut().cast()));
        assert!(pool.take(BYTES).is_null() && pool.take(usize::MAX).is_null());
        assert!(pool.take_all(usize::MAX, 2).is_null());
        while !pool.take(1000).is_null() {}
        assert!(pool.take(1000).is_null());
    }
}
