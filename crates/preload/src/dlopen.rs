//! A stand-in for `dlopen` in a process that was attached to: what is loaded leads here before the
//! program has it in its hands.
//!
//! The real one looks at its return address to know who asks, and the answer may depend on that:
//!
//! * A name without a slash is looked for where the asking object's DT_RUNPATH says, or its and its
//!   loaders' DT_RPATH; and in the system's folders unless its flags forbid them.
//! * `$ORIGIN` is the folder of the object that asks.
//! * What is loaded comes into the namespace of the object that asks, and an auditor is told of it.
//!
//! Where none of these makes a difference, the real one is called from here, and what is new is
//! looked at when it returns. Otherwise it is jumped to, so that it finds the program's own return
//! address, and what is new is looked at when a name is looked up (`dlsym`). After the search, the
//! C library forgets who has asked (`__RTLD_CALLMAP`, since 2.17 at least).

use std::ffi::{CStr, c_char, c_int, c_void};
use std::panic::catch_unwind;
use std::sync::atomic::Ordering;

use recorder::{AtomicFn, address_of, function_at, own_work};

use crate::dynamic_section::values;
use crate::object::{self, Object};
use crate::{next, scan};

/// Constructors run in it, and may leave it in ways of their own.
type Open = unsafe extern "C-unwind" fn(*const c_char, c_int) -> *mut c_void;

static REAL: AtomicFn<Open> = AtomicFn::none();

/// For slots that are led here. Nobody else may call it: there is a real one.
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn stand_in(file: *const c_char, mode: c_int) -> *mut c_void {
    #[cfg(target_arch = "x86_64")]
    core::arch::naked_asm!(
        "push rdi",
        "push rsi",
        "mov rsi, [rsp + 16]",
        "sub rsp, 8",
        "call {before}",
        "add rsp, 8",
        "pop rsi",
        "pop rdi",
        "jmp rax",
        before = sym before,
    );
    #[cfg(target_arch = "aarch64")]
    core::arch::naked_asm!(
        "stp x29, x30, [sp, -32]!",
        "stp x0, x1, [sp, 16]",
        "mov x1, x30",
        "bl {before}",
        "mov x16, x0",
        "ldp x0, x1, [sp, 16]",
        "ldp x29, x30, [sp], 32",
        "br x16",
        before = sym before,
    );
}

/// Where to go on with the same arguments.
extern "C" fn before(file: *const c_char, caller: usize) -> *mut () {
    // SAFETY: the C library's own cell for the calling thread.
    let error = unsafe { *libc::__errno_location() };
    let may_be_called = || {
        // SAFETY: NULL or a C string, as the program passes it to `dlopen`.
        let file = unsafe { (!file.is_null()).then(|| CStr::from_ptr(file)) };
        scan::looks() && file.is_some_and(|file| asks_for_all(file, caller, &object::loaded()))
    };
    let from_here = catch_unwind(|| own_work(may_be_called)).unwrap_or(false);
    // SAFETY: as above.
    unsafe { *libc::__errno_location() = error };
    match real() {
        Some(_) if from_here => open as *mut (),
        Some(real) => address_of(real),
        None => nothing as *mut (),
    }
}

/// The real one, and a look at what it has loaded.
unsafe extern "C-unwind" fn open(file: *const c_char, mode: c_int) -> *mut c_void {
    let Some(real) = real() else { return std::ptr::null_mut() };
    // SAFETY: the caller's arguments, passed on. Nothing here has to be undone, should a constructor
    // not return.
    let handle = unsafe { real(file, mode) };
    if !handle.is_null() {
        look();
    }
    handle
}

/// Looks at what is new. The process may have been let go meanwhile: then there is nothing to do.
fn look() {
    // SAFETY: the C library's own cell for the calling thread.
    let error = unsafe { *libc::__errno_location() };
    let _ = catch_unwind(|| {
        own_work(|| {
            scan::look_for_new();
            // The look asks the loader for objects, some of which are no files. The program's call
            // went well, and it finds no error: one call gives the text, the next frees it.
            for _ in 0..2 {
                // SAFETY: no argument; nobody keeps the text.
                unsafe { libc::dlerror() };
            }
        });
    });
    // SAFETY: as above.
    unsafe { *libc::__errno_location() = error };
}

