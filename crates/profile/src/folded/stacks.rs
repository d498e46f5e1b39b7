//! The stacks of columns in the order of their folded text, without the text: that of a large
//! profile may be many times as large as the profile.

use std::hash::Hash;

use ledger::Uncertainty;

use super::names::{UNKNOWN, function_name, site_name};
use crate::tables::IndexSet;
use crate::{LocationId, Profile, Sample};

/// What the samples of one stack hold together.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Amount {
    /// The sum of their values.
    pub sum: i64,
    /// How far off it may be; nothing where it is exact.
    pub off: Uncertainty,
}

impl Amount {
    fn of(sample: &Sample, column: usize, off: impl Fn(&Sample) -> Uncertainty) -> Amount {
        Amount { sum: sample.values[column], off: off(sample) }
    }

    /// What is known to be nothing, where an estimate of 0 may be more.
    fn is_nothing(self) -> bool {
        self == Amount::default()
    }

    /// What both hold together. A sum beyond the range of `i64` stays at its end.
    #[must_use]
    pub fn plus(self, more: Amount) -> Amount {
        Amount { sum: self.sum.saturating_add(more.sum), off: self.off.and(more.off) }
    }
}

/// The stacks of `N` columns, of one profile or of several: each stack once, in the order of their
/// folded text.
pub struct Stacks<'a, const N: usize> {
    columns: [(&'a Profile, usize); N],
    texts: Texts<N>,
    /// The samples in the order of their stacks.
    samples: Vec<Sorted>,
}

/// One stack of [`Stacks`].
pub struct Stack<F, const N: usize> {
    /// Its frames, outermost first.
    pub frames: F,
    /// So many of them tell it from all others: what comes behind is in no other stack.
    pub own_depth: usize,
    /// What it holds in each column.
    pub amounts: [Amount; N],
}

/// A frame, as [`Stacks::name`] knows it.
pub type NameId = u32;

impl<'a, const N: usize> Stacks<'a, N> {
    /// Sorts the stacks of these columns, each a profile and a number from 0.
    ///
    /// # Panics
    ///
    /// When a profile has no such column.
    pub fn of(columns: [(&'a Profile, usize); N]) -> Stacks<'a, N> {
        let texts = Texts::of_profiles(columns.map(|(profile, _)| profile));
        let mut samples = Vec::new();
        for (at, (profile, column)) in (0..).zip(columns) {
            let off = profile.uncertainty(column);
            for (sample, index) in profile.samples().iter().zip(0..) {
                if !Amount::of(sample, column, &off).is_nothing() {
                    samples.push(Sorted::unsorted(at, index));
                }
            }
        }
        let mut stacks = Stacks { columns, texts, samples: Vec::new() };
        stacks.sort(&mut samples);
        stacks.samples = samples;
        stacks
    }

    /// The stacks in their order. Those that hold nothing are left out.
    pub fn iter(&self) -> impl Iterator<Item = Stack<impl Iterator<Item = NameId>, N>> {
        let off = self.columns.map(|(profile, column)| profile.uncertainty(column));
        let of_one = self.samples.chunk_by(|_, next| !next.begins);
        of_one.filter_map(move |samples| {
            let mut amounts = [Amount::default(); N];
            for sorted in samples {
                let at = sorted.column as usize;
                let amount = Amount::of(self.sample(sorted), self.columns[at].1, &off[at]);
                amounts[at] = amounts[at].plus(amount);
            }
            let held = amounts.iter().any(|amount| !amount.is_nothing());
            held.then(|| Stack {
                frames: self.frames(&samples[0]),
                own_depth: samples[0].own_depth as usize,
                amounts,
            })
        })
    }

    /// The text of a frame.
    pub fn name(&self, id: NameId) -> &str {
        &self.texts.names[id as usize]
    }

    fn sample(&self, sorted: &Sorted) -> &'a Sample {
        &self.columns[sorted.column as usize].0.samples()[sorted.sample as usize]
    }

    fn frames(&self, sorted: &Sorted) -> impl Iterator<Item = NameId> {
        let whole = Sorted::unsorted(sorted.column, sorted.sample);
        self.texts_from(&whole).flat_map(|text| self.texts.frames(text)).copied()
    }

    /// The texts of a stack that were not passed over yet: of its locations, outermost first, then
    /// of its site.
    fn texts_from(&self, sorted: &Sorted) -> impl Iterator<Item = TextId> + use<'_, N> {
        let (column, stack) = (sorted.column as usize, &self.sample(sorted).stack);
        (sorted.text as usize..).map_while(move |at| self.texts.of(column, stack, at))
    }

    /// Sorts by some frames after the others: samples that have the same up to here are looked at
    /// again. Each time the stacks are some frames shorter, so it ends, and soon.
    fn sort(&self, samples: &mut [Sorted]) {
        // What comes next decides in each of these ranges. So many frames tell it from others.
        let mut undecided = vec![(0..samples.len(), 0)];
        while let Some((range, own_depth)) = undecided.pop() {
            let mut at = range.start;
            let samples = &mut samples[range];
            if self.are_one_stack(samples) {
                if let Some(first) = samples.first_mut() {
                    (first.begins, first.own_depth) = (true, own_depth);
                }
                continue;
            }
            for sorted in &mut *samples {
                self.step(sorted);
            }
            samples.sort_unstable_by_key(|sorted| (sorted.ranks, sorted.column, sorted.sample));
            let all = samples.len();
            for same in samples.chunk_by(|one, other| one.ranks == other.ranks) {
                // A stack may end where another goes on: that takes the frame behind, too.
                let own_depth = if same.len() == all { own_depth } else { same[0].depth + 1 };
                undecided.push((at..at + same.len(), own_depth));
                at += same.len();
            }
        }
    }

    /// Whether these samples have the same frames to their ends. What they have in common is passed
    /// over: many stacks begin alike.
    fn are_one_stack(&self, samples: &mut [Sorted]) -> bool {
        if samples.len() < 2 {
            return true;
        }
        self.skip_shared(samples);
        samples.iter_mut().all(|sorted| self.next_frame(sorted).is_none())
    }

    /// Passes over the texts that all of these samples, two or more, have next.
    fn skip_shared(&self, samples: &mut [Sorted]) {
        let [first, others @ ..] = &*samples else { return };
        let mut shared = AHEAD;
        for other in others {
            if (first.text, first.frame) != (other.text, other.frame) {
                return;
            }
            let both = self.texts_from(first).zip(self.texts_from(other)).take(shared);
            shared = both.take_while(|(one, other)| one == other).count();
            if shared == 0 {
                return;
            }
        }
        let texts = self.texts_from(first).take(shared);
        let frames = texts.map(|text| self.texts.frames(text).len() as u32).sum::<u32>();
        let (texts, frames) = (shared as u32, frames - first.frame);
        for sorted in samples {
            sorted.text += texts;
            sorted.frame = 0;
            sorted.depth += frames;
        }
    }

    /// Goes on to the sample's next frames. A stack that ends comes before those that go on.
    fn step(&self, sorted: &mut Sorted) {
        sorted.ranks = [0; STEP];
        for at in 0..STEP {
            let Some(name) = self.next_frame(sorted) else { return };
            sorted.frame += 1;
            sorted.depth += 1;
            let is_last = self.next_frame(sorted).is_none();
            sorted.ranks[at] = 1 + self.texts.ranks[name as usize][usize::from(is_last)];
        }
    }

    fn next_frame(&self, sorted: &mut Sorted) -> Option<NameId> {
        let (column, stack) = (sorted.column as usize, &self.sample(sorted).stack);
        loop {
            let text = self.texts.of(column, stack, sorted.text as usize)?;
            if let Some(name) = self.texts.frames(text).get(sorted.frame as usize) {
                return Some(*name);
            }
            (sorted.text, sorted.frame) = (sorted.text + 1, 0);
        }
    }
}

/// Texts that are looked at to pass over them. There is a limit because it may have been in vain: a
/// sample whose frames lie in other texts shares none.
const AHEAD: usize = 64;

/// Frames that are looked at together: a sample in memory is far from the next in their order.
const STEP: usize = 4;

/// A sample of one of the columns, and how far its stack was looked at.
#[derive(Clone, Copy)]
struct Sorted {
    column: u32,
    sample: u32,
    /// The next frame: which text of the stack, and which frame of that.
    text: u32,
    frame: u32,
    /// How many frames were looked at.
    depth: u32,
    /// The places of the newest of them among all frames.
    ranks: [u32; STEP],
    /// Whether this is the first sample of its stack.
    begins: bool,
    /// In the first sample of a stack, how many frames tell it from others.
    own_depth: u32,
}

impl Sorted {
    fn unsorted(column: u32, sample: u32) -> Sorted {
        let (text, frame, depth, ranks, begins, own_depth) = (0, 0, 0, [0; STEP], false, 0);
        Sorted { column, sample, text, frame, depth, ranks, begins, own_depth }
    }
}

/// What is written for locations and sites: stacks have most of it in common. Equal texts have one
/// number, so that the same code at several addresses is the same here.
struct Texts<const N: usize> {
    names: IndexSet<String>,
    /// The frames of a text, outermost first. A site is one frame, or none where it is not known.
    all: IndexSet<Vec<NameId>>,
    /// For each of a profile's locations: the text, and that of the site where a stack ends there.
    of_locations: [Vec<[TextId; 2]>; N],
    /// The text of a stack without frames.
    unknown: TextId,
    /// For each name, its place in the order of all names, with others behind it and as the last.
    ranks: Vec<[u32; 2]>,
}

type TextId = u32;

impl<const N: usize> Texts<N> {
    fn of_profiles(profiles: [&Profile; N]) -> Texts<N> {
        let (mut names, mut all) = (IndexSet::default(), IndexSet::default());
        let of_locations = profiles.map(|profile| {
            let ids = (0..profile.locations().len() as u32).map(LocationId);
            let texts = ids.map(|id| {
                let frames: Vec<_> = profile.frames_of(id).collect();
                let calls =
                    frames.iter().rev().map(|frame| number(&mut names, function_name(frame)));
                let calls = calls.collect();
                let site = frames.first().and_then(site_name).map(|site| number(&mut names, site));
                [number(&mut all, calls), number(&mut all, site.into_iter().collect())]
            });
            texts.collect()
        });
        let unknown = number(&mut all, vec![number(&mut names, UNKNOWN.to_owned())]);
        let ranks = ranks(&names);
        Texts { names, all, of_locations, unknown, ranks }
    }

    /// One of the texts of a stack.
    fn of(&self, column: usize, stack: &[LocationId], at: usize) -> Option<TextId> {
        let of = |id: LocationId| self.of_locations[column][id.0 as usize];
        match stack.len().checked_sub(at)? {
            0 => Some(stack.first().map_or(self.unknown, |leaf| of(*leaf)[1])),
            left => Some(of(stack[left - 1])[0]),
        }
    }

    fn frames(&self, text: TextId) -> &[NameId] {
        &self.all[text as usize]
    }
}

/// The number of `value` in `set`, to which it is added when it is new.
fn number<T: Hash + Eq>(set: &mut IndexSet<T>, value: T) -> u32 {
    set.insert_full(value).0 as u32
}

/// The places of names in the order of what stands in a folded stack: a name and a `;`, or as the
/// last frame the name alone. No name has a `;` in it, so what comes behind one that differs never
/// matters.
fn ranks(names: &IndexSet<String>) -> Vec<[u32; 2]> {
    let text = |(name, is_last): &(usize, bool)| {
        let separator = if *is_last { "" } else { ";" };
        names[*name].bytes().chain(separator.bytes())
    };
    let places = (0..names.len()).flat_map(|name| [(name, false), (name, true)]);
    let mut order: Vec<(usize, bool)> = places.collect();
    order.sort_by(|one, other| text(one).cmp(text(other)));
    let mut ranks = vec![[0; 2]; names.len()];
    for (rank, (name, is_last)) in (0..).zip(order) {
        ranks[name][usize::from(is_last)] = rank;
    }
    ranks
}
