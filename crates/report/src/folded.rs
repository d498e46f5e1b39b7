//! What of a profile's folded stacks can be seen in a picture.
//!
//! A frame that is too narrow is left out of a picture with all above it. Large profiles consist
//! of such frames for the most part, and their text is many times as large as the profile. So the
//! stacks are taken one at a time, and those above a narrow frame go into it at once; narrow
//! neighbours become one, as long as that is narrow. What is left is drawn to the same picture.

use std::fmt::Write as _;

use profile::Uncertainty;
use profile::folded::{Amount, NameId, Stacks};

/// Widths that are nearly enough to be seen are kept: it is the picture that decides.
const SURELY_NARROW: f64 = 0.99;

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
    /// The stack's frames with a `;` between them, then the columns as they are written.
    pub(crate) text: String,
    /// How many bytes of the text are the stack's.
    stack_bytes: usize,
    /// What it holds.
    pub(crate) values: Values,
    /// What the other side is to be for its colour: where one line stands for several stacks, the
    /// largest change of them all is shown.
    pub(crate) other_in_colour: u64,
}

/// The stacks that remain when everything is gathered that takes less than `min_width` percent of
/// `total`, and what each holds. `values` is what is to be drawn of a stack, if anything is.
pub(crate) fn visible<const N: usize>(
    stacks: &Stacks<'_, N>,
    values: impl Fn([Amount; N]) -> Option<Values>,
    total: u64,
    min_width: f64,
) -> Vec<DrawnStack> {
    let limit = total as f64 * min_width / 100.0 * SURELY_NARROW;
    let mut tree = Tree { limit, open: vec![Node::default()] };
    for stack in stacks.iter() {
        let Some(values) = values(stack.amounts) else { continue };
        // Of a narrow stack, what is above the last frame that others may have goes into that one.
        let frames = if tree.is_narrow(values) { stack.own_depth } else { usize::MAX };
        tree.add(stack.frames.take(frames), values);
    }
    tree.close(1);
    let mut lines = Vec::new();
    for root in &tree.open[0].children {
        root.write("", stacks, &mut lines);
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
    name: NameId,
    /// What ends here.
    own: Values,
    /// That, and what is above.
    all: Values,
    /// The largest change of a stack that has gone into this frame.
    change: i64,
    children: Vec<Node>,
}

impl Tree {
    fn add(&mut self, frames: impl Iterator<Item = NameId>, values: Values) {
        let mut depth = 1;
        let mut frames = frames.peekable();
        while let (Some(frame), Some(open)) = (frames.peek(), self.open.get(depth))
            && open.name == *frame
        {
            frames.next();
            depth += 1;
        }
        self.close(depth);
        self.open.extend(frames.map(|name| Node { name, ..Node::default() }));
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

    fn write<const N: usize>(
        &self,
        before: &str,
        stacks: &Stacks<'_, N>,
        lines: &mut Vec<DrawnStack>,
    ) {
        let name = stacks.name(self.name);
        let path = if before.is_empty() { name.to_owned() } else { format!("{before};{name}") };
        if self.own != Values::default() {
            // A frame that took others in shows the largest change of them all; where there was
            // but one stack, that is its own.
            let other_in_colour = match self.children.as_slice() {
                [] => self.own.width.amount.saturating_add_signed(self.change.saturating_neg()),
                _ => self.own.other.amount,
            };
            lines.push(DrawnStack {
                text: path.clone(),
                stack_bytes: path.len(),
                values: self.own,
                other_in_colour,
            });
        }
        for child in &self.children {
            child.write(&path, stacks, lines);
        }
    }
}

impl DrawnStack {
    /// The frames, with a `;` between them.
    pub(crate) fn stack(&self) -> &str {
        &self.text[..self.stack_bytes]
    }

    /// Adds a column to the text.
    pub(crate) fn write(&mut self, column: u64) {
        // A string takes everything.
        let _ = write!(self.text, " {column}");
    }
}

impl Held {
    /// What of a column can be drawn: what is above 0, and what may be.
    pub(crate) fn positive(amount: Amount) -> Option<Held> {
        Some(Held { amount: u64::try_from(amount.sum).ok()?, off: amount.off })
    }

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
    use profile::folded::read;
    use profile::{Profile, ValueType};

    use super::*;

    fn exactly(amount: u64) -> Held {
        Held { amount, off: Uncertainty::default() }
    }

    fn profile(stacks: impl Iterator<Item = (&'static str, i64)>) -> Profile {
        let lines: Vec<String> = stacks.map(|(stack, value)| format!("{stack} {value}")).collect();
        let text = lines.join("\n");
        let value_type = ValueType { kind: "inuse_space".into(), unit: "bytes".into() };
        read(text.as_bytes(), "text", value_type).unwrap()
    }

    #[test]
    fn what_is_not_positive_has_no_width() {
        let amount = |sum| Amount { sum, off: Uncertainty::default() };
        assert_eq!(Held::positive(amount(5)), Some(exactly(5)));
        assert_eq!(Held::positive(amount(-5)), None);
    }

    fn kept(stacks: &[(&'static str, u64, u64)], min_width: f64) -> Vec<String> {
        let total = stacks.iter().map(|(_, width, _)| width).sum();
        let wide = profile(stacks.iter().map(|(stack, width, _)| (*stack, *width as i64)));
        let other = profile(stacks.iter().map(|(stack, _, other)| (*stack, *other as i64)));
        let stacks = Stacks::of([(&wide, 0), (&other, 0)]);
        let values = |amounts: [Amount; 2]| {
            let [width, other] = amounts.map(|amount| Held::positive(amount).unwrap());
            Some(Values { width, other })
        };
        let lines = visible(&stacks, values, total, min_width).into_iter();
        let written = |mut line: DrawnStack| {
            line.write(line.values.width.amount);
            line.write(line.other_in_colour);
            assert!(line.text.starts_with(&format!("{} ", line.stack())));
            line.text
        };
        lines.map(written).collect()
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
}
