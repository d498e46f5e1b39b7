//! Stand-ins for the malloc family.
//!
//! Each jumps to the function in its slot: the real one, or, where the whole process is recorded,
//! the recorder's. At first that is one that looks the real ones up, at the first call, which comes
//! before any constructor. To look them up may itself take memory, which comes out of a `pool`.
//!
//! This library's own memory comes from the real functions (`own`), and is counted nowhere.

use std::ffi::{CStr, c_int, c_void};
use std::mem::MaybeUninit;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicBool, Ordering};

use recorder::{FunctionPointer, Heap, MallocFamily, MappingFamily, address_of, function_at};

use crate::jumping::{Slot, jumping_stand_ins};
use crate::malloc_family::pool::POOL;
use crate::object::Object;
use crate::{dlsym, mapping_family};

mod own;
mod pool;

jumping_stand_ins! {
    of MallocFamily;
    malloc MALLOC (size: usize) -> *mut c_void, or POOL.take(size);
    calloc CALLOC (number: usize, size: usize) -> *mut c_void, or POOL.take_all(number, size);
    realloc REALLOC (block: *mut c_void, size: usize) -> *mut c_void, or {
        // SAFETY: whoever has a block at this time has it from the pool.
        unsafe { POOL.take_again(block, size) }
    };
    free FREE (_block: *mut c_void) -> (), or ();
    posix_memalign POSIX_MEMALIGN (_place: *mut *mut c_void, _alignment: usize, _size: usize)
        -> c_int, or libc::ENOMEM;
    aligned_alloc ALIGNED_ALLOC (_alignment: usize, _size: usize) -> *mut c_void, or null_mut();
    memalign MEMALIGN (_alignment: usize, _size: usize) -> *mut c_void, or null_mut();
    valloc VALLOC (_size: usize) -> *mut c_void, or null_mut();
    pvalloc PVALLOC (_size: usize) -> *mut c_void, or null_mut();
}

/// The real functions, once they are known: those of mappings as well, which an allocator asks for
/// at its first block, when nothing may be looked up any more.
struct Found {
    /// Somebody is looking for them.
    begun: AtomicBool,
    known: AtomicBool,
    families: std::cell::UnsafeCell<MaybeUninit<(MallocFamily, MappingFamily)>>,
    /// Others than this library come first in everybody's search for malloc.
    elsewhere: AtomicBool,
}

// SAFETY: `families` is written once, by who has set `begun`, before `known` is set, and only read
// after that.
unsafe impl Sync for Found {}

static FOUND: Found = Found {
    begun: AtomicBool::new(false),
    known: AtomicBool::new(false),
    families: std::cell::UnsafeCell::new(MaybeUninit::uninit()),
    elsewhere: AtomicBool::new(false),
};

/// The functions that would serve the process without this library. `None` while they are being
/// looked for.
pub(crate) fn real() -> Option<&'static MallocFamily> {
    Some(&real_families()?.0)
}

/// The functions for mappings that would serve the process without this library, in the same way.
pub(crate) fn real_mappings() -> Option<&'static MappingFamily> {
    Some(&real_families()?.1)
}

fn real_families() -> Option<&'static (MallocFamily, MappingFamily)> {
    if !FOUND.known.load(Ordering::Acquire) {
        if FOUND.begun.swap(true, Ordering::AcqRel) {
            return None;
        }
        find();
    }
    // SAFETY: `known` was seen: written, and never again.
    Some(unsafe { (*FOUND.families.get()).assume_init_ref() })
}

/// Whether the process's calls of malloc come to this library. They do not where the program has
/// one of its own, which everybody's search finds first.
fn is_called() -> bool {
    real().is_some() && !FOUND.elsewhere.load(Ordering::Relaxed)
}

/// Why nothing of it can be counted, if that is so.
pub(crate) fn obstacle() -> Option<&'static str> {
    (!is_called()).then_some("the program, or a library before tlsheap's, has a malloc of its own")
}

