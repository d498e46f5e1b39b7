//! Stand-ins for `prctl` and `syscall`: a process that is about to put up a system-call filter
//! (seccomp) is prepared for it. Many filters end the process at calls that the recorder needs now
//! and then; it makes them before, and does without from then on.
//!
//! All other calls jump to the C library's function with every register as it was.

use std::ffi::{CStr, c_int, c_long, c_uint, c_void};
use std::panic::catch_unwind;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicPtr, Ordering};

use crate::{dlsym, scan};

static REAL_PRCTL: AtomicPtr<c_void> = AtomicPtr::new(null_mut());
static REAL_SYSCALL: AtomicPtr<c_void> = AtomicPtr::new(null_mut());

const SET_SECCOMP: c_int = libc::PR_SET_SECCOMP;
const SECCOMP: c_long = libc::SYS_seccomp;

/// A function that passes on all calls but those whose first argument is `$number`.
macro_rules! stand_in {
    ($name:ident, $number:expr, $seccomp:ident, $real:ident, $find:ident) => {
        #[cfg(not(test))]
        #[unsafe(no_mangle)]
        #[unsafe(naked)]
        unsafe extern "C" fn $name() {
            #[cfg(target_arch = "x86_64")]
            core::arch::naked_asm!(
                "cmp edi, {number}",
                "je {seccomp}",
                "mov r11, qword ptr [rip + {real}]",
                "test r11, r11",
                "jz 2f",
                "jmp r11",
                // The first call. rax has the number of vector registers in use.
                "2:",
                "push rax",
                "push rdi",
                "push rsi",
                "push rdx",
                "push rcx",
                "push r8",
                "push r9",
                "call {find}",
                "mov r11, rax",
                "pop r9",
                "pop r8",
                "pop rcx",
                "pop rdx",
                "pop rsi",
                "pop rdi",
                "pop rax",
                "jmp r11",
                number = const $number,
                seccomp = sym $seccomp,
                real = sym $real,
                find = sym $find,
            );
            #[cfg(target_arch = "aarch64")]
            core::arch::naked_asm!(
                "cmp w0, {number}",
                "b.eq {seccomp}",
                "adrp x16, {real}",
                "ldr x16, [x16, :lo12:{real}]",
                "cbz x16, 2f",
                "br x16",
                "2:",
                "stp x29, x30, [sp, -80]!",
                "stp x0, x1, [sp, 16]",
                "stp x2, x3, [sp, 32]",
                "stp x4, x5, [sp, 48]",
                "stp x6, x7, [sp, 64]",
                "bl {find}",
                "mov x16, x0",
                "ldp x6, x7, [sp, 64]",
                "ldp x4, x5, [sp, 48]",
                "ldp x2, x3, [sp, 32]",
                "ldp x0, x1, [sp, 16]",
                "ldp x29, x30, [sp], 80",
                "br x16",
                number = const $number,
                seccomp = sym $seccomp,
                real = sym $real,
                find = sym $find,
            );
        }
    };
}

stand_in!(prctl, SET_SECCOMP, seccomp_by_prctl, REAL_PRCTL, find_prctl);
stand_in!(syscall, SECCOMP, seccomp_by_number, REAL_SYSCALL, find_syscall);

#[cfg_attr(test, allow(dead_code))]
extern "C" fn find_prctl() -> *mut c_void {
    find(&REAL_PRCTL, c"prctl", no_prctl as *mut c_void)
}

#[cfg_attr(test, allow(dead_code))]
extern "C" fn find_syscall() -> *mut c_void {
    find(&REAL_SYSCALL, c"syscall", no_syscall as *mut c_void)
}

fn find(real: &AtomicPtr<c_void>, name: &CStr, without: *mut c_void) -> *mut c_void {
    let found = dlsym::next(name).unwrap_or(without);
    real.store(found, Ordering::Relaxed);
    found
}

/// In place of a function that cannot be found.
extern "C" fn no_prctl() -> c_int {
    no_syscall() as c_int
}

extern "C" fn no_syscall() -> c_long {
    // SAFETY: the C library's own cell for the calling thread.
    unsafe { *libc::__errno_location() = libc::ENOSYS };
    -1
}

type Prctl = unsafe extern "C" fn(c_int, c_long, c_long, c_long, c_long) -> c_int;
type Syscall = unsafe extern "C" fn(c_long, c_long, c_long, *mut c_void) -> c_long;

/// `prctl(PR_SET_SECCOMP, mode, filter)`.
#[cfg_attr(test, allow(dead_code))]
unsafe extern "C" fn seccomp_by_prctl(
    option: c_int,
    mode: c_long,
    filter: c_long,
    fourth: c_long,
    fifth: c_long,
) -> c_int {
    // SAFETY: the C library's function of this name, or `no_prctl`; each takes these arguments.
    let real = unsafe { std::mem::transmute::<*mut c_void, Prctl>(find_prctl()) };
    // SAFETY: the caller's arguments, passed on.
    let call = || unsafe { real(option, mode, filter, fourth, fifth) };
    match mode as c_uint {
        libc::SECCOMP_MODE_STRICT => in_a_sandbox(call),
        libc::SECCOMP_MODE_FILTER if filter != 0 => in_a_sandbox(call),
        _ => call(),
    }
}

/// `syscall(SYS_seccomp, operation, flags, filter)`.
#[cfg_attr(test, allow(dead_code))]
unsafe extern "C" fn seccomp_by_number(
    number: c_long,
    operation: c_long,
    flags: c_long,
    filter: *mut c_void,
) -> c_long {
    // SAFETY: the C library's function of this name, or `no_syscall`; each takes these arguments.
    let real = unsafe { std::mem::transmute::<*mut c_void, Syscall>(find_syscall()) };
    // SAFETY: the caller's arguments, passed on.
    let call = || unsafe { real(number, operation, flags, filter) };
    match operation as c_uint {
        // With other arguments it is asked what the kernel knows.
        libc::SECCOMP_SET_MODE_STRICT if flags == 0 => in_a_sandbox(call),
        libc::SECCOMP_SET_MODE_FILTER if !filter.is_null() => in_a_sandbox(call),
        _ => call(),
    }
}

/// Calls `put_up`, which puts up a filter unless it answers with less than 0. (More than 0 is the
/// filter's listener, or a thread that could not be put under it.)
fn in_a_sandbox<T: Default + PartialOrd>(put_up: impl FnOnce() -> T) -> T {
    // Filters may be put up one over the other.
    let first = !recorder::is_sandboxed();
    if first {
        let _ = catch_unwind(|| {
            scan::look_for_new();
            scan::check_in_place();
            recorder::prepare_for_sandbox();
        });
    }
    let answer = put_up();
    if first && answer < T::default() {
        recorder::give_up_sandbox();
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_real_ones_are_found() {
        assert_ne!(find_prctl(), no_prctl as *mut c_void);
        assert_ne!(find_syscall(), no_syscall as *mut c_void);
    }

    #[test]
    fn to_ask_what_the_kernel_knows_is_no_sandbox() {
        // SAFETY: what libraries call to know whether there is seccomp; the kernel refuses it.
        let asked = unsafe {
            [
                i64::from(seccomp_by_prctl(SET_SECCOMP, 2, 0, 0, 0)),
                seccomp_by_number(SECCOMP, 0, 1, null_mut()),
                seccomp_by_number(SECCOMP, 1, 0, null_mut()),
            ]
        };
        assert_eq!(asked, [-1; 3]);
        assert!(!recorder::is_sandboxed());
    }
}
