//! Stacks seen before, in pieces of four frames that they share, to be recognised by their words.
//!
//! A walk is a function of the words that it reads. So when every word that a walk has read is
//! there again, at the same distances, the stack is the same: nothing is assumed about the program.
//! To compare takes a fraction of the time of a walk, because no word has to be waited for to know
//! where the next one is.
//!
//! Pieces are cut from the root inwards, so that stacks with common outer frames share them.
//! They are only ever added, and are found by their content.

mod cut;
#[cfg(target_arch = "x86_64")]
mod wide;
mod word_by_word;

use std::ptr::NonNull;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::bounds::Bounds;
use crate::index::{Index, Wanted};
use crate::memory::{Growing, Table};
use crate::segments::cut::{Outer, cut};
use crate::segments::word_by_word::{is_linked_at, is_spread_at};
use crate::stack::StackSource;
use crate::trace::Trace;
use crate::valgrind;

/// Frames of a segment: as many as fit into a cache line, since a program's stacks are many.
const FRAMES: usize = 4;
/// Bytes of a word. Places and distances are counted in words.
const WORD: usize = size_of::<usize>();

/// Up to four frames of a stack. Places are distances from the segment's base, the word below
/// its first return address. Where there are fewer, the first frame is repeated before it.
#[repr(C, align(64))]
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Segment {
    /// The return addresses. Of a walk through frame pointers they are in the order of
    /// [`PAIRED`].
    addresses: [usize; FRAMES],
    /// What else the walk depended on. Through frame pointers: what the word below each address
    /// holds, as a distance in bytes from the base, in the same order. Through unwind tables:
    /// [`Links`].
    links: [u32; FRAMES],
    /// Where the return addresses lie.
    places: [u16; FRAMES],
    /// The next segment further out; 0 is none.
    outer: Place,
    /// From the base of this segment to the base of the next one, in bytes.
    to_outer: u32,
}

/// Words of the stack that hold addresses of the stack. The first one is repeated after the last.
#[repr(C)]
#[derive(Clone, Copy)]
struct Links {
    /// Where they lie.
    places: [u16; FRAMES],
    /// What they hold, as distances in words. All 0 where there are no links: none leads to the
    /// base.
    values: [u16; FRAMES],
}

const _: () = assert!(size_of::<Links>() == size_of::<[u32; FRAMES]>());

/// Where a segment lies among all, in bytes: a pointer would be too long for a cache line.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Place(u32);

impl Place {
    const NONE: Place = Place(0);

    /// # Safety
    ///
    /// It is the place of a segment among `all`.
    #[inline(always)]
    unsafe fn segment<'a>(self, all: NonNull<Segment>) -> &'a Segment {
        // SAFETY: the caller's promise; segments are never taken down, and were written before they
        // were found.
        unsafe { all.byte_add(self.0 as usize).as_ref() }
    }
}

/// Segments get memory in steps of so many bytes: 16,384 of them.
const BYTES_AT_ONCE: usize = 1 << 20;

/// The order in which vector instructions take two pairs apart.
const PAIRED: [usize; FRAMES] = [0, 2, 1, 3];

const _: () = assert!(size_of::<Segment>() == 64);

/// A whole stack: its segments, and how far the words of all reach.
#[derive(Clone, Copy)]
pub(crate) struct Shape {
    pub innermost: NonNull<Segment>,
    pub ways: Ways,
    /// Bytes from the hook's frame to the last word.
    pub reach: u32,
}

/// For each segment of a shape from the innermost outwards a bit, from the lowest one on: whether
/// it has links. Above them a 1. So the processor knows the way before it has the segments.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ways(u32);

/// What is common to the comparisons of a thread.
#[derive(Clone, Copy)]
pub(crate) struct Source {
    /// The part of memory that is its stack.
    pub bounds: Bounds,
    /// Where segments lie.
    all: NonNull<Segment>,
    compare: Compare,
}

/// Says whether the stack at a hook's frame is that of the shape with these segments, word by word,
/// and a walk would go the same way.
type Compare = unsafe fn(NonNull<Segment>, Ways, usize, &Source) -> bool;

/// The [`Compare`] that finds no stack again.
unsafe fn is_none(_: NonNull<Segment>, _: Ways, _: usize, _: &Source) -> bool {
    false
}

impl Source {
    /// The source of segments for a thread whose stack is not known yet.
    pub(crate) fn new(stacks: StackSource, segments: &Segments) -> Source {
        let compare = Segment::compare(stacks);
        Source { bounds: Bounds::NOWHERE, all: segments.all.start().cast(), compare }
    }

    /// Whether the stack of a hook with this frame is of this shape.
    ///
    /// # Safety
    ///
    /// The shape is one of [`Segments::of`], from a trace of this source, and the frame is that of
    /// a function that the calling thread is in.
    #[inline(always)]
    pub(crate) unsafe fn has(&self, shape: Shape, frame: usize) -> bool {
        self.bounds.hold_from(frame, shape.reach as usize)
            // SAFETY: the caller's promise; the words of every segment, which `reach` covers, are
            // on the thread's own stack.
            && unsafe { (self.compare)(shape.innermost, shape.ways, frame, self) }
    }
}

impl Segment {
    /// The segment of no frames.
    const EMPTY: Segment = Segment {
        addresses: [0; FRAMES],
        links: [0; FRAMES],
        places: [0; FRAMES],
        outer: Place::NONE,
        to_outer: 0,
    };

