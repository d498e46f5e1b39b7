//! The comparison of a stack with segments, four words at a time: for processors with AVX2.

use std::arch::x86_64::{
    __m128i, __m256i, _mm_castpd_si128, _mm_load_sd, _mm_load_si128, _mm_loaddup_pd, _mm_loadh_pd,
    _mm_loadu_si128, _mm256_and_si256, _mm256_cvtepu32_epi64, _mm256_load_si256, _mm256_or_si256,
    _mm256_permute4x64_epi64, _mm256_set_epi64x, _mm256_set_m128i, _mm256_set1_epi64x,
    _mm256_setzero_si256, _mm256_slli_epi64, _mm256_srli_epi64, _mm256_sub_epi64,
    _mm256_testz_si256, _mm256_unpackhi_epi64, _mm256_unpacklo_epi64, _mm256_xor_si256,
};

use crate::segments::{FRAMES, Segment, Shape, WORD};
use crate::stack::Bounds;

/// The [`crate::segments::Compare`] of walks through frame pointers.
#[target_feature(enable = "avx2")]
pub(super) unsafe fn is_linked_at(shape: Shape, frame: usize, bounds: &Bounds) -> bool {
    let (mut base, mut at) = (frame, shape.innermost);
    let mut difference = _mm256_setzero_si256();
    // All are looked at, so that the processor need not guess which one differs; and it knows at
    // once how many there are.
    let mut left = shape.ways >> 1;
    while left != 1 {
        // SAFETY: segments are never taken down, and were written before they were found; the
        // caller's promise: `reach` covers the words of every segment.
        let (segment, [addresses, links]) = unsafe {
            let segment = at.as_ref();
            (segment, segment.linked_differences(base))
        };
        difference = _mm256_or_si256(difference, _mm256_or_si256(addresses, links));
        left >>= 1;
        base += segment.to_outer();
        // SAFETY: all but the last of a shape's segments have a next one.
        at = unsafe { segment.outer.unwrap_unchecked() };
    }
    // SAFETY: as above.
    unsafe {
        let root = at.as_ref();
        let [addresses, links] = root.linked_differences(base);
        // The last frame pointer leads out of the stack, to wherever.
        let links = _mm256_and_si256(links, _mm256_set_epi64x(0, -1, -1, -1));
        difference = _mm256_or_si256(difference, _mm256_or_si256(addresses, links));
        _mm256_testz_si256(difference, difference) == 1 && root.ends_at(base, bounds)
    }
}

/// The [`crate::segments::Compare`] of walks through unwind tables.
#[target_feature(enable = "avx2")]
pub(super) unsafe fn is_spread_at(shape: Shape, frame: usize, _: &Bounds) -> bool {
    let (mut base, mut at) = (frame, shape.innermost);
    let mut difference = _mm256_setzero_si256();
    let mut left = shape.ways;
    loop {
        // SAFETY: as in `is_linked_at`.
        let segment = unsafe { at.as_ref() };
        // SAFETY: the caller's promise: `reach` covers the words of every segment.
        let addresses = unsafe { segment.addresses_at(base) };
        let addresses = _mm256_xor_si256(addresses, segment.wide_addresses());
        difference = _mm256_or_si256(difference, addresses);
        if left & 1 != 0 {
            // SAFETY: as above.
            let distances = unsafe { segment.links_at(base) };
            // The last place of the links is none.
            let links = _mm256_permute4x64_epi64::<0b10_10_01_00>(segment.wide_links());
            let known = _mm256_slli_epi64::<3>(_mm256_srli_epi64::<16>(links));
            difference = _mm256_or_si256(difference, _mm256_xor_si256(distances, known));
        }
        left >>= 1;
        if left == 1 {
            return _mm256_testz_si256(difference, difference) == 1;
        }
        base += segment.to_outer();
        // SAFETY: all but the last of a shape's segments have a next one.
        at = unsafe { segment.outer.unwrap_unchecked() };
    }
}

impl Segment {
    /// What differs of the return addresses and of the frame pointers.
    ///
    /// # Safety
    ///
    /// With the segment's base at `base` its words lie on the calling thread's own stack.
    #[inline]
    #[target_feature(enable = "avx2")]
    unsafe fn linked_differences(&self, base: usize) -> [__m256i; 2] {
        let [first, second, third, last] = self.places;
        let frames = base - WORD;
        // SAFETY: the caller's promise; the frame pointer is the word below the address.
        let (one, other) = unsafe {
            (
                _mm256_set_m128i(pair(frames, second), pair(frames, first)),
                _mm256_set_m128i(pair(frames, last), pair(frames, third)),
            )
        };
        // In the order of `PAIRED`.
        let addresses = _mm256_unpackhi_epi64(one, other);
        let links = _mm256_unpacklo_epi64(one, other);
        let distances = _mm256_sub_epi64(links, _mm256_set1_epi64x(base as i64));
        [
            _mm256_xor_si256(addresses, self.wide_addresses()),
            _mm256_xor_si256(distances, self.wide_links()),
        ]
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn wide_addresses(&self) -> __m256i {
        // SAFETY: four words, at the beginning of what is aligned to 64 bytes.
        unsafe { _mm256_load_si256(self.addresses.as_ptr().cast()) }
    }

    #[inline]
    #[target_feature(enable = "avx2")]
    fn wide_links(&self) -> __m256i {
        // SAFETY: 16 bytes, behind 32 in what is aligned to 64 bytes.
        _mm256_cvtepu32_epi64(unsafe { _mm_load_si128(self.links.as_ptr().cast()) })
    }

    /// The words of the stack where the return addresses are.
    ///
    /// # Safety
    ///
    /// As for `linked_differences`.
    #[inline]
    #[target_feature(enable = "avx2")]
    unsafe fn addresses_at(&self, base: usize) -> __m256i {
        let at = |frame: usize| (base + usize::from(self.places[frame]) * WORD) as *const f64;
        // SAFETY: the caller's promise. Nothing is calculated with the words as numbers.
        unsafe {
            let low = _mm_loadh_pd(_mm_load_sd(at(0)), at(1));
            let high = _mm_loadh_pd(_mm_load_sd(at(2)), at(3));
            _mm256_set_m128i(_mm_castpd_si128(high), _mm_castpd_si128(low))
        }
    }

    /// What the words of the stack hold where the links are, as distances. The third comes twice.
    ///
    /// # Safety
    ///
    /// As for `linked_differences`, of a segment that has links.
    #[inline]
    #[target_feature(enable = "avx2")]
    unsafe fn links_at(&self, base: usize) -> __m256i {
        let at = |link: usize| (base + usize::from(self.links[link] as u16) * WORD) as *const f64;
        // SAFETY: as in `addresses_at`.
        let found = unsafe {
            let low = _mm_loadh_pd(_mm_load_sd(at(0)), at(1));
            let high = _mm_loaddup_pd(at(2));
            _mm256_set_m128i(_mm_castpd_si128(high), _mm_castpd_si128(low))
        };
        _mm256_sub_epi64(found, _mm256_set1_epi64x(base as i64))
    }
}

/// The two words of the stack that begin at a place.
///
/// # Safety
///
/// With the segment's base at `base` they lie on the calling thread's own stack.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn pair(base: usize, place: u16) -> __m128i {
    // SAFETY: the caller's promise.
    unsafe { _mm_loadu_si128((base + usize::from(place) * WORD) as *const __m128i) }
}

const _: () = assert!(FRAMES == 4);
