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

use ledger_writer::{Cell, Cells, SiteId};

use crate::bounds::Bounds;
use crate::caller::Caller;
use crate::memory::prefetch;
use crate::segments::{Segment, Shape, Source, Ways};
use crate::unwind;

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

/// The place of a habit among the others, in bytes, and in the other bits a part of the hash of
/// where it allocates, so that others need not be looked at. 0 is none.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Successor(u32);

/// The bits of a [`Successor`] that are a place.
const PLACE: u32 = ((MOST - 1) * size_of::<Habit>()) as u32;

impl Successor {
    fn new(number: u32, place: Place) -> Successor {
        Successor((number * size_of::<Habit>() as u32) | place.tag())
    }

    #[inline(always)]
    fn habit(self) -> Number {
        Number(self.0 & PLACE)
    }

    #[inline]
    fn is_for(self, place: Place) -> bool {
        self.0 & !PLACE == place.tag()
    }
}

/// The number of a habit, times its size: 0 is none.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(transparent)]
struct Number(u32);

impl Number {
    const NONE: Number = Number(0);

    fn index(self) -> usize {
        self.0 as usize / size_of::<Habit>()
    }

    /// The one of a habit's successors that comes after this one and that.
    #[inline(always)]
    fn turn(self) -> usize {
        self.index() % SPARE
    }
}

/// The hash of a file and line.
#[derive(Clone, Copy)]
struct Place(u64);

