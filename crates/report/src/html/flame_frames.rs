//! The frames of a picture on the page, of one subject or of two.
//!
//! inferno draws pictures that stand alone: each brings its own script, and the identifiers of
//! two of them clash on one page. These are drawn from the same layout for pictures that share one
//! script, are as wide as their reader's screen, and know both sides of a comparison.

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap};
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use analysis::diff::Margins;
use analysis::group::Call;
use analysis::ratio::Estimated;
use analysis::stacks::Stack;
use profile::Frame as ProfileFrame;
use profile::folded::{self, Amount};

use crate::frame_colours::{frame_colour, shade};
use crate::frame_titles::margin;
use crate::frame_tree::{Held, Place, Tree};
use crate::palette::{self, Rgb};

/// The stacks of one side, and for how many connections they stand; 1 for a whole process.
#[derive(Clone, Copy)]
pub(super) struct Side<'a> {
    pub stacks: &'a [Stack],
    pub connections: u64,
}

/// One frame of the picture. Frames come with callers before what they call.
pub(super) struct Frame {
    pub name: String,
    /// Rows below the root, which is 0.
    pub depth: usize,
    /// From the left, and how wide, in parts of the picture from 0 to 1.
    pub left: f64,
    pub width: f64,
    /// What it holds on each side. Without a comparison, `before` is 0.
    pub before: f64,
    pub after: f64,
    /// Halves of their 95 % intervals.
    pub margins: Margins,
    /// The colour of its function, or of its site's group.
    pub colour: Rgb,
}

impl Frame {
    /// What it holds before, and how far off that may be.
    pub(super) fn estimated_before(&self) -> Estimated {
        Estimated { figure: self.before, margin: self.margins.before }
    }

    /// What it holds after, and how far off that may be.
    pub(super) fn estimated_after(&self) -> Estimated {
        Estimated { figure: self.after, margin: self.margins.after }
    }
}

/// Frames narrower than this part of the picture are left out: less than a pixel on most screens.
pub(super) const LEAST_WIDTH: f64 = 0.001;

/// More frames are left out, the narrowest first: each is some 300 bytes of the page.
const MOST_FRAMES: usize = 4_000;

/// The frames from the root down, the widest of each row's siblings first.
///
/// With `before`, each stack is as wide as the larger of its two sides: what went away can be
/// seen, and so can what is new. What shrank below zero has no width, but counts in the figures.
/// Empty when nothing has a width.
pub(super) fn frames(before: Option<Side<'_>>, after: Side<'_>) -> Vec<Frame> {
    let mut stacks: BTreeMap<Vec<Label>, [Amount; 2]> = BTreeMap::new();
    let mut of_calls = HashMap::new();
    let sides = [before.map_or(&[][..], |side| side.stacks), after.stacks];
    for (at, side) in sides.into_iter().enumerate() {
        for stack in side {
            let amount = &mut stacks.entry(labels(stack, &mut of_calls)).or_default()[at];
            *amount = amount.plus(Amount { sum: stack.amount, off: stack.off });
        }
    }
    let connections = [before.map_or(1, |side| side.connections), after.connections];
    let connections = connections.map(|connections| connections.max(1) as f64);
    // Everything is in memory already, so that nothing has to be gathered.
    let mut tree = Tree::new(Label { name: "all".into(), colour: palette::RUNTIME_CODE }, 0.0);
    for (labels, [before, after]) in stacks {
        let each = [(before, connections[0]), (after, connections[1])];
        let [old, new] = each.map(|(amount, connections)| amount.sum as f64 / connections);
        let difference = after.sum.saturating_sub(before.sum);
        tree.add(labels, Held { before, after, width: old.max(new).max(0.0), difference });
    }
    let root = tree.finish();
    let frame = |place: &Place<'_, Label>| {
        let Held { before, after, .. } = place.frame.all;
        let [(before, old), (after, new)] = [(before, connections[0]), (after, connections[1])]
            .map(|(amount, connections)| {
                let margin = margin(amount.off).map(|margin| margin / connections);
                (amount.sum as f64 / connections, margin)
            });
        Frame {
            name: place.frame.label.name.as_ref().to_owned(),
            depth: place.depth,
            left: place.left,
            width: place.width,
            before,
            after,
            margins: Margins::of(old, new),
            colour: place.frame.label.colour,
        }
    };
    let mut least_width = LEAST_WIDTH;
    let mut places = root.places(least_width);
    while places.len() > MOST_FRAMES {
        least_width *= 2.0;
        places = root.places(least_width);
    }
    places.iter().map(frame).collect()
}

/// What is drawn of a call: frames are told apart by their names alone.
#[derive(Clone, Debug)]
struct Label {
    name: Arc<str>,
    colour: Rgb,
}

impl PartialEq for Label {
    fn eq(&self, other: &Label) -> bool {
        self.name == other.name
    }
}

impl Eq for Label {}

