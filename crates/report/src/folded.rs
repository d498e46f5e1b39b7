//! What of a profile's folded stacks can be seen in a picture.
//!
//! A frame that is too narrow is left out of a picture with all above it. Large profiles consist
//! of such frames for the most part, and their text is many times as large as the profile. So the
//! stacks are taken one at a time, and those above a narrow frame go into it at once; narrow
//! neighbours become one, as long as that is narrow. What is left is drawn to the same picture.

use std::iter::Peekable;

use profile::{Profile, Uncertainty, folded};

/// Widths that are nearly enough to be seen are kept: it is the picture that decides.
const SURELY_NARROW: f64 = 0.99;

/// Folded stacks with what they hold, those above 0, and those that may be.
pub(crate) struct Positive(folded::Stacks);

/// The stacks of a column, in order.
pub(crate) fn positive(profile: &Profile, column: usize) -> Positive {
    Positive(folded::stacks(profile, column))
}

impl Positive {
    /// The sum of all that are still to come, each put through `scale`.
    pub(crate) fn total(&self, scale: impl Fn(u64) -> u64) -> u64 {
        let sums = self.0.sums().filter_map(|sum| u64::try_from(sum).ok());
        sums.fold(0, |total, sum| total.saturating_add(scale(sum)))
    }
}

impl Iterator for Positive {
    type Item = (String, Held);

    fn next(&mut self) -> Option<(String, Held)> {
        self.0.find_map(|(stack, folded::Amount { sum, off })| {
            Some((stack, Held { amount: u64::try_from(sum).ok()?, off }))
        })
    }
}

/// What a stack holds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Held {
    /// How much, in the picture's unit.
    pub(crate) amount: u64,
    /// How far off the profile's own figure may be; nothing where it is exact.
    pub(crate) off: Uncertainty,
}

/// What a stack holds on both sides. Without a comparison, the other side is empty.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Values {
    /// What the width stands for.
    pub(crate) width: Held,
    /// What it is compared with.
    pub(crate) other: Held,
}

/// A stack that is drawn: one that can be seen, or several that cannot.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct DrawnStack {
    /// The stack's frames, with a `;` between them.
    pub(crate) stack: String,
    /// What it holds.
    pub(crate) values: Values,
    /// What the other side is to be for its colour: where one line stands for several stacks, the
    /// largest change of them all is shown.
    pub(crate) other_in_colour: u64,
}

/// The values of both, stack by stack: those of `wide` are the widths.
pub(crate) fn side_by_side(
    wide: impl Iterator<Item = (String, Held)>,
    other: impl Iterator<Item = (String, Held)>,
) -> impl Iterator<Item = (String, Values)> {
    let (mut wide, mut other) = (wide.peekable(), other.peekable());
    std::iter::from_fn(move || {
        let first = next_stack(&mut wide, &mut other)?;
        let width = wide.next_if(|(stack, _)| *stack == first).map(|(_, held)| held);
        let other = other.next_if(|(stack, _)| *stack == first).map(|(_, held)| held);
        let (width, other) = (width.unwrap_or_default(), other.unwrap_or_default());
        Some((first, Values { width, other }))
    })
}

/// The first stack that either side still has.
fn next_stack<I: Iterator<Item = (String, Held)>, J: Iterator<Item = (String, Held)>>(
    one: &mut Peekable<I>,
    other: &mut Peekable<J>,
) -> Option<String> {
    match (one.peek(), other.peek()) {
        (Some((one, _)), Some((other, _))) => Some(one.min(other).clone()),
        (one, other) => one.map(|(stack, _)| stack).or(other.map(|(stack, _)| stack)).cloned(),
    }
}

/// The stacks that remain when everything is gathered that takes less than `min_width` percent of
/// `total`, and what each holds.
pub(crate) fn visible(
    stacks: impl Iterator<Item = (String, Values)>,
    total: u64,
    min_width: f64,
) -> Vec<DrawnStack> {
    let limit = total as f64 * min_width / 100.0 * SURELY_NARROW;
    let mut tree = Tree { limit, open: vec![Node::default()] };
    for (stack, values) in stacks {
        tree.add(&stack, values);
    }
    tree.close(1);
    let mut lines = Vec::new();
    for root in &tree.open[0].children {
        root.write("", &mut lines);
    }
    lines
}

/// The stacks up to now, with the path to the newest one open: what comes next may belong there.
struct Tree {
    /// Everything below is narrow.
    limit: f64,
    open: Vec<Node>,
}

/// A frame, and all above it.
#[derive(Default)]
struct Node {
    name: String,
    /// What ends here.
    own: Values,
    /// That, and what is above.
    all: Values,
    /// The largest change of a stack that has gone into this frame.
    change: i64,
    children: Vec<Node>,
}

impl Tree {
    fn add(&mut self, stack: &str, values: Values) {
        let mut depth = 1;
        let mut frames = stack.split(';').peekable();
        while let (Some(frame), Some(open)) = (frames.peek(), self.open.get(depth))
            && open.name == *frame
        {
            frames.next();
            depth += 1;
        }
        self.close(depth);
        self.open.extend(frames.map(|name| Node { name: name.to_owned(), ..Node::default() }));
        if let Some(last) = self.open.last_mut() {
            last.own = last.own.plus(values);
            last.all = last.all.plus(values);
            last.note(values.change());
        }
    }

