//! What valgrind is told, which runs a program on a processor of its own making and knows of each
//! byte whether it has ever been written. Without valgrind, a request is some instructions that do
//! nothing.

/// Whether this process runs in valgrind.
pub(crate) fn is_running() -> bool {
    const RUNNING_ON_VALGRIND: usize = 0x1001;
    request([RUNNING_ON_VALGRIND, 0, 0, 0, 0, 0]) != 0
}

/// Says that a stack lies here. Valgrind takes a jump of the stack pointer for a large frame
/// otherwise, and everything it leaps over for memory that nobody may touch.
pub(crate) fn register_stack(low: usize, high: usize) {
    const STACK_REGISTER: usize = 0x1501;
    request([STACK_REGISTER, low, high, 0, 0, 0]);
}

/// Valgrind's answer to a request and its arguments; 0 without it.
#[cfg(target_arch = "x86_64")]
fn request(words: [usize; 6]) -> usize {
    let mut answer = 0;
    // SAFETY: a register is turned by as many bits as it has, and another changed for itself;
    // valgrind knows the sequence, reads the words, and puts an answer into rdx.
    unsafe {
        std::arch::asm!(
            "rol rdi, 3",
            "rol rdi, 13",
            "rol rdi, 61",
            "rol rdi, 51",
            "xchg rbx, rbx",
            in("rax") words.as_ptr(),
            inout("rdx") answer,
            options(nostack),
        );
    }
    answer
}

/// As above.
#[cfg(target_arch = "aarch64")]
fn request(words: [usize; 6]) -> usize {
    let mut answer = 0;
    // SAFETY: as above, with an answer in x3.
    unsafe {
        std::arch::asm!(
            "ror x12, x12, 3",
            "ror x12, x12, 13",
            "ror x12, x12, 51",
            "ror x12, x12, 61",
            "orr x10, x10, x10",
            inout("x3") answer,
            in("x4") words.as_ptr(),
            options(nostack),
        );
    }
    answer
}

/// Elsewhere it is not asked.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn request(_words: [usize; 6]) -> usize {
    0
}