const DT_RPATH: usize = 15;
const DT_RUNPATH: usize = 29;
const DT_FLAGS_1: usize = 0x6fff_fffb;
/// The system's folders are not looked into.
const DF_1_NODEFLIB: usize = 0x800;

/// Whether `file` is the same one whoever asks for it, this library or the code at `caller`.
fn asks_for_all(
    file: &CStr,
    caller: usize,
    (objects, changes): &(Vec<Object>, object::Changes),
) -> bool {
    // Those of all namespaces are counted, and those of ours are listed.
    if changes.adds - changes.subs != objects.len() as u64 || file.to_bytes().contains(&b'$') {
        return false;
    }
    if file.to_bytes().contains(&b'/') {
        return true;
    }
    let says = |object: &Object| values(object, [DT_RPATH, DT_RUNPATH, DT_FLAGS_1]);
    let without_rpath = |object: &Object| {
        // The kernel's object has a section that is not readable as others are, and asks nothing.
        says(object).is_none_or(|[rpath, ..]| rpath.is_none())
    };
    let Some(caller) = objects.iter().find(|object| object.holds(caller, 1)) else { return false };
    let is_searched_alike = |[_, runpath, flags]: [Option<usize>; 3]| {
        runpath.is_none() && flags.unwrap_or(0) & DF_1_NODEFLIB == 0
    };
    says(caller).is_some_and(is_searched_alike) && objects.iter().all(without_rpath)
}

/// The real `dlopen`, if it is in the C library itself, where it is since 2.34.
fn real() -> Option<Open> {
    if let Some(known) = REAL.load(Ordering::Relaxed) {
        return Some(known);
    }
    let found = next::function(c"dlopen")?;
    // SAFETY: the C library's function of this name, which has this type.
    let found = unsafe { function_at::<Open>(found as usize) };
    REAL.store(found, Ordering::Relaxed);
    found
}

/// The address of the real one.
pub(crate) fn address() -> Option<usize> {
    Some(address_of(real()?) as usize)
}

/// Stands for a `dlopen` that cannot be found, for which no slot is led here.
unsafe extern "C" fn nothing(_file: *const c_char, _mode: c_int) -> *mut c_void {
    std::ptr::null_mut()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_asks_makes_a_difference_for_some_names() {
        let loaded = object::loaded();
        let own = who_asks_makes_a_difference_for_some_names as *const () as usize;
        let asks = |file, caller| asks_for_all(file, caller, &loaded);
        assert!(asks(c"/lib/libm.so.6", own) && asks(c"./libm.so.6", 0));
        assert!(!asks(c"$ORIGIN/libm.so.6", own));
        // In no object.
        assert!(!asks(c"libm.so.6", 0));
        // Cargo links test programs without a DT_RUNPATH.
        assert!(asks(c"libm.so.6", own));
        let (objects, mut changes) = loaded;
        changes.adds += 1;
        assert!(!asks_for_all(c"/lib/libm.so.6", own, &(objects, changes)), "another namespace");
    }

    #[test]
    fn the_real_one_is_called_through_the_stand_in() {
        // SAFETY: a C string, for the real one.
        let missing = unsafe { stand_in(c"/no/such/library.so".as_ptr(), libc::RTLD_NOW) };
        assert!(missing.is_null());
        // SAFETY: as above.
        let found = unsafe { stand_in(c"libm.so.6".as_ptr(), libc::RTLD_NOW) };
        assert!(!found.is_null());
        // SAFETY: as above; the program itself.
        assert!(!unsafe { stand_in(std::ptr::null(), libc::RTLD_NOW) }.is_null());
    }
}
