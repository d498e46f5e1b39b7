//! The register through which frames are chained.

/// The frame pointer of the function this is inlined into.
#[inline(always)] // anything else reads another function's register
pub(crate) fn frame_pointer() -> usize {
    let pointer: usize;
    // SAFETY: copies a register, and nothing else.
    unsafe {
        #[cfg(target_arch = "x86_64")]
        std::arch::asm!("mov {}, rbp", out(reg) pointer, options(nomem, nostack, preserves_flags));
        #[cfg(target_arch = "aarch64")]
        std::arch::asm!("mov {}, x29", out(reg) pointer, options(nomem, nostack, preserves_flags));
    }
    pointer
}
