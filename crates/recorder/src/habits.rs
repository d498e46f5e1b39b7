//! What a thread has done before, and what it did next.
//!
//! Programs repeat themselves: the allocation that followed this one the last time nearly always
//! follows it again. So a thread remembers where it has allocated, with the shape of the stack,
//! the site and its cell at that site. When it allocates, it compares its stack with that of the
//! habit that came after the last two the last time, then with those that came after the last one,
//! and then with those that came here from the same site. One that matches, word by word, saves
//! the walk and the search for the site.

use std::ffi::c_char;
use std::ptr::NonNull;

use ledger::{Cell, SiteId};

use crate::memory::prefetch;
use crate::recorder::Caller;
use crate::segments::{Segment, Shape};
use crate::stack::{Bounds, StackSource};

/// Habits of one thread. When they are used up, it begins anew.
const MOST: usize = 1 << 14;
/// Sets of the table.
const SETS: usize = 1 << 13;
/// Habits that can be found in each.
const WAYS: usize = 2;

/// Habits that each one knows to come after it. As many as fit into its cache line.
const SUCCESSORS: usize = 5;
/// The last of them, which is not told by the habit before.
const SPARE: usize = SUCCESSORS - 1;

/// The number of a habit, and a part of the hash of where it allocates, so that others need not
/// be looked at. 0 is none.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Successor(u32);

impl Successor {
    fn new(number: u32, place: Place) -> Successor {
        Successor(number + (place.0 >> 46) as u32 * MOST as u32)
    }

    #[inline]
    fn number(self) -> usize {
        self.0 as usize % MOST
    }

    #[inline]
    fn is_for(self, place: Place) -> bool {
        self.0 as usize / MOST == (place.0 >> 46) as usize
    }
}

/// The hash of a file and line.
#[derive(Clone, Copy)]
struct Place(u64);

impl Place {
    #[inline]
    fn of(caller: Caller) -> Place {
        let place = caller.file as u64 ^ u64::from(caller.line).rotate_left(40);
        Place(place.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }
}

/// A stack that the thread has allocated from.
#[repr(C, align(64))]
struct Habit {
    file: *const c_char,
    line: u32,
    /// Of its shape, as `innermost`.
    reach: u32,
    cell: Option<Cell>,
    innermost: Option<NonNull<Segment>>,
    site: u32,
    /// A further habit of the same site: the same frames at other distances.
    sibling: u32,
    /// The habits that were followed after this one: which, depends on the one before.
    next: [Successor; SUCCESSORS],
    openssl: u8,
}

const _: () = assert!(size_of::<Habit>() == 64);

impl Habit {
    #[inline(always)]
    #[allow(clippy::inline_always)] // the caller's fields would go through memory
    fn fits(&self, caller: Caller, source: &Source) -> Option<Known> {
        if self.file != caller.file || self.line != caller.line || self.openssl != caller.openssl {
            return None;
        }
        let (innermost, cell) = self.innermost.zip(self.cell)?;
        let shape = Shape { innermost, reach: self.reach };
        if !source.bounds.hold_from(caller.frame, shape.reach as usize) {
            return None;
        }
        // SAFETY: shapes of habits come from the segments; the words from here to `reach` are on
        // this thread's stack, whose bounds were just asked.
        let is_there = unsafe {
            match source.stacks {
                StackSource::FramePointers => shape.is_linked_at(caller.frame, &source.bounds),
                StackSource::UnwindTables => shape.is_spread_at(caller.frame),
            }
        };
        is_there.then(|| Known { site: SiteId::from_number(self.site), cell })
    }
}

/// What a habit tells of an allocation.
#[derive(Clone, Copy)]
pub(crate) struct Known {
    pub site: SiteId,
    pub cell: Cell,
}

/// A thread's habits. Zeroed memory is that of a thread without any.
#[repr(C)]
pub(crate) struct Habits {
    /// The one followed last, and the one before it; 0 is none. Numbers begin at 1.
    last: u32,
    before: u32,
    /// The one that came after these two the last time.
    expected: u32,
    used: u32,
    /// Which forgetting of rules the habits come after.
    generation: u64,
    /// How often the thread has begun anew.
    pub round: u32,
    /// How its stacks are read, and where they are.
    source: Source,
    table: [[u32; WAYS]; SETS],
    all: [Habit; MOST],
}

impl Habits {
    /// From here on they are those of a thread whose stack is `bounds`.
    pub(crate) fn move_to(&mut self, bounds: Bounds, stacks: StackSource) {
        self.source = Source { bounds, stacks };
    }

    /// The part of memory that is the thread's stack.
    pub(crate) fn bounds(&self) -> Bounds {
        self.source.bounds
    }

