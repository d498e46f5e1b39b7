//! The comparison of a stack with segments, one word after the other: for any processor.

use std::ptr::NonNull;

use crate::bounds::Bounds;
use crate::segments::{FRAMES, Links, PAIRED, Place, Segment, Source, WORD, Ways};
use crate::stack;

/// No shape has more segments: its [`Ways`] have a bit for each.
const MOST: usize = u32::BITS as usize;

/// The [`crate::segments::Compare`] of walks through frame pointers.
pub(super) unsafe fn is_linked_at(
    innermost: NonNull<Segment>,
    _: Ways,
    frame: usize,
    source: &Source,
) -> bool {
    let mut base = frame;
    // SAFETY: segments are never taken down, and were written before they were found.
    let mut segment = unsafe { innermost.as_ref() };
    for _ in 0..MOST {
        // SAFETY: `Source::has` says that the words of every segment are there.
        if unsafe { segment.linked_difference(base) } != 0 {
            return false;
        }
        if segment.outer == Place::NONE {
            // SAFETY: as above.
            return unsafe { segment.ends_at(base, &source.bounds) };
        }
        base += segment.to_outer as usize;
        // SAFETY: a segment's outer one is among the same.
        segment = unsafe { segment.outer.segment(source.all) };
    }
    false
}

/// The [`crate::segments::Compare`] of walks through unwind tables.
pub(super) unsafe fn is_spread_at(
    innermost: NonNull<Segment>,
    _: Ways,
    frame: usize,
    source: &Source,
) -> bool {
    let mut base = frame;
    // SAFETY: as in `is_linked_at`.
    let mut segment = unsafe { innermost.as_ref() };
    for _ in 0..MOST {
        // SAFETY: as in `is_linked_at`.
        if unsafe { segment.spread_difference(base) } != 0 {
            return false;
        }
        if segment.outer == Place::NONE {
            return true;
        }
        base += segment.to_outer as usize;
        // SAFETY: as in `is_linked_at`.
        segment = unsafe { segment.outer.segment(source.all) };
    }
    false
}

impl Segment {
    /// The word of the stack at a place.
    ///
    /// # Safety
    ///
    /// With the segment's base at `base` it lies on the calling thread's own stack.
    #[inline(always)]
    pub(super) unsafe fn word(base: usize, place: u16) -> usize {
        // SAFETY: the caller's promise; distances are counted in words.
        unsafe { ((base + usize::from(place) * WORD) as *const usize).read() }
    }

    /// Whether a walk through frame pointers ends at the last frame of this outermost segment.
    ///
    /// # Safety
    ///
    /// With the segment's base at `base`, its words lie on the calling thread's own stack.
    #[inline(always)]
    pub(super) unsafe fn ends_at(&self, base: usize, bounds: &Bounds) -> bool {
        let place = self.places[FRAMES - 1];
        // SAFETY: the caller's promise; a frame pointer lies in the word below an address.
        let link = unsafe { Self::word(base - WORD, place) };
        stack::is_root(base + usize::from(place) * WORD - WORD, link, *bounds)
    }

    /// Not 0 when the words of the stack differ from those of the segment.
    ///
    /// # Safety
    ///
    /// As for `ends_at`.
    #[inline]
    unsafe fn spread_difference(&self, base: usize) -> usize {
        let mut difference = 0;
        for (place, address) in self.places.iter().zip(self.addresses) {
            // SAFETY: the caller's promise.
            difference |= unsafe { Self::word(base, *place) } ^ address;
        }
        if self.has_spread_links() {
            let Links { places, values } = self.spread_links();
            for (place, value) in places.iter().zip(values) {
                let known = base + usize::from(*value) * WORD;
                // SAFETY: the caller's promise.
                difference |= unsafe { Self::word(base, *place) } ^ known;
            }
        }
        difference
    }

    /// What differs in the words of a walk through frame pointers; 0 when nothing does. The last
    /// frame pointer of the outermost segment is not looked at.
    ///
    /// # Safety
    ///
    /// As for `ends_at`.
    #[inline]
    unsafe fn linked_difference(&self, base: usize) -> usize {
        (0..FRAMES).fold(0, |difference, at| {
            let place = self.places[PAIRED[at]];
            // SAFETY: the caller's promise.
            let (link, address) =
                unsafe { (Self::word(base - WORD, place), Self::word(base, place)) };
            let link = link.wrapping_sub(base) ^ self.links[at] as usize;
            let is_open = at == FRAMES - 1 && self.outer == Place::NONE;
            difference | if is_open { 0 } else { link } | address ^ self.addresses[at]
        })
    }
}
