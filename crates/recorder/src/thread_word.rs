//! One word of the calling thread's own: the fastest way there is to it.
//!
//! In a library, Rust's `thread_local!` calls the loader's `__tls_get_addr` at each use, twice for
//! each allocation and free. A library that is preloaded may do as programs do: its variables lie
//! at a distance from the thread pointer that is known when it has been loaded ("initial exec").
//! Rust has no stable way to say so, hence the assembly.

#[cfg(target_arch = "x86_64")]
mod word {
    std::arch::global_asm!(
        ".pushsection .tbss.tlsheap_recorder_word, \"awT\", @nobits",
        ".balign 8",
        ".globl tlsheap_recorder_word",
        ".hidden tlsheap_recorder_word",
        ".type tlsheap_recorder_word, @object",
        ".size tlsheap_recorder_word, 8",
        "tlsheap_recorder_word:",
        ".zero 8",
        ".popsection",
    );

    /// The variable's distance from the thread pointer.
    #[inline(always)]
    fn distance() -> usize {
        let distance;
        // SAFETY: reads what the loader has stored once.
        unsafe {
            std::arch::asm!(
                "mov {distance}, qword ptr [rip + tlsheap_recorder_word@GOTTPOFF]",
                distance = out(reg) distance,
                options(nostack, preserves_flags, pure, nomem),
            );
        }
        distance
    }

    #[inline(always)]
    pub(crate) fn get() -> usize {
        let value;
        // SAFETY: reads the thread's copy of the variable above.
        unsafe {
            std::arch::asm!(
                "mov {value}, qword ptr fs:[{distance}]",
                distance = in(reg) distance(),
                value = lateout(reg) value,
                options(nostack, preserves_flags, readonly),
            );
        }
        value
    }

    #[inline(always)]
    pub(crate) fn set(value: usize) {
        // SAFETY: writes the thread's copy of the variable above, which nothing else refers to.
        unsafe {
            std::arch::asm!(
                "mov qword ptr fs:[{distance}], {value}",
                distance = in(reg) distance(),
                value = in(reg) value,
                options(nostack, preserves_flags),
            );
        }
    }

    #[inline(always)]
    pub(crate) fn clear_lowest_bit() {
        // SAFETY: as for `set`.
        unsafe {
            std::arch::asm!(
                "mov {distance}, qword ptr [rip + tlsheap_recorder_word@GOTTPOFF]",
                "and qword ptr fs:[{distance}], -2",
                distance = out(reg) _,
                options(nostack),
            );
        }
    }
}

#[cfg(not(target_arch = "x86_64"))]
mod word {
    use std::cell::Cell;

    thread_local! {
        // Constant and without a destructor: using it never allocates and never fails, not even
        // while the thread is being torn down.
        static WORD: Cell<usize> = const { Cell::new(0) };
    }

    #[inline]
    pub(crate) fn get() -> usize {
        WORD.get()
    }

    #[inline]
    pub(crate) fn set(value: usize) {
        WORD.set(value);
    }

    #[inline]
    pub(crate) fn clear_lowest_bit() {
        WORD.set(WORD.get() & !1);
    }
}

pub(crate) use word::{clear_lowest_bit, get, set};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_thread_has_its_own() {
        set(7);
        let other = std::thread::spawn(|| {
            let before = get();
            set(8);
            (before, get())
        });
        assert_eq!(other.join().expect("it ends well"), (0, 8));
        assert_eq!(get(), 7);
        clear_lowest_bit();
        assert_eq!(get(), 6);
        set(0);
    }
}