    /// Closes the frames of the open path from this depth on, which is at least 1.
    fn close(&mut self, depth: usize) {
        while self.open.len() > depth {
            let Some(mut node) = self.open.pop() else { return };
            let narrow = self.is_narrow(node.all);
            if narrow {
                for child in std::mem::take(&mut node.children) {
                    node.note(child.change);
                }
                node.own = node.all;
            }
            let limit = self.limit;
            let Some(parent) = self.open.last_mut() else { return };
            parent.all = parent.all.plus(node.all);
            match parent.children.last_mut() {
                Some(last)
                    if narrow
                        && last.children.is_empty()
                        && (last.all.plus(node.all).width.amount as f64) < limit =>
                {
                    last.own = last.own.plus(node.all);
                    last.all = last.own;
                    last.note(node.change);
                }
                _ => parent.children.push(node),
            }
        }
    }

    fn is_narrow(&self, values: Values) -> bool {
        (values.width.amount as f64) < self.limit
    }
}

impl Node {
    /// The picture's colours are scaled by the largest change, wherever it is.
    fn note(&mut self, change: i64) {
        if change.unsigned_abs() > self.change.unsigned_abs() {
            self.change = change;
        }
    }

    fn write(&self, before: &str, lines: &mut Vec<DrawnStack>) {
        let path =
            if before.is_empty() { self.name.clone() } else { format!("{before};{}", self.name) };
        if self.own != Values::default() {
            // A frame that took others in shows the largest change of them all; where there was
            // but one stack, that is its own.
            let other_in_colour = match self.children.as_slice() {
                [] => self.own.width.amount.saturating_add_signed(self.change.saturating_neg()),
                _ => self.own.other.amount,
            };
            lines.push(DrawnStack { stack: path.clone(), values: self.own, other_in_colour });
        }
        for child in &self.children {
            child.write(&path, lines);
        }
    }
}

impl Held {
    fn plus(self, more: Held) -> Held {
        Held { amount: self.amount.saturating_add(more.amount), off: self.off.and(more.off) }
    }
}

impl Values {
    pub(crate) fn plus(self, more: Values) -> Values {
        Values { width: self.width.plus(more.width), other: self.other.plus(more.other) }
    }

    /// By how much the width is more than what it is compared with.
    pub(crate) fn change(self) -> i64 {
        let signed = |held: Held| i64::try_from(held.amount).unwrap_or(i64::MAX);
        signed(self.width).saturating_sub(signed(self.other))
    }
}

#[cfg(test)]
mod tests {
    use profile::{Function, Line, Location, Sample};

    use super::*;

    #[test]
    fn what_is_not_positive_has_no_width() {
        let mut profile = Profile::of_heap();
        for (name, bytes) in [("a", 5), ("b", 0), ("a", 6), ("c", -7)] {
            let function = profile.function(Function { name: name.into(), ..Function::default() });
            let lines = vec![Line { function, line: 1 }];
            let location = profile.location(Location { lines, ..Location::default() });
            let values = vec![1, bytes, 0, 0, 0, 0];
            profile.push(Sample { stack: vec![location], values, labels: Vec::new() });
        }
        let stacks = positive(&profile, 1);
        assert_eq!(stacks.total(|sum| sum * 2), 22);
        assert_eq!(stacks.collect::<Vec<_>>(), [("a".to_owned(), exactly(11))]);
    }

    fn exactly(amount: u64) -> Held {
        Held { amount, off: Uncertainty::default() }
    }

    fn kept(stacks: &[(&str, u64, u64)], min_width: f64) -> Vec<String> {
        let total = stacks.iter().map(|(_, width, _)| width).sum();
        let stacks = stacks.iter().map(|(stack, width, other)| {
            (stack.to_string(), Values { width: exactly(*width), other: exactly(*other) })
        });
        let lines = visible(stacks, total, min_width).into_iter();
        let text = |DrawnStack { stack, values, other_in_colour }| {
            format!("{stack} {} {other_in_colour}", values.width.amount)
        };
        lines.map(text).collect()
    }

    const STACKS: [(&str, u64, u64); 7] = [
        ("a", 1, 0),
        ("a;b;c", 300, 300),
        ("a;b;d;e", 2, 9),
        ("a;b;d;f", 3, 0),
        ("a;b;g", 4, 5),
        ("a;h", 690, 20),
        ("z", 0, 50),
    ];

    #[test]
    fn wide_stacks_stay_as_they_are() {
        let lines: Vec<String> =
            STACKS.iter().map(|(stack, width, other)| format!("{stack} {width} {other}")).collect();
        assert_eq!(kept(&STACKS, 0.0), lines);
    }

    #[test]
    fn narrow_ones_go_into_the_frame_below_or_their_neighbour_with_the_largest_change() {
        // Less than 9.9 of 1000 is narrow: d, with e and f, and g beside it.
        assert_eq!(
            kept(&STACKS, 1.0),
            ["a 1 0", "a;b;c 300 300", "a;b;d 9 16", "a;h 690 20", "z 0 50"]
        );
        // Less than 3.96: e and f are apart, as together they are not.
        assert_eq!(
            kept(&STACKS, 0.4),
            [
                "a 1 0",
                "a;b;c 300 300",
                "a;b;d;e 2 9",
                "a;b;d;f 3 0",
                "a;b;g 4 5",
                "a;h 690 20",
                "z 0 50"
            ]
        );
    }

    #[test]
    fn two_profiles_meet_stack_by_stack() {
        let side = |stacks: &[(&str, u64)]| {
            let held = stacks.iter().map(|(s, amount)| (s.to_string(), exactly(*amount)));
            held.collect::<Vec<_>>().into_iter()
        };
        let both = side_by_side(side(&[("a", 1), ("c", 3)]), side(&[("b", 2), ("c", 4)]));
        let values = |width, other| Values { width: exactly(width), other: exactly(other) };
        assert_eq!(
            both.collect::<Vec<_>>(),
            [
                ("a".to_owned(), values(1, 0)),
                ("b".to_owned(), values(0, 2)),
                ("c".to_owned(), values(3, 4))
            ]
        );
    }
}
