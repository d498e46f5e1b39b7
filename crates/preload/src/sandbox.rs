//! Stand-ins for `prctl` and `syscall`: a process that is about to put up a system-call filter
//! (seccomp) is prepared for it. Many filters end the process at calls that the recorder needs now
//! and then; it makes them before, and does without from then on.
//!
//! All other calls are made here as the C library makes them, and nothing else: an allocator may
//! call these functions while it holds its own lock, so that to look for the C library's, which
//! allocates, would wait for ever.

use std::ffi::{c_int, c_long, c_uint};
use std::panic::catch_unwind;

use recorder::own_work;

use crate::scan;

const SET_SECCOMP: c_int = libc::PR_SET_SECCOMP;
const SECCOMP: c_long = libc::SYS_seccomp;
const PRCTL: c_long = libc::SYS_prctl;

/// `prctl`, of which a filter is put up by `seccomp_by_prctl`.
#[cfg(not(test))]
#[unsafe(no_mangle)]
#[unsafe(naked)]
unsafe extern "C" fn prctl() {
    #[cfg(target_arch = "x86_64")]
    core::arch::naked_asm!("jmp {stand_in}", stand_in = sym prctl_stand_in);
    #[cfg(target_arch = "aarch64")]
    core::arch::naked_asm!("b {stand_in}", stand_in = sym prctl_stand_in);
}

/// The same under no name, for slots that are led here.
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn prctl_stand_in() {
    #[cfg(target_arch = "x86_64")]
    core::arch::naked_asm!(
        "cmp edi, {set_seccomp}",
        "je {seccomp}",
        "mov r10, rcx",
        "mov eax, {prctl}",
        "syscall",
        "cmp rax, -4095",
        "jae 2f",
        "ret",
        "2:",
        "mov rdi, rax",
        "jmp {failed}",
        set_seccomp = const SET_SECCOMP,
        seccomp = sym seccomp_by_prctl,
        prctl = const PRCTL,
        failed = sym failed,
    );
    #[cfg(target_arch = "aarch64")]
    core::arch::naked_asm!(
        "cmp w0, {set_seccomp}",
        "b.eq {seccomp}",
        "mov x8, {prctl}",
        "svc 0",
        "cmn x0, 4095",
        "b.cs {failed}",
        "ret",
        set_seccomp = const SET_SECCOMP,
        seccomp = sym seccomp_by_prctl,
        prctl = const PRCTL,
        failed = sym failed,
    );
}

/// `syscall`, of which a filter is put up by `seccomp_by_number`.
#[cfg(not(test))]
#[unsafe(no_mangle)]
#[unsafe(naked)]
unsafe extern "C" fn syscall() {
    #[cfg(target_arch = "x86_64")]
    core::arch::naked_asm!("jmp {stand_in}", stand_in = sym syscall_stand_in);
    #[cfg(target_arch = "aarch64")]
    core::arch::naked_asm!("b {stand_in}", stand_in = sym syscall_stand_in);
}

/// The same under no name, for slots that are led here.
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn syscall_stand_in() {
    #[cfg(target_arch = "x86_64")]
    core::arch::naked_asm!(
        "cmp rdi, {number}",
        "je {seccomp}",
        "mov rax, rdi",
        "mov rdi, rsi",
        "mov rsi, rdx",
        "mov rdx, rcx",
        "mov r10, r8",
        "mov r8, r9",
        "mov r9, qword ptr [rsp + 8]",
        "syscall",
        "cmp rax, -4095",
        "jae 2f",
        "ret",
        "2:",
        "mov rdi, rax",
        "jmp {failed}",
        number = const SECCOMP,
        seccomp = sym seccomp_by_number,
        failed = sym failed,
    );
    #[cfg(target_arch = "aarch64")]
    core::arch::naked_asm!(
        "cmp x0, {number}",
        "b.eq {seccomp}",
        "mov x8, x0",
        "mov x0, x1",
        "mov x1, x2",
        "mov x2, x3",
        "mov x3, x4",
        "mov x4, x5",
        "mov x5, x6",
        "svc 0",
        "cmn x0, 4095",
        "b.cs {failed}",
        "ret",
        number = const SECCOMP,
        seccomp = sym seccomp_by_number,
        failed = sym failed,
    );
}

