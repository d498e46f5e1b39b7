//! The call stack, read through frame pointers or unwind tables.

use ledger_writer::StackEnd;

use crate::bounds::Bounds;
use crate::trace::Trace;
use crate::unwind;

/// How stacks are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StackSource {
    /// Through frame pointers, which the program and its OpenSSL must be built with.
    FramePointers,
    /// Through the unwind tables that programs carry for their exceptions and debuggers. Ends early
    /// in code that has none.
    UnwindTables,
}

impl StackSource {
    /// Unwind tables where this processor and C library allow for them, else frame pointers.
    pub fn best() -> StackSource {
        if StackSource::UnwindTables.prepare() {
            StackSource::UnwindTables
        } else {
            StackSource::FramePointers
        }
    }

    /// Gets ready. `false` when stacks cannot be read so on this processor or C library.
    pub(crate) fn prepare(self) -> bool {
        match self {
            StackSource::FramePointers => true,
            StackSource::UnwindTables => unwind::prepare(),
        }
    }

    /// Walks the stack that led to the function whose frame pointer is `frame`.
    pub(crate) fn walk(self, frame: usize, bounds: Bounds, trace: &mut Trace) {
        trace.begin();
        match self {
            StackSource::FramePointers => walk(frame, bounds, trace),
            StackSource::UnwindTables => unwind::walk(frame, bounds, trace),
        }
    }
}

/// Walks outwards from the frame at `frame`, whose return address comes first.
///
/// A frame pointer is followed only when it lies on the calling thread's stack, aligned, and
/// further out than the one before it; anything else is the end of the stack. So a function built
/// without frame pointers cuts the stack short, and never leads the walk astray to memory that is
/// not the thread's own.
fn walk(frame: usize, bounds: Bounds, trace: &mut Trace) {
    trace.follow_frame_pointers();
    let mut frame = frame;
    let end = loop {
        if !bounds.holds(frame) {
            break StackEnd::Root;
        }
        // SAFETY: `holds` says that the two words at `frame` lie on this thread's stack, which is
        // mapped and initialised from the current stack pointer outwards.
        let (next, address) = unsafe {
            let words = frame as *const usize;
            (words.read(), words.add(1).read())
        };
        if address == 0 {
            // What led here was followed, unlike at the other roots.
            trace.not_repeatable();
            break StackEnd::Root;
        }
        if !trace.push(address, frame + size_of::<usize>()) {
            trace.not_repeatable();
            break StackEnd::Cut;
        }
        if is_root(frame, next, bounds) {
            break StackEnd::Root;
        }
        frame = next;
    };
    trace.finish(end);
}

/// A frame pointer that the walk does not follow.
#[inline]
pub(crate) fn is_root(frame: usize, next: usize, bounds: Bounds) -> bool {
    next <= frame || !bounds.holds(next)
}

#[cfg(test)]
mod tests {
    use ledger::FRAMES_PER_SITE;

    use super::*;

    fn walk_from(frame: usize) -> Trace {
        let mut trace = Trace::new();
        walk(frame, Bounds::of_this_thread(), &mut trace);
        trace
    }

    /// Frame records made by hand, on the stack of the test: record n returns to address n + 1
    /// and leads to record n + 1; the last one leads to `end`.
    fn chain<const WORDS: usize>(records: &mut [usize; WORDS], end: usize) -> usize {
        let start = records.as_ptr() as usize;
        for record in 0..WORDS / 2 {
            let next = if record + 1 < WORDS / 2 { start + (record + 1) * 16 } else { end };
            records[record * 2] = next;
            records[record * 2 + 1] = record + 1;
        }
        // What the walk reads through the address is written before it walks.
        std::hint::black_box(records).as_ptr() as usize
    }

    #[test]
    fn the_records_are_followed_from_the_innermost_outwards() {
        let mut records = [0; 6];
        let trace = walk_from(chain(&mut records, 0));
        let stack = trace.stack();
        assert_eq!(stack.frames(), [1, 2, 3]);
        assert_eq!(stack.end(), StackEnd::Root);
    }

    #[test]
    fn a_frame_pointer_that_leads_nowhere_ends_the_stack() {
        let on_the_heap = Box::new([7_usize; 2]);
        let bounds = Bounds::of_this_thread();
        let mut records = [0; 6];
        let start = records.as_ptr() as usize;
        let garbage = [
            0,
            1,
            8,
            usize::MAX,
            usize::MAX - 7,
            usize::MAX - 15,
            start,      // a loop
            start + 16, // the record before it
            start + 32, // itself
            start - 64, // further in
            start + 49, // outwards, but not aligned
            start + 52,
            on_the_heap.as_ptr() as usize,
            walk as *const () as usize,
            bounds.low,
            bounds.low - 16,
            bounds.high, // the stack's last word, and what comes after it
            bounds.high + 8,
            bounds.high + (1 << 40),
            1 << 47, // not an address at all
        ];
        for end in garbage {
            let trace = walk_from(chain(&mut records, end));
            let stack = trace.stack();
            assert_eq!(stack.frames(), [1, 2, 3], "after a frame pointer of {end:#x}");
            assert_eq!(stack.end(), StackEnd::Root);
        }
    }

    #[test]
    fn garbage_in_place_of_the_first_frame_pointer_is_an_empty_stack() {
        for frame in [0, 1, 4096, usize::MAX, usize::MAX - 7, walk as *const () as usize] {
            let trace = walk_from(frame);
            assert!(trace.stack().frames().is_empty(), "from a frame pointer of {frame:#x}");
        }
    }

    #[test]
    fn a_return_address_of_zero_is_the_root() {
        let mut records = [0; 6];
        chain(&mut records, 0);
        records[3] = 0;
        let start = std::hint::black_box(&mut records).as_ptr() as usize;
        assert_eq!(walk_from(start).stack().frames(), [1]);
    }

    #[test]
    fn only_more_frames_than_are_kept_make_a_stack_truncated() {
        let mut fits = [0; 2 * FRAMES_PER_SITE];
        let trace = walk_from(chain(&mut fits, 0));
        let stack = trace.stack();
        assert_eq!(stack.frames().len(), FRAMES_PER_SITE);
        assert_eq!(stack.end(), StackEnd::Root);

        let mut too_many = [0; 2 * (FRAMES_PER_SITE + 1)];
        let trace = walk_from(chain(&mut too_many, 0));
        let stack = trace.stack();
        assert_eq!(stack.frames().last(), Some(&FRAMES_PER_SITE));
        assert_eq!(stack.frames().len(), FRAMES_PER_SITE);
        assert_eq!(stack.end(), StackEnd::Cut);
    }
}