    /// The habit that fits this allocation. `generation` is how often rules were forgotten.
    #[inline(always)]
    #[allow(clippy::inline_always)] // the caller's fields would go through memory
    pub(crate) fn recall(&mut self, caller: Caller, generation: u64) -> Option<Known> {
        let number = self.expected;
        if self.generation == generation
            && let Some(known) = self.all[number as usize % MOST].fits(caller, &self.source)
        {
            self.follow(number);
            return Some(known);
        }
        self.recall_another(caller.again(), generation)
    }

    /// The habit that fits, though it is not the one that was followed here last.
    #[inline(never)]
    fn recall_another(&mut self, caller: Caller, generation: u64) -> Option<Known> {
        if self.generation != generation {
            self.forget(generation);
            return None;
        }
        let place = Place::of(caller);
        for at in 0..SUCCESSORS {
            let successor = self.all[self.last as usize % MOST].next[at];
            if successor.is_for(place)
                && let Some(known) = self.all[successor.number()].fits(caller, &self.source)
            {
                self.expect(at, successor);
                return Some(known);
            }
        }
        let set = self.table[self.set(place)];
        let (number, known) = set.into_iter().find_map(|number| {
            Some((number, self.all[number as usize % MOST].fits(caller, &self.source)?))
        })?;
        self.expect(SPARE, Successor::new(number, place));
        Some(known)
    }

    /// Notes the habit that is followed now.
    #[inline]
    fn follow(&mut self, number: u32) {
        self.before = self.last;
        self.last = number;
        self.expected = self.all[number as usize % MOST].next[self.turn()].number() as u32;
    }

    /// The same of one that was not expected, but is from now on. `at` is where it was among the
    /// successors of the last one.
    fn expect(&mut self, at: usize, successor: Successor) {
        let turn = self.turn();
        let next = &mut self.all[self.last as usize % MOST].next;
        next[at] = next[turn];
        next[turn] = successor;
        self.follow(successor.number() as u32);
    }

    /// Which of the successors of the last habit comes after the one before it.
    #[inline]
    fn turn(&self) -> usize {
        self.before as usize % SPARE
    }

    /// Has the processor fetch what the next allocation will need, if it is the habitual one.
    #[inline]
    pub(crate) fn look_ahead(&self) {
        let next = &self.all[self.expected as usize % MOST];
        if let Some((innermost, cell)) = next.innermost.zip(next.cell) {
            // Its first line; and the last, which has the places.
            let segment = innermost.as_ptr().cast_const();
            prefetch(segment);
            prefetch(segment.cast::<u8>().wrapping_add(128));
            prefetch(cell.address());
        }
        prefetch(&raw const self.all[next.next[0].number()]);
    }

    fn set(&self, place: Place) -> usize {
        let previous = u64::from(self.all[self.last as usize % MOST].site);
        let mixed = (place.0 ^ previous).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (mixed >> 40) as usize % SETS
    }

    /// A habit of the site that is also of this shape, of those that begin with `first`.
    fn among(&self, first: u32, shape: Shape) -> u32 {
        let mut number = first;
        while number != 0 {
            let habit = &self.all[number as usize % MOST];
            if habit.innermost == Some(shape.innermost) {
                break;
            }
            number = habit.sibling;
        }
        number
    }

    /// Remembers where the thread has just allocated. `first` is the first habit of the site in
    /// this round, or 0; the new first is returned.
    #[cold]
    pub(crate) fn learn(&mut self, caller: Caller, known: Known, shape: Shape, first: u32) -> u32 {
        let mut first = first;
        let mut number = self.among(first, shape);
        if number == 0 {
            if self.used as usize + 1 >= MOST {
                self.forget(self.generation);
                first = 0;
            }
            self.used += 1;
            number = self.used;
            self.all[number as usize] = Habit {
                file: caller.file,
                line: caller.line,
                reach: shape.reach,
                cell: Some(known.cell),
                innermost: Some(shape.innermost),
                site: known.site.number(),
                sibling: first,
                next: [Successor(0); SUCCESSORS],
                openssl: caller.openssl,
            };
            first = number;
        }
        let place = Place::of(caller);
        let set = self.set(place);
        if !self.table[set].contains(&number) {
            self.table[set].copy_within(..WAYS - 1, 1);
            self.table[set][0] = number;
        }
        self.expect(SPARE, Successor::new(number, place));
        first
    }

    /// Notes an allocation that is no habit.
    pub(crate) fn lose_track(&mut self) {
        self.follow(0);
    }

    #[cold]
    fn forget(&mut self, generation: u64) {
        self.generation = generation;
        self.round += 1;
        self.used = 0;
        (self.last, self.before, self.expected) = (0, 0, 0);
        self.all[0].next = [Successor(0); SUCCESSORS];
        self.table.fill([0; WAYS]);
    }
}

/// How a thread's stacks are read, and where they are.
#[derive(Clone, Copy)]
struct Source {
    bounds: Bounds,
    stacks: StackSource,
}
