//! The comparison of a stack with segments, four words at a time: for processors with AVX2.

use std::arch::x86_64::{
    __m128i, __m256i, _mm_castpd_si128, _mm_load_sd, _mm_load_si128, _mm_loadh_pd, _mm_loadl_epi64,
    _mm_loadu_si128, _mm256_and_si256, _mm256_cvtepu16_epi64, _mm256_cvtepu32_epi64,
    _mm256_load_si256, _mm256_or_si256, _mm256_set_epi64x, _mm256_set_m128i, _mm256_set1_epi64x,
    _mm256_setzero_si256, _mm256_slli_epi64, _mm256_sub_epi64, _mm256_testz_si256,
    _mm256_unpackhi_epi64, _mm256_unpacklo_epi64, _mm256_xor_si256,
};
use std::ptr::NonNull;

use crate::segments::{FRAMES, Segment, Source, WORD, Ways};

/// The [`crate::segments::Compare`] of walks through frame pointers.
#[target_feature(enable = "avx2")]
pub(super) unsafe fn is_linked_at(
    innermost: NonNull<Segment>,
    ways: Ways,
    frame: usize,
    source: &Source,
) -> bool {
    let (mut base, all) = (frame, source.all);
    // SAFETY: segments are never taken down, and were written before they were found.
    let mut segment = unsafe { innermost.as_ref() };
    let mut difference = _mm256_setzero_si256();
    // All are looked at, so that the processor need not guess which one differs.
    let mut left = ways.0 >> 1;
    while left != 1 {
        // SAFETY: `Source::has` says that the words of every segment are there.
        let [addresses, links] = unsafe { segment.linked_differences(base) };
        difference = _mm256_or_si256(difference, _mm256_or_si256(addresses, links));
        left >>= 1;
        base += segment.to_outer as usize;
        // SAFETY: all but the last of a shape's segments have an outer one, among the same.
        segment = unsafe { segment.outer.segment(all) };
    }
    // SAFETY: as above.
    unsafe {
        let [addresses, links] = segment.linked_differences(base);
        // The last frame pointer leads out of the stack, to wherever.
        let links = _mm256_and_si256(links, _mm256_set_epi64x(0, -1, -1, -1));
        difference = _mm256_or_si256(difference, _mm256_or_si256(addresses, links));
        _mm256_testz_si256(difference, difference) == 1 && segment.ends_at(base, &source.bounds)
    }
}

/// The [`crate::segments::Compare`] of walks through unwind tables.
#[target_feature(enable = "avx2")]
pub(super) unsafe fn is_spread_at(
    innermost: NonNull<Segment>,
    ways: Ways,
    frame: usize,
    source: &Source,
) -> bool {
    let (mut base, all) = (frame, source.all);
    // SAFETY: as in `is_linked_at`.
    let mut segment = unsafe { innermost.as_ref() };
    let mut difference = _mm256_setzero_si256();
    let mut left = ways.0;
    loop {
        // SAFETY: as in `is_linked_at`.
        let addresses = unsafe { segment.addresses_at(base) };
        let addresses = _mm256_xor_si256(addresses, segment.wide_addresses());
        difference = _mm256_or_si256(difference, addresses);
        if left & 1 != 0 {
            // SAFETY: as above.
            let distances = unsafe { segment.links_at(base) };
            let known = segment.wide_values();
            difference = _mm256_or_si256(difference, _mm256_xor_si256(distances, known));
        }
        left >>= 1;
        if left == 1 {
            return _mm256_testz_si256(difference, difference) == 1;
        }
        base += segment.to_outer as usize;
        // SAFETY: as in `is_linked_at`.
        segment = unsafe { segment.outer.segment(all) };
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
        let [first, second, third, last] = each(&self.places);
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

    /// What the segment's links hold, in bytes.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn wide_values(&self) -> __m256i {
        let values = &raw const self.spread_links().values;
        // SAFETY: eight bytes.
        let words = _mm256_cvtepu16_epi64(unsafe { _mm_loadl_epi64(values.cast()) });
        _mm256_slli_epi64::<3>(words)
    }

    /// The words of the stack where the return addresses are.
    ///
    /// # Safety
    ///
    /// As for `linked_differences`.
    #[inline]
    #[target_feature(enable = "avx2")]
    unsafe fn addresses_at(&self, base: usize) -> __m256i {
        // SAFETY: the caller's promise.
        unsafe { four(base, &self.places) }
    }

    /// What the words of the stack hold where the links are, as distances.
    ///
    /// # Safety
    ///
    /// As for `linked_differences`, of a segment that has links.
    #[inline]
    #[target_feature(enable = "avx2")]
    unsafe fn links_at(&self, base: usize) -> __m256i {
        // SAFETY: the caller's promise.
        let found = unsafe { four(base, &self.spread_links().places) };
        _mm256_sub_epi64(found, _mm256_set1_epi64x(base as i64))
    }
}

/// Places, each with a load of its own. Compilers would make one of the four, and take it apart
/// with twice as many instructions.
#[inline(always)]
fn each(places: &[u16; FRAMES]) -> [u16; FRAMES] {
    [0, 1, 2, 3].map(|at: usize| {
        // SAFETY: one of the places.
        unsafe { (&raw const places[at]).read_volatile() }
    })
}

/// The words of the stack at four places.
///
/// # Safety
///
/// With the segment's base at `base` they lie on the calling thread's own stack.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn four(base: usize, places: &[u16; FRAMES]) -> __m256i {
    let [first, second, third, last] =
        each(places).map(|place| (base + usize::from(place) * WORD) as *const f64);
    // SAFETY: the caller's promise. Nothing is calculated with the words as numbers.
    unsafe {
        let low = _mm_loadh_pd(_mm_load_sd(first), second);
        let high = _mm_loadh_pd(_mm_load_sd(third), last);
        _mm256_set_m128i(_mm_castpd_si128(high), _mm_castpd_si128(low))
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
