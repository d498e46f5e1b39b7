//! What valgrind is asked and told, which runs a program on a processor of its own making. Its tool
//! memcheck knows of each byte whether it has ever been written. Without valgrind, a request is
//! some instructions that do nothing.

/// Whether this process runs in memcheck. Valgrind's other tools count, and look at no values.
pub(crate) fn is_memcheck() -> bool {
    /// What is known of the bits of some bytes: asked of a byte that is there, it is never 0.
    const GET_VALID_BITS: usize = (b'M' as usize) << 24 | (b'C' as usize) << 16 | 8;
    let (byte, mut bits) = (0_u8, 0_u8);
    let (asked, answer) = (&raw const byte as usize, &raw mut bits as usize);
    request([GET_VALID_BITS, asked, answer, 1, 0, 0]) != 0
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