    /// The fastest way on this processor. None in valgrind's memcheck: of the words that are
    /// compared some may be ones that the program has never written, where another stack was, and
    /// to look at such a word is what it reports. A walk reads none of them.
    fn compare(stacks: StackSource) -> Compare {
        if valgrind::is_memcheck() {
            return is_none;
        }
        #[cfg(target_arch = "x86_64")]
        if std::arch::is_x86_feature_detected!("avx2") {
            return match stacks {
                StackSource::FramePointers => wide::is_linked_at,
                StackSource::UnwindTables => wide::is_spread_at,
            };
        }
        match stacks {
            StackSource::FramePointers => is_linked_at,
            StackSource::UnwindTables => is_spread_at,
        }
    }

    /// What `links` are of a walk through unwind tables.
    #[inline(always)]
    fn spread_links(&self) -> &Links {
        // SAFETY: `Links` are as many bytes, of which none has a meaning of its own, and need less
        // alignment.
        unsafe { &*(&raw const self.links).cast::<Links>() }
    }

    fn has_spread_links(&self) -> bool {
        self.spread_links().values != [0; FRAMES]
    }

    fn hash(&self) -> u64 {
        const K: u64 = 0x9e37_79b9_7f4a_7c15;
        let mut hash = (u64::from(self.outer.0) << 32 | u64::from(self.to_outer)).wrapping_mul(K);
        let mut mix = |word: u64| hash = (hash.rotate_left(23) ^ word).wrapping_mul(K);
        self.addresses.iter().for_each(|address| mix(*address as u64));
        self.links.iter().for_each(|link| mix(u64::from(*link)));
        mix(self.places.iter().fold(0, |places, place| places << 16 | u64::from(*place)));
        hash ^ hash >> 29
    }
}

/// All segments of a process.
pub(crate) struct Segments {
    all: Growing,
    /// Handed out, written or not.
    used: AtomicUsize,
    capacity: usize,
    index: Index,
}

impl Segments {
    /// Room for the stacks of `sites` sites. `None` when the kernel refuses memory.
    pub(crate) fn for_sites(sites: u32) -> Option<Segments> {
        // Most have some frames of their own, and those of others further out.
        let capacity = sites as usize * 3;
        Some(Segments {
            all: Growing::new(capacity * size_of::<Segment>(), BYTES_AT_ONCE)?,
            // The first place is none.
            used: AtomicUsize::new(1),
            capacity,
            index: Index::new()?,
        })
    }

    /// Gives all of them back.
    ///
    /// # Safety
    ///
    /// Nobody uses them any more.
    pub(crate) unsafe fn unmap(&self) {
        // SAFETY: the caller's promise.
        unsafe {
            self.index.tables().for_each(|table| table.unmap());
            self.all.unmap();
        }
    }

    /// The segments themselves, and their index.
    pub(crate) fn tables(&self) -> impl Iterator<Item = Table> + '_ {
        self.index.tables().chain([self.all.table()])
    }

    /// The shape of what was walked from the hook's frame at `frame`. `None` when it cannot be
    /// recognised by its words, or there is no room. `grown` is told of tables that are added.
    pub(crate) fn of(&self, frame: usize, trace: &Trace, grown: impl Fn(Table)) -> Option<Shape> {
        if !trace.is_repeatable() || trace.word(0).1 != frame + WORD {
            return None;
        }
        let mut outer: Option<Outer> = None;
        let mut ways = 1;
        let mut piece = Segment::EMPTY;
        let mut end = trace.words();
        while end > 0 {
            // Fewer where there would be too many links.
            let starts = end.saturating_sub(FRAMES)..end;
            let start = starts
                .into_iter()
                .find(|start| cut(&mut piece, trace, *start..end, outer).is_some())?;
            let base = trace.word(start).1 - WORD;
            let segment = self.place(self.find(&piece, &grown)?);
            outer = Some(Outer { segment, base });
            let has_links = !trace.is_linked() && piece.has_spread_links();
            ways = u32::checked_mul(ways, 2)? | u32::from(has_links);
            end = start;
        }
        // SAFETY: the place of one that was just found.
        let innermost = NonNull::from(unsafe { outer?.segment.segment(self.all.start().cast()) });
        let last = trace.word(trace.words() - 1).1;
        let farthest = trace.links().map(|link| link.place).fold(last, usize::max);
        Some(Shape { innermost, ways: Ways(ways), reach: u32::try_from(farthest - frame).ok()? })
    }

    /// The segment with this content, which is added when it is new. `grown` is told of tables
    /// that are added for it.
    fn find(&self, segment: &Segment, grown: impl Fn(Table)) -> Option<NonNull<Segment>> {
        // SAFETY: written before its number came into the index, and never changed.
        let is = |number| unsafe { self.at(number as usize).as_ref() } == segment;
        let hash = segment.hash();
        let found = self
            .index
            .find(&Wanted { hash, is, grown: &grown }, || Some(self.add(segment, &grown)? as u32));
        found.map(|number| self.at(number as usize))
    }

    /// Adds a segment and returns its number; `None` when there is no room.
    fn add(&self, segment: &Segment, grown: &impl Fn(Table)) -> Option<usize> {
        let number = self
            .used
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |used| {
                (used < self.capacity).then_some(used + 1)
            })
            .ok()?;
        if !self.all.reach((number + 1) * size_of::<Segment>(), grown) {
            return None;
        }
        // SAFETY: below the capacity, usable, handed to this call alone, and seen by others only
        // after its number is in the index.
        unsafe { self.at(number).write(*segment) };
        Some(number)
    }

    fn place(&self, segment: NonNull<Segment>) -> Place {
        Place((segment.as_ptr() as usize - self.all.start().as_ptr() as usize) as u32)
    }

    fn at(&self, number: usize) -> NonNull<Segment> {
        debug_assert!(number < self.capacity);
        // SAFETY: numbers come from `add` and stay below the capacity.
        unsafe { self.all.start().cast::<Segment>().add(number) }
    }
}

#[cfg(test)]
mod tests;