impl Hash for Label {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl PartialOrd for Label {
    fn partial_cmp(&self, other: &Label) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Label {
    fn cmp(&self, other: &Label) -> Ordering {
        self.name.cmp(&other.name)
    }
}

/// A stack's functions, and its site in the colour of what the memory is for.
/// Stacks have most calls in common, and each is named once.
fn labels<'a>(stack: &'a Stack, of_calls: &mut HashMap<&'a Call, Label>) -> Vec<Label> {
    let call = |call: &'a Call| {
        let named = of_calls.entry(call).or_insert_with(|| {
            let frame = as_frame(call);
            let name = folded::function_name(&frame);
            Label { colour: shade(frame_colour(&frame), &name), name: name.into() }
        });
        named.clone()
    };
    let leaf = stack.calls.last().map(as_frame);
    let site = leaf.as_ref().and_then(folded::site_name).map(|name| Label {
        colour: shade(palette::of_group(stack.group), &name),
        name: name.into(),
    });
    let mut labels: Vec<Label> = stack.calls.iter().map(call).collect();
    labels.extend(site);
    labels
}

fn as_frame(call: &Call) -> ProfileFrame<'_> {
    ProfileFrame { function: &call.function, file: &call.file, line: call.line, address: 0 }
}

#[cfg(test)]
mod tests {
    use profile::Uncertainty;

    use super::*;

    fn stack(functions: &[&str], amount: i64) -> Stack {
        let call = |function: &&str| Call { function: (*function).to_owned(), ..Call::default() };
        let calls = functions.iter().map(call).collect();
        Stack { calls, group: "tls", amount, off: Uncertainty::default() }
    }

    fn side(stacks: &[Stack], connections: u64) -> Side<'_> {
        Side { stacks, connections }
    }

    fn rows(frames: &[Frame]) -> Vec<(&str, usize, f64, f64)> {
        frames
            .iter()
            .map(|frame| (frame.name.as_str(), frame.depth, frame.left, frame.width))
            .collect()
    }

    #[test]
    fn callers_stand_over_what_they_call_and_the_widest_comes_first() {
        let stacks = [stack(&["a", "b"], 10), stack(&["a", "c"], 20), stack(&["d"], 10)];
        let drawn = frames(None, side(&stacks, 1));
        assert_eq!(
            rows(&drawn),
            [
                ("all", 0, 0.0, 1.0),
                ("a", 1, 0.0, 0.75),
                ("c", 2, 0.0, 0.5),
                ("b", 2, 0.5, 0.25),
                ("d", 1, 0.75, 0.25),
            ]
        );
        assert_eq!(drawn[0].after, 40.0);
    }

    #[test]
    fn each_stack_of_a_comparison_is_as_wide_as_its_larger_side() {
        let before = [stack(&["gone"], 600), stack(&["stays"], 200)];
        let after = [stack(&["new"], 50), stack(&["stays"], 100)];
        // 200 connections before, 100 after.
        let drawn = frames(Some(side(&before, 200)), side(&after, 100));
        let figures: Vec<_> = drawn
            .iter()
            .map(|f| (f.name.as_str(), f.before, f.after, (f.width * 4.5 * 1e6).round() / 1e6))
            .collect();
        assert_eq!(
            figures,
            [
                ("all", 4.0, 1.5, 4.5),
                ("gone", 3.0, 0.0, 3.0),
                ("stays", 1.0, 1.0, 1.0),
                ("new", 0.0, 0.5, 0.5),
            ]
        );
    }

    #[test]
    fn each_frame_has_the_interval_of_its_stacks_and_a_change_that_of_both_sides() {
        let off = |variance: f64, one_more: f64| Uncertainty { variance, one_more };
        let mut before = [stack(&["a", "b"], 400), stack(&["a", "rust"], 60)];
        before[0].off = off(90.0, 10.0);
        let mut after = [stack(&["a", "b"], 300), stack(&["a", "none"], 0)];
        after[0].off = off(300.0, 20.0);
        // Of a stack that was counted before, but has nothing now.
        after[1].off = off(0.0, 100.0);
        let drawn = frames(Some(side(&before, 2)), side(&after, 4));
        let of = |name: &str| drawn.iter().find(|frame| frame.name == name).unwrap().margins;
        let same = |one: Option<f64>, other: f64| (one.unwrap() - other).abs() < 1e-9;
        assert!(same(of("b").before, 1.96 * 10.0 / 2.0));
        assert!(same(of("b").after, 1.96 * f64::sqrt(320.0) / 4.0));
        for caller in ["a", "all"] {
            assert!(same(of(caller).before, 1.96 * 10.0 / 2.0));
            assert!(same(of(caller).after, 1.96 * 20.0 / 4.0));
            assert!(same(of(caller).change, f64::hypot(9.8, 9.8)));
        }
        assert_eq!(of("rust"), Margins::default(), "somebody else's estimate, or exact");
    }

    #[test]
    fn what_shrank_has_no_width_but_counts() {
        let stacks = [stack(&["a"], 10), stack(&["b"], -4)];
        let drawn = frames(None, side(&stacks, 2));
        assert_eq!(rows(&drawn), [("all", 0, 0.0, 1.0), ("a", 1, 0.0, 1.0)]);
        assert_eq!(drawn[0].after, 3.0);
        assert!(frames(None, side(&[stack(&["b"], -4)], 2)).is_empty());
    }

    #[test]
    fn slivers_are_left_out() {
        let stacks = [stack(&["wide"], 10_000), stack(&["sliver"], 1)];
        assert_eq!(frames(None, side(&stacks, 1)).len(), 2);
    }
}
