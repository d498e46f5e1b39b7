//! How a walk is cut into segments.

use std::ops::Range;

use crate::segments::{FRAMES, Links, PAIRED, Place, Segment, WORD};
use crate::trace::{Link, Trace};

/// The segment that lies next further out.
#[derive(Clone, Copy)]
pub(super) struct Outer {
    pub segment: Place,
    pub base: usize,
}

/// Makes `segment` a part of a trace. `None`, and something else in `segment`, when a distance or
/// the number of links is too large.
///
/// Not a function that returns the segment: copies of it would take up its caller's stack.
#[inline(never)]
pub(super) fn cut(
    segment: &mut Segment,
    trace: &Trace,
    part: Range<usize>,
    outer: Option<Outer>,
) -> Option<()> {
    let base = trace.word(part.start).1 - WORD;
    let distance = |place: usize| {
        let bytes = place.checked_sub(base)?;
        u16::try_from(bytes / WORD).ok().filter(|_| bytes.is_multiple_of(WORD))
    };
    let to_outer = match outer {
        Some(outer) => u32::try_from(outer.base.checked_sub(base)?).ok()?,
        None => 0,
    };
    segment.outer = outer.map_or(Place::NONE, |outer| outer.segment);
    segment.to_outer = to_outer;
    let padding = FRAMES - part.len();
    let frames = (0..FRAMES).map(|at| trace.word(part.start + at.saturating_sub(padding)));
    for (at, (address, place)) in frames.enumerate() {
        segment.addresses[at] = address;
        segment.places[at] = distance(place)?;
    }
    if trace.is_linked() {
        segment.link_frames(padding);
        // The frame pointer of a lone frame that is the root is not known here.
        return (part.len() > 1 || outer.is_some()).then_some(());
    }
    let outer_base = outer.map_or(usize::MAX, |outer| outer.base);
    let within = |link: &Link| link.place < outer_base && (link.place >= base || part.start == 0);
    let mut count = 0;
    let mut links = Links { places: [0; FRAMES], values: [0; FRAMES] };
    for Link { place, value } in trace.links().filter(within) {
        *links.places.get_mut(count)? = distance(place)?;
        links.values[count] = distance(value).filter(|value| *value != 0)?;
        count += 1;
    }
    let Links { places: [place, ..], values: [value, ..] } = links;
    links.places[count..].fill(place);
    links.values[count..].fill(value);
    // SAFETY: as in `spread_links`.
    segment.links = unsafe { std::mem::transmute::<Links, [u32; FRAMES]>(links) };
    Some(())
}

impl Segment {
    /// Each frame pointer leads to the frame of the next return address.
    fn link_frames(&mut self, padding: usize) {
        let (addresses, places) = (self.addresses, self.places);
        for (at, frame) in PAIRED.into_iter().enumerate() {
            self.addresses[at] = addresses[frame];
            // Repetitions of the first frame lead where it does.
            self.links[at] = match places.get((frame + 1).max(padding + 1)) {
                Some(place) => (usize::from(*place) * WORD - WORD) as u32,
                None => self.to_outer,
            };
        }
    }
}