/// What the caller of a system call gets that failed with this answer of the kernel's.
extern "C" fn failed(answer: c_long) -> c_long {
    // SAFETY: the C library's own cell for the calling thread.
    unsafe { *libc::__errno_location() = -answer as c_int };
    -1
}

/// Makes a system call, with the C library's answer.
///
/// # Safety
///
/// That of the call.
unsafe fn call(number: c_long, arguments: [c_long; 5]) -> c_long {
    let answer: c_long;
    #[cfg(target_arch = "x86_64")]
    // SAFETY: the kernel's calling convention; the rest is the caller's promise.
    unsafe {
        core::arch::asm!(
            "syscall",
            inlateout("rax") number => answer,
            in("rdi") arguments[0],
            in("rsi") arguments[1],
            in("rdx") arguments[2],
            in("r10") arguments[3],
            in("r8") arguments[4],
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack),
        );
    }
    #[cfg(target_arch = "aarch64")]
    // SAFETY: as above.
    unsafe {
        core::arch::asm!(
            "svc 0",
            in("x8") number,
            inlateout("x0") arguments[0] => answer,
            in("x1") arguments[1],
            in("x2") arguments[2],
            in("x3") arguments[3],
            in("x4") arguments[4],
            options(nostack),
        );
    }
    if (-4095..0).contains(&answer) { failed(answer) } else { answer }
}

/// `prctl(PR_SET_SECCOMP, mode, filter)`.
unsafe extern "C" fn seccomp_by_prctl(
    option: c_int,
    mode: c_long,
    filter: c_long,
    fourth: c_long,
    fifth: c_long,
) -> c_int {
    // SAFETY: the caller's arguments, passed on.
    let call = || unsafe { call(PRCTL, [option.into(), mode, filter, fourth, fifth]) as c_int };
    match mode as c_uint {
        libc::SECCOMP_MODE_STRICT => in_a_sandbox(call),
        libc::SECCOMP_MODE_FILTER if filter != 0 => in_a_sandbox(call),
        _ => call(),
    }
}

/// `syscall(SYS_seccomp, operation, flags, filter)`.
unsafe extern "C" fn seccomp_by_number(
    number: c_long,
    operation: c_long,
    flags: c_long,
    filter: c_long,
) -> c_long {
    // SAFETY: the caller's arguments, passed on.
    let call = || unsafe { call(number, [operation, flags, filter, 0, 0]) };
    match operation as c_uint {
        // With other arguments it is asked what the kernel knows.
        libc::SECCOMP_SET_MODE_STRICT if flags == 0 => in_a_sandbox(call),
        libc::SECCOMP_SET_MODE_FILTER if filter != 0 => in_a_sandbox(call),
        _ => call(),
    }
}

/// Calls `put_up`, which puts up a filter unless it answers with less than 0. (More than 0 is the
/// filter's listener, or a thread that could not be put under it.)
fn in_a_sandbox<T: Default + PartialOrd>(put_up: impl FnOnce() -> T) -> T {
    // Filters may be put up one over the other.
    let first = !recorder::is_sandboxed();
    if first {
        let prepare = || {
            scan::look_for_new();
            scan::check_in_place();
            recorder::prepare_for_sandbox();
        };
        let _ = catch_unwind(|| own_work(prepare));
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
    fn to_ask_what_the_kernel_knows_is_no_sandbox() {
        // SAFETY: what libraries call to know whether there is seccomp; the kernel refuses it.
        let asked = unsafe {
            [
                i64::from(seccomp_by_prctl(SET_SECCOMP, 2, 0, 0, 0)),
                seccomp_by_number(SECCOMP, 0, 1, 0),
                seccomp_by_number(SECCOMP, 1, 0, 0),
            ]
        };
        assert_eq!(asked, [-1; 3]);
        assert!(!recorder::is_sandboxed());
    }
}
