//! A stack as it was walked, and the words of it that told the way.

use std::mem::MaybeUninit;

use ledger::FRAMES_PER_SITE;
use ledger_writer::StackEnd;

/// Return addresses, innermost first.
#[derive(Clone, Copy)]
pub(crate) struct Stack<'a> {
    frames: &'a [usize],
    end: StackEnd,
}

impl<'a> Stack<'a> {
    /// The addresses.
    #[inline]
    pub(crate) fn frames(self) -> &'a [usize] {
        self.frames
    }

    /// Where it ends.
    pub(crate) fn end(self) -> StackEnd {
        self.end
    }

    /// Return addresses, and where they end.
    #[inline]
    pub(crate) fn new(frames: &'a [usize], end: StackEnd) -> Stack<'a> {
        Stack { frames, end }
    }
}

/// A word of the stack that holds an address of the stack: a saved frame pointer, mostly.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Link {
    /// Where the word is.
    pub place: usize,
    /// What the word holds.
    pub value: usize,
}

/// What a walk found. A walk is a function of the words it reads: where the same words lie at the
/// same distances again, it leads to the same stack.
///
/// It is large, so each thread has one in memory of the recorder's, and it is written only as far
/// as there are frames.
pub(crate) struct Trace {
    /// Return addresses, innermost first.
    addresses: [MaybeUninit<usize>; FRAMES_PER_SITE + 1],
    /// Where on the stack each of them lies.
    places: [MaybeUninit<usize>; FRAMES_PER_SITE + 1],
    depth: usize,
    /// After the return addresses there is a zero in place of one, which ended the walk.
    zero: bool,
    links: [MaybeUninit<Link>; FRAMES_PER_SITE],
    link_count: usize,
    end: StackEnd,
    repeatable: bool,
    linked: bool,
}

impl Trace {
    /// Another walk begins.
    #[inline]
    pub(crate) fn begin(&mut self) {
        self.depth = 0;
        self.zero = false;
        self.link_count = 0;
        self.end = StackEnd::Root;
        self.repeatable = true;
        self.linked = false;
    }

    /// A walk that has not begun.
    #[inline]
    pub(crate) fn new() -> Trace {
        Trace {
            addresses: [const { MaybeUninit::uninit() }; FRAMES_PER_SITE + 1],
            places: [const { MaybeUninit::uninit() }; FRAMES_PER_SITE + 1],
            depth: 0,
            zero: false,
            links: [const { MaybeUninit::uninit() }; FRAMES_PER_SITE],
            link_count: 0,
            end: StackEnd::Root,
            repeatable: true,
            linked: false,
        }
    }

    /// Adds a frame: its return address, and where that was read. `false` when there is no room.
    #[inline]
    pub(crate) fn push(&mut self, address: usize, place: usize) -> bool {
        if self.depth == FRAMES_PER_SITE {
            return false;
        }
        self.addresses[self.depth].write(address);
        self.places[self.depth].write(place);
        self.depth += 1;
        true
    }

    /// Notes that the walk went on from what a word of the stack held.
    #[inline]
    pub(crate) fn link(&mut self, place: usize, value: usize) {
        if self.link_count > 0 && self.link_at(self.link_count - 1).place == place {
            return;
        }
        match self.links.get_mut(self.link_count) {
            Some(link) => {
                link.write(Link { place, value });
                self.link_count += 1;
            }
            None => self.repeatable = false,
        }
    }

    /// Notes that a zero at `place` ended the walk.
    #[inline]
    pub(crate) fn zero_at(&mut self, place: usize) {
        self.addresses[self.depth].write(0);
        self.places[self.depth].write(place);
        self.zero = true;
    }

    /// The walk depended on more than the words that are noted.
    #[inline]
    pub(crate) fn not_repeatable(&mut self) {
        self.repeatable = false;
    }

    /// The walk follows the saved frame pointers, each in the word below a return address.
    #[inline]
    pub(crate) fn follow_frame_pointers(&mut self) {
        self.linked = true;
    }

    /// Links are the words below the return addresses, and are not listed.
    pub(crate) fn is_linked(&self) -> bool {
        self.linked
    }

    /// Ends the walk.
    #[inline]
    pub(crate) fn finish(&mut self, end: StackEnd) {
        self.end = end;
    }

    /// The stack that was found.
    #[inline]
    pub(crate) fn stack(&self) -> Stack<'_> {
        // SAFETY: the first `depth` places were written by `push`, and MaybeUninit<usize> has
        // usize's layout.
        let frames =
            unsafe { std::slice::from_raw_parts(self.addresses.as_ptr().cast(), self.depth) };
        Stack::new(frames, self.end)
    }

    /// Whether equal words at equal distances always lead to this stack.
    pub(crate) fn is_repeatable(&self) -> bool {
        self.repeatable && self.depth > 0
    }

    /// How many words were read as return addresses.
    pub(crate) fn words(&self) -> usize {
        self.depth + usize::from(self.zero)
    }

    /// The word at `index`, and its place.
    pub(crate) fn word(&self, index: usize) -> (usize, usize) {
        assert!(index < self.words());
        // SAFETY: `push` and `zero_at` have written as many as `words` says.
        unsafe { (self.addresses[index].assume_init(), self.places[index].assume_init()) }
    }

    /// The links, in the order in which the walk followed them.
    pub(crate) fn links(&self) -> impl Iterator<Item = Link> + '_ {
        (0..self.link_count).map(|index| self.link_at(index))
    }

    #[inline]
    fn link_at(&self, index: usize) -> Link {
        debug_assert!(index < self.link_count);
        // SAFETY: `link` has written as many as `link_count` says, and its callers stay below.
        unsafe { self.links[index].assume_init() }
    }
}