impl Place {
    #[inline]
    fn of(caller: Caller) -> Place {
        let place = caller.file as u64 ^ caller.line.rotate_left(40);
        Place(place.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    #[inline]
    fn tag(self) -> u32 {
        (self.0 >> 32) as u32 & !PLACE
    }
}

/// A stack that the thread has allocated from.
#[repr(C, align(64))]
struct Habit {
    file: *const c_char,
    line: u64,
    innermost: Option<NonNull<Segment>>,
    /// The ways of the habit's shape, kept here as `innermost` is.
    ways: Ways,
    reach: u32,
    /// The number of the cell.
    cell: u32,
    site: u32,
    /// A further habit of the same site: the same frames at other distances.
    sibling: u32,
    /// The habits that were followed after this one: which, depends on the one before.
    next: [Successor; SUCCESSORS],
}

const _: () = assert!(size_of::<Habit>() == 64);

impl Habit {
    /// Whether it is the caller's, and what it says then.
    #[inline(always)]
    fn fits(&self, caller: Caller, source: &Source) -> bool {
        let Some(innermost) = self.innermost else { return false };
        let shape = Shape { innermost, ways: self.ways, reach: self.reach };
        self.file == caller.file
            && self.line == caller.line
            // SAFETY: shapes of habits come from the segments, of traces of this source; a hook's
            // frame is its own.
            && unsafe { source.has(shape, caller.frame) }
    }
}

/// What a habit tells of an allocation.
#[derive(Clone, Copy)]
pub(crate) struct Known {
    pub site: SiteId,
    pub cell: Cell,
}

/// A thread's habits. Zeroed memory is that of a thread without any, but for the source.
#[repr(C)]
pub(crate) struct Habits {
    /// The one followed last, and the one before it.
    last: Number,
    before: Number,
    /// The one that came after these two the last time.
    expected: Number,
    used: u32,
    /// The forgetting of rules that the habits come after.
    generation: u64,
    /// How its stacks are read, and where they are.
    source: Source,
    /// Where cells lie.
    cells: Cells,
    /// How often the thread has begun anew.
    pub round: u32,
    table: [[Number; WAYS]; SETS],
    all: [Habit; MOST],
}

impl Habits {
    /// Completes zeroed memory.
    ///
    /// # Safety
    ///
    /// `habits` is zeroed memory, and nobody else's.
    pub(crate) unsafe fn begin(habits: *mut Habits, source: Source, cells: Cells) {
        // SAFETY: the caller's promise.
        unsafe {
            (&raw mut (*habits).source).write(source);
            (&raw mut (*habits).cells).write(cells);
        }
    }

    /// From here on they are those of a thread whose stack is `bounds`.
    pub(crate) fn move_to(&mut self, bounds: Bounds) {
        self.source.bounds = bounds;
    }

    /// The part of memory that is the thread's stack.
    pub(crate) fn bounds(&self) -> Bounds {
        self.source.bounds
    }

    /// The cell of the habit that is expected now, if this allocation is what it expects.
    #[inline(always)]
    pub(crate) fn expected_cell(&self, caller: Caller) -> Option<u32> {
        let habit = self.habit(self.expected);
        let fits = self.generation == unwind::generation() && habit.fits(caller, &self.source);
        fits.then_some(habit.cell)
    }

    /// Notes that the expected habit has been followed, and has the processor fetch what the next
    /// allocation will need.
    #[inline(always)]
    pub(crate) fn follow_expected(&mut self) {
        self.follow(self.expected);
        self.look_ahead();
    }

    /// The cell with this number.
    #[inline(always)]
    pub(crate) fn cell(&self, number: u32) -> Cell {
        self.cells.cell(number)
    }

    /// The habit that fits this allocation.
    pub(crate) fn recall(&mut self, caller: Caller) -> Option<Known> {
        let generation = unwind::generation();
        if self.generation != generation {
            self.forget(generation);
            return None;
        }
        let expected = self.expected;
        if self.habit(expected).fits(caller, &self.source) {
            self.follow(expected);
            return Some(self.known(expected));
        }
        let place = Place::of(caller);
        for at in 0..SUCCESSORS {
            let successor = self.habit(self.last).next[at];
            if successor.is_for(place) && self.habit(successor.habit()).fits(caller, &self.source) {
                self.expect(at, successor);
                return Some(self.known(successor.habit()));
            }
        }
        let set = self.table[self.set(place)];
        let number =
            set.into_iter().find(|number| self.habit(*number).fits(caller, &self.source))?;
        self.expect(SPARE, Successor(number.0 | place.tag()));
        Some(self.known(number))
    }

    #[inline(always)]
    fn habit(&self, number: Number) -> &Habit {
        // SAFETY: numbers are masked by `Successor::habit`, or are those of `learn`: multiples of
        // a habit's size below as many as there are.
        unsafe { &*self.all.as_ptr().byte_add(number.0 as usize) }
    }

    fn known(&self, number: Number) -> Known {
        let habit = self.habit(number);
        let cell = self.cells.cell(habit.cell);
        Known { site: SiteId::from_number(habit.site), cell }
    }

    /// Notes the habit that is followed now.
    #[inline(always)]
    fn follow(&mut self, number: Number) {
        self.before = self.last;
        self.last = number;
        self.expected = self.habit(number).next[self.before.turn()].habit();
    }

    /// Follows a habit that was not expected, but is from now on. `at` is where it was among the
    /// successors of the last one.
    fn expect(&mut self, at: usize, successor: Successor) {
        let turn = self.before.turn();
        let next = &mut self.all[self.last.index()].next;
        next[at] = next[turn];
        next[turn] = successor;
        self.follow(successor.habit());
    }

    /// Has the processor fetch what the next allocation will need, if it is the habitual one.
    #[inline(always)]
    pub(crate) fn look_ahead(&self) {
        let next = self.habit(self.expected);
        prefetch(next.innermost.map_or(std::ptr::null(), |it| it.as_ptr().cast_const()));
        prefetch(self.cells.place(next.cell));
        prefetch(self.habit(next.next[0].habit()));
    }

    fn set(&self, place: Place) -> usize {
        let previous = u64::from(self.habit(self.last).site);
        let mixed = (place.0 ^ previous).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (mixed >> 40) as usize % SETS
    }

    /// A habit of the site that is also of this shape, of those that begin with `first`.
    fn among(&self, first: u32, shape: Shape) -> u32 {
        let mut number = first;
        for _ in 0..MOST {
            if number == 0 {
                break;
            }
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
                ways: shape.ways,
                reach: shape.reach,
                cell: self.cells.number(known.cell),
                innermost: Some(shape.innermost),
                site: known.site.number(),
                sibling: first,
                next: [Successor(0); SUCCESSORS],
            };
            first = number;
        }
        let place = Place::of(caller);
        let set = self.set(place);
        let successor = Successor::new(number, place);
        if !self.table[set].contains(&successor.habit()) {
            self.table[set].copy_within(..WAYS - 1, 1);
            self.table[set][0] = successor.habit();
        }
        self.expect(SPARE, successor);
        first
    }

    /// Notes an allocation that is no habit.
    pub(crate) fn lose_track(&mut self) {
        self.follow(Number::NONE);
    }

    #[cold]
    fn forget(&mut self, generation: u64) {
        self.generation = generation;
        self.round += 1;
        self.used = 0;
        (self.last, self.before, self.expected) = (Number::NONE, Number::NONE, Number::NONE);
        self.all[0].next = [Successor(0); SUCCESSORS];
        self.table.fill([Number::NONE; WAYS]);
    }
}
