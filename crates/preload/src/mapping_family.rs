//! Stand-ins for what maps memory from the kernel, like those for the malloc family beside them.
//!
//! Until the real functions are known, the kernel is asked directly: that is what those do.

use std::ffi::{CStr, c_int, c_void};
use std::ops::Range;
use std::sync::atomic::Ordering;

use recorder::{FunctionPointer, MappingFamily, address_of, function_at};

use crate::jumping::{Slot, jumping_stand_ins};
use crate::malloc_family::{self, real_mappings as real};
use crate::object;

jumping_stand_ins! {
    of MappingFamily;
    mmap MMAP (
        address: *mut c_void, length: usize, protection: c_int, flags: c_int, file: c_int,
        offset: libc::off_t
    ) -> *mut c_void, or {
        // SAFETY: the caller's call, passed on. So it is below.
        unsafe {
            libc::syscall(libc::SYS_mmap, address, length, protection, flags, file, offset)
                as *mut c_void
        }
    };
    mmap64 MMAP64 (
        address: *mut c_void, length: usize, protection: c_int, flags: c_int, file: c_int,
        offset: libc::off_t
    ) -> *mut c_void, or {
        // SAFETY: as for `mmap`.
        unsafe { mmap(address, length, protection, flags, file, offset) }
    };
    munmap MUNMAP (address: *mut c_void, length: usize) -> c_int, or {
        // SAFETY: as for `mmap`.
        unsafe { libc::syscall(libc::SYS_munmap, address, length) as c_int }
    };
    mprotect MPROTECT (address: *mut c_void, length: usize, protection: c_int) -> c_int, or {
        // SAFETY: as for `mmap`.
        unsafe { libc::syscall(libc::SYS_mprotect, address, length, protection) as c_int }
    };
    mremap MREMAP (
        address: *mut c_void, old: usize, new: usize, flags: c_int, to: *mut c_void
    ) -> *mut c_void, or {
        // SAFETY: as for `mmap`.
        unsafe { libc::syscall(libc::SYS_mremap, address, old, new, flags, to) as *mut c_void }
    };
}

/// Looks the real functions up. One that there is not stays what it is without them.
pub(crate) fn find() -> MappingFamily {
    // SAFETY: each has this type, as the C library's documents say.
    unsafe {
        MappingFamily {
            mmap: find_one(c"mmap", first::mmap as _),
            mmap64: find_one(c"mmap64", first::mmap64 as _),
            munmap: find_one(c"munmap", first::munmap as _),
            mprotect: find_one(c"mprotect", first::mprotect as _),
            mremap: find_one(c"mremap", first::mremap as _),
        }
    }
}

/// # Safety
///
/// A function of this name is of the type.
unsafe fn find_one<F: FunctionPointer>(name: &CStr, none: F) -> F {
    let (found, _) = malloc_family::found(name);
    // SAFETY: 0 or the function of this name: the caller's promise.
    unsafe { function_at(found as usize) }.unwrap_or(none)
}

/// Has every call counted from here on.
pub(crate) fn begin_counting() {
    go_on_in(&recorder::counted_mappings());
}

/// Has what counts know what it calls, and whose calls are not counted: the allocator's, which has
/// `malloc`, and this library's own.
pub(crate) fn get_ready_to_count(malloc: usize) {
    let Some(real) = real() else { return };
    let uncounted = [malloc, begin_counting as *const () as usize].map(object_at);
    // SAFETY: the process's own functions; what has the others called comes after this.
    unsafe { recorder::count_mappings_above(*real, uncounted) };
}

/// Where the object lies that has this address; nowhere if none has.
fn object_at(address: usize) -> Range<usize> {
    let (objects, _) = object::loaded();
    let holder = objects.iter().find(|object| object.holds(address, 1));
    holder.map_or(0..0, object::Object::range)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_lies_around_what_it_has() {
        let own = begin_counting as *const () as usize;
        assert!(object_at(own).contains(&own));
        let malloc = object_at(libc::malloc as *const () as usize);
        assert!(!malloc.is_empty() && !malloc.contains(&own));
        assert_eq!(object_at(8), 0..0);
    }

    #[test]
    fn what_is_called_first_maps_moves_and_unmaps() {
        let (access, flags) =
            (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
        // SAFETY: a mapping of our own, and places in it.
        unsafe {
            let place = first::mmap(std::ptr::null_mut(), 8_192, access, flags, -1, 0);
            assert_ne!(place, libc::MAP_FAILED);
            place.cast::<u8>().add(8_191).write(7);
            let moved =
                first::mremap(place, 8_192, 1 << 20, libc::MREMAP_MAYMOVE, std::ptr::null_mut());
            assert_eq!(moved.cast::<u8>().add(8_191).read(), 7);
            assert_eq!(first::mprotect(moved, 4_096, libc::PROT_NONE), 0);
            assert_eq!(first::munmap(moved, 1 << 20), 0);
        }
    }
}
