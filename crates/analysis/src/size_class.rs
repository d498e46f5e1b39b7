//! jemalloc's size classes: how many bytes a block really takes.

/// The page of jemalloc on the targets of the recorder.
const PAGE: u64 = 4096;

/// The largest size that shares pages with others.
const LARGEST_SMALL: u64 = 14 * 1024;

/// The usable bytes of a block of `bytes`, as jemalloc 5.3.1 rounds them up: multiples of 16 to
/// 128, then four sizes for each doubling, and whole pages from 14 KiB on.
pub fn usable(bytes: u64) -> u64 {
    match bytes {
        0..=8 => 8,
        9..=128 => bytes.next_multiple_of(16),
        129..=LARGEST_SMALL => {
            let doubling = (bytes - 1).ilog2();
            bytes.next_multiple_of(1 << (doubling - 2))
        }
        _ => bytes.checked_next_multiple_of(PAGE).unwrap_or(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_rounded_up_as_jemalloc_does() {
        for (bytes, expected) in [
            (0, 8),
            (8, 8),
            (9, 16),
            (17, 32),
            (128, 128),
            (129, 160),
            (256, 256),
            (257, 320),
            (1_025, 1_280),
            (7_160, 7_168),
            (14_336, 14_336),
            (14_337, 16_384),
            (16_385, 20_480),
            (65_552, 69_632),
            (262_144, 262_144),
            (u64::MAX, u64::MAX),
        ] {
            assert_eq!(usable(bytes), expected, "{bytes}");
        }
    }
}