/// Whether C++'s `new` is a function of the allocator's own, which does not call malloc.
pub(crate) fn has_operators_of_its_own() -> bool {
    let Some(real) = real() else { return false };
    // SAFETY: a search among all objects, by a C string: `operator new(unsigned long)`.
    let operator = unsafe { dlsym::real()(libc::RTLD_DEFAULT, c"_Znwm".as_ptr()) };
    !operator.is_null() && what_is_at(operator).0 == what_is_at(address_of(real.malloc).cast()).0
}

/// The heap below OpenSSL's hooks.
pub(crate) fn heap() -> Heap {
    match real() {
        Some(real) => Heap { malloc: real.malloc, realloc: real.realloc, free: real.free },
        None => Heap::libc(),
    }
}

/// Has every call counted from here on, after [`get_ready_to_count`].
pub(crate) fn begin_counting() {
    if real().is_some() {
        recorder::count_family();
        go_on_in(&recorder::counted());
        // A mapping is no block of which a part could be counted.
        if !recorder::counts_a_part() {
            mapping_family::begin_counting();
        }
    }
}

/// Has what counts know what it calls.
pub(crate) fn get_ready_to_count() {
    let Some(real) = real() else { return };
    // SAFETY: the process's own allocator; what has `counted` called comes after this.
    unsafe { recorder::know_family(*real) };
    mapping_family::get_ready_to_count(address_of(real.malloc) as usize);
}

/// In a process that was attached to, in which nothing leads here by itself: gets ready to count,
/// and returns the object of the allocator. Or says why that cannot be.
pub(crate) fn begin_counting_late(objects: &[Object]) -> Result<Option<Object>, &'static str> {
    let Some(real) = real() else { return Err("nobody knows its malloc") };
    let allocator = objects.iter().find(|it| it.holds(address_of(real.malloc) as usize, 1));
    if allocator.is_some_and(|it| it.headers == objects[0].headers) {
        return Err("the program has a malloc of its own");
    }
    get_ready_to_count();
    recorder::count_family();
    Ok(allocator.cloned())
}

/// A function by its name.
pub(crate) struct Named {
    pub name: &'static CStr,
    /// The function that counts.
    pub counted: usize,
    /// The one that would be called without it.
    pub real: usize,
}

/// The functions of the family and of mappings that give back, and then those that give.
pub(crate) fn by_name() -> Vec<Named> {
    let Some((real, mappings)) = real_families() else { return Vec::new() };
    let (counted, counted_mappings) = (recorder::counted(), recorder::counted_mappings());
    macro_rules! of {
        ($real:ident, $counted:ident: $($name:ident),*) => {
            [$(Named {
                name: crate::jumping::c_name!($name),
                counted: address_of($counted.$name) as usize,
                real: address_of($real.$name) as usize,
            }),*]
        };
    }
    let backs = of!(real, counted: free, realloc).into_iter();
    let backs = backs.chain(of!(mappings, counted_mappings: munmap, mremap, mprotect));
    let gives = of!(real, counted: malloc, calloc, posix_memalign, aligned_alloc, memalign, valloc,
        pvalloc);
    backs.chain(gives).chain(of!(mappings, counted_mappings: mmap, mmap64)).collect()
}

#[cold]
fn find() {
    // SAFETY: each has this type, as C and the C library's documents say.
    let family = unsafe {
        MallocFamily {
            malloc: find_one(c"malloc", first::malloc as _),
            calloc: find_one(c"calloc", first::calloc as _),
            realloc: find_one(c"realloc", first::realloc as _),
            free: find_one(c"free", first::free as _),
            posix_memalign: find_one(c"posix_memalign", first::posix_memalign as _),
            aligned_alloc: find_one(c"aligned_alloc", first::aligned_alloc as _),
            memalign: find_one(c"memalign", first::memalign as _),
            valloc: find_one(c"valloc", first::valloc as _),
            pvalloc: find_one(c"pvalloc", first::pvalloc as _),
        }
    };
    let family = pool::respected(family);
    let mappings = mapping_family::find();
    // SAFETY: nobody else writes, for `begun` was not set; nobody reads, for `known` is not.
    unsafe { (*FOUND.families.get()).write((family, mappings)) };
    FOUND.known.store(true, Ordering::Release);
    go_on_in(&family);
    mapping_family::go_on_in(&mappings);
}

