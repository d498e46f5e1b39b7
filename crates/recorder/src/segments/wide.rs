//! The comparison of a stack with segments, four words at a time: for processors with AVX2.

use std::arch::x86_64::{
    __m128i, __m256i, _mm_castpd_si128, _mm_cvtsi64_si128, _mm_load_sd, _mm_loadh_pd,
    _mm_loadu_si128, _mm256_and_si256, _mm256_load_si256, _mm256_or_si256, _mm256_set_epi64x,
    _mm256_set_m128i, _mm256_set1_epi64x, _mm256_setzero_si256, _mm256_sub_epi64,
    _mm256_testz_si256, _mm256_xor_si256,
};
use std::ptr::NonNull;

use crate::segments::{FRAMES, Segment, WORD};
use crate::stack::Bounds;

/// Words of a vector.
const LANES: usize = 4;

/// The [`crate::segments::Compare`] of walks through frame pointers.
#[target_feature(enable = "avx2")]
pub(super) unsafe fn is_linked_at(
    innermost: NonNull<Segment>,
    frame: usize,
    bounds: &Bounds,
) -> bool {
    let (mut base, mut at) = (frame, innermost);
    loop {
        // SAFETY: segments are never taken down, and were written before they were found.
        let segment = unsafe { at.as_ref() };
        let near = _mm_cvtsi64_si128(base as i64);
        // Only frame pointers are distances.
        let bases = _mm256_set_m128i(near, near);
        let mut differences = [_mm256_setzero_si256(); FRAMES / 2];
        for (two, difference) in differences.iter_mut().enumerate() {
            // SAFETY: the caller's promise: `reach` covers the words of every segment, and the
            // frame pointer is the word below the address.
            let (first, second) = unsafe {
                (
                    pair(base - WORD, segment.places[2 * two]),
                    pair(base - WORD, segment.places[2 * two + 1]),
                )
            };
            let found = _mm256_sub_epi64(_mm256_set_m128i(second, first), bases);
            *difference = _mm256_xor_si256(found, segment.known(two));
        }
        let [first, second, third, last] = differences;
        let others = _mm256_or_si256(_mm256_or_si256(first, second), third);
        let Some(outer) = segment.outer else {
            // The last frame pointer leads out of the stack, to wherever.
            let addresses = _mm256_set_epi64x(-1, 0, -1, -1);
            let last = _mm256_and_si256(last, addresses);
            // SAFETY: as above.
            return is_zero(_mm256_or_si256(others, last))
                && unsafe { segment.ends_at(base, bounds) };
        };
        if !is_zero(_mm256_or_si256(others, last)) {
            return false;
        }
        base += segment.to_outer as usize;
        at = outer;
    }
}

/// The [`crate::segments::Compare`] of walks through unwind tables.
#[target_feature(enable = "avx2")]
pub(super) unsafe fn is_spread_at(innermost: NonNull<Segment>, frame: usize, _: &Bounds) -> bool {
    let (mut base, mut at) = (frame, innermost);
    loop {
        // SAFETY: as in `is_linked_at`.
        let segment = unsafe { at.as_ref() };
        // SAFETY: the caller's promise: `reach` covers the words of every segment.
        let addresses = unsafe { [four(base, &segment.places, 0), four(base, &segment.places, 1)] };
        let mut difference = _mm256_or_si256(
            _mm256_xor_si256(addresses[0], segment.known(0)),
            _mm256_xor_si256(addresses[1], segment.known(1)),
        );
        for some in 0..FRAMES / LANES {
            if segment.links as usize > some * LANES {
                // SAFETY: as above; where there are fewer links, the first is repeated.
                let found = unsafe { four(base, &segment.link_places, some) };
                let distances = _mm256_sub_epi64(found, _mm256_set1_epi64x(base as i64));
                let known = segment.known(FRAMES / LANES + some);
                difference = _mm256_or_si256(difference, _mm256_xor_si256(distances, known));
            }
        }
        if !is_zero(difference) {
            return false;
        }
        let Some(outer) = segment.outer else { return true };
        base += segment.to_outer as usize;
        at = outer;
    }
}

impl Segment {
    /// Four of its words.
    #[inline]
    #[target_feature(enable = "avx2")]
    fn known(&self, number: usize) -> __m256i {
        let words: &[usize; LANES] = self.words.as_chunks().0.get(number).expect("a constant");
        // SAFETY: four words, at a multiple of their size in what is aligned to 64 bytes.
        unsafe { _mm256_load_si256(words.as_ptr().cast()) }
    }
}

#[inline]
#[target_feature(enable = "avx2")]
fn is_zero(vector: __m256i) -> bool {
    _mm256_testz_si256(vector, vector) == 1
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

/// The words of the stack at four of the places.
///
/// # Safety
///
/// As for `pair`.
#[inline]
#[target_feature(enable = "avx2")]
unsafe fn four(base: usize, places: &[u16; FRAMES], number: usize) -> __m256i {
    let at = |lane: usize| (base + usize::from(places[number * LANES + lane]) * WORD) as *const f64;
    // SAFETY: the caller's promise. Nothing is calculated with the words as numbers.
    unsafe {
        let low = _mm_loadh_pd(_mm_load_sd(at(0)), at(1));
        let high = _mm_loadh_pd(_mm_load_sd(at(2)), at(3));
        _mm256_set_m128i(_mm_castpd_si128(high), _mm_castpd_si128(low))
    }
}
