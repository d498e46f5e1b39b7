//! How many bytes the calling thread has to allocate until its next sample, in a word of its own
//! that is reached as `thread_word` is. 0 is a thread that has drawn no distance yet.

#[cfg(target_arch = "x86_64")]
mod word {
    std::arch::global_asm!(
        ".pushsection .tbss.tlsheap_recorder_countdown, \"awT\", @nobits",
        ".balign 8",
        ".globl tlsheap_recorder_countdown",
        ".hidden tlsheap_recorder_countdown",
        ".type tlsheap_recorder_countdown, @object",
        ".size tlsheap_recorder_countdown, 8",
        "tlsheap_recorder_countdown:",
        ".zero 8",
        ".popsection",
    );

    #[inline(always)] // three instructions
    pub(crate) fn fall(bytes: i64) -> i64 {
        let left;
        // SAFETY: reads and writes the thread's copy of the variable above, which nothing else
        // refers to, at its distance from the thread pointer.
        unsafe {
            std::arch::asm!(
                "mov {distance}, qword ptr [rip + tlsheap_recorder_countdown@GOTTPOFF]",
                "mov {left}, qword ptr fs:[{distance}]",
                "sub {left}, {bytes}",
                "mov qword ptr fs:[{distance}], {left}",
                distance = out(reg) _,
                left = out(reg) left,
                bytes = in(reg) bytes,
                options(nostack),
            );
        }
        left
    }

    #[inline]
    pub(crate) fn set(value: i64) {
        // SAFETY: as above.
        unsafe {
            std::arch::asm!(
                "mov {distance}, qword ptr [rip + tlsheap_recorder_countdown@GOTTPOFF]",
                "mov qword ptr fs:[{distance}], {value}",
                distance = out(reg) _,
                value = in(reg) value,
                options(nostack, preserves_flags),
            );
        }
    }
}

#[cfg(not(target_arch = "x86_64"))]
mod word {
    use std::cell::Cell;

    thread_local! {
        // As in `thread_word`.
        static LEFT: Cell<i64> = const { Cell::new(0) };
    }

    #[inline]
    pub(crate) fn fall(bytes: i64) -> i64 {
        let left = LEFT.get().wrapping_sub(bytes);
        LEFT.set(left);
        left
    }

    #[inline]
    pub(crate) fn set(value: i64) {
        LEFT.set(value);
    }
}

/// Counts a block of so many bytes down, and returns what is left. 0 or less: look whether the
/// block is to be counted, with [`restart`].
#[inline(always)]
pub(super) fn fall(bytes: u64) -> i64 {
    word::fall(bytes as i64)
}

/// Whether the block of so many bytes, after which `left` is what was left, is to be counted.
/// `next` draws a distance of at least 1.
pub(super) fn restart(left: i64, bytes: u64, next: impl Fn() -> i64) -> bool {
    let before = left.wrapping_add(bytes as i64);
    if before > 0 {
        word::set(next());
        return true;
    }
    // The thread's first block.
    let left = next().saturating_sub_unsigned(bytes);
    let counted = left <= 0;
    word::set(if counted { next() } else { left });
    counted
}

/// The calling thread has drawn no distance yet.
pub(super) fn forget() {
    word::set(0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_counted_when_it_reaches_the_distance() {
        forget();
        let next = || 100;
        let mut counted = |bytes| {
            let left = fall(bytes);
            left <= 0 && restart(left, bytes, next)
        };
        // 99 of 100, then the hundredth byte, then a block larger than the distance.
        assert_eq!(
            [60, 39, 1, 99, 500, 0, 99, 1].map(&mut counted),
            [false, false, true, false, true, false, false, true]
        );
        forget();
        assert!(counted(100), "the first block has the same chance as others");
        forget();
        assert!(!counted(0), "a block of no bytes has none");
    }

    #[test]
    fn each_thread_counts_for_itself() {
        word::set(50);
        let other = std::thread::spawn(|| fall(7));
        assert_eq!(other.join().expect("it ends well"), -7);
        assert_eq!(fall(7), 43);
        forget();
    }
}