/// The function that a program would get without this library. One that there is not is never
/// called: `none` takes its place.
///
/// # Safety
///
/// A function of this name is of the type.
unsafe fn find_one<F: FunctionPointer>(name: &CStr, none: F) -> F {
    let (found, place) = found(name);
    if place == Place::Elsewhere {
        FOUND.elsewhere.store(true, Ordering::Relaxed);
    }
    // SAFETY: 0 or the function of this name: the caller's promise.
    unsafe { function_at(found as usize) }.unwrap_or(none)
}

/// The address of the function that a program would get without this library, and what a search
/// finds with it.
pub(crate) fn found(name: &CStr) -> (*mut c_void, Place) {
    let look = dlsym::real();
    // SAFETY: a search among all objects, by a C string.
    let first = unsafe { look(libc::RTLD_DEFAULT, name.as_ptr()) };
    let place = place_of(first);
    match place {
        Place::Elsewhere => (first, place),
        // SAFETY: as above, behind this library.
        Place::Here | Place::Import => (unsafe { look(libc::RTLD_NEXT, name.as_ptr()) }, place),
    }
}

/// What lies at an address that a search for a function has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// The stand-in.
    Here,
    /// A jump of the program's to whatever the loader finds for it, and that is the stand-in: for
    /// functions whose address a program takes, everybody is given that of its jump.
    Import,
    /// A function of somebody else's.
    Elsewhere,
}

fn place_of(address: *mut c_void) -> Place {
    let (base, symbol) = what_is_at(address);
    if base.is_null() || base == what_is_at(place_of as *mut c_void).0 {
        return Place::Here;
    }
    // SAFETY: NULL or an entry of the symbol table of an object that is loaded.
    let imported = unsafe { symbol.as_ref() }.is_some_and(|symbol| symbol.st_shndx == UNDEFINED);
    if imported { Place::Import } else { Place::Elsewhere }
}

/// The base of the object that an address lies in, and the nearest symbol; NULL for what is not
/// known.
fn what_is_at(address: *mut c_void) -> (*mut c_void, *const libc::Elf64_Sym) {
    let mut symbol: *mut c_void = null_mut();
    // SAFETY: all-zero bytes are a record without names.
    let mut found: libc::Dl_info = unsafe { std::mem::zeroed() };
    // SAFETY: any address may be asked for; and places for the two answers.
    match unsafe { libc::dladdr1(address, &raw mut found, &raw mut symbol, WITH_SYMBOL) } {
        0 => (null_mut(), std::ptr::null()),
        _ => (found.dli_fbase, symbol.cast()),
    }
}

/// `RTLD_DL_SYMENT`: the symbol is wanted too.
const WITH_SYMBOL: c_int = 1;
/// `SHN_UNDEF`: a symbol that an object imports.
const UNDEFINED: u16 = 0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_process_has_an_allocator_and_it_is_not_this_library() {
        let real = real().expect("nobody else looks for it");
        assert_eq!(place_of(first::malloc as *mut c_void), Place::Here);
        assert_eq!(place_of(address_of(real.malloc).cast()), Place::Elsewhere);
        // SAFETY: the process's allocator.
        unsafe {
            let block = (real.calloc)(3, 5);
            assert_eq!(std::slice::from_raw_parts(block.cast::<u8>(), 15), [0; 15]);
            (real.free)((real.realloc)(block, 40));
        }
    }
}
