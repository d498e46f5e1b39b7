//! The layout of a flamegraph: which frame stands where, and what it holds.
//!
//! inferno draws pictures that stand alone: each brings its own script, and the identifiers of
//! two of them clash on one page. Here frames are laid out for pictures that share one script, are
//! as wide as their reader's screen, and know both sides of a comparison.

use std::collections::BTreeMap;

use analysis::diff::Margins;
use analysis::ratio::Estimated;
use analysis::stacks::Stack;
use profile::{Frame as ProfileFrame, Uncertainty, folded};

use crate::flamegraph::{frame_colour, shade};
use crate::frame_intervals::margin;
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

    /// The same after.
    pub(super) fn estimated_after(&self) -> Estimated {
        Estimated { figure: self.after, margin: self.margins.after }
    }
}

/// Frames narrower than this part of the picture are left out: less than a pixel on most screens.
pub(super) const LEAST_WIDTH: f64 = 0.001;

/// The frames from the root down, the widest of each row's siblings first.
///
/// With `before`, each stack is as wide as the larger of its two sides: what went away can be
/// seen, and so can what is new. What shrank below zero has no width, but counts in the figures.
/// Empty when nothing has a width.
pub(super) fn layout(before: Option<Side<'_>>, after: Side<'_>) -> Vec<Frame> {
    let mut tree = Tree { nodes: vec![Node::named("all".to_owned(), palette::RUNTIME_CODE)] };
    for stack in before.iter().flat_map(|side| side.stacks) {
        tree.leaf(stack).own.before.add(stack);
    }
    for stack in after.stacks {
        tree.leaf(stack).own.after.add(stack);
    }
    let divisors = [before.map_or(1, |side| side.connections), after.connections];
    tree.add_up(divisors.map(|divisor| divisor.max(1) as f64));
    let mut frames = Vec::new();
    if tree.nodes[0].width > 0.0 {
        tree.place(0, 0, 0.0, &mut frames);
    }
    frames
}

struct Tree {
    /// Children have higher indices than their parents.
    nodes: Vec<Node>,
}

struct Node {
    name: String,
    colour: Rgb,
    children: BTreeMap<String, usize>,
    /// Of stacks that end here.
    own: Amounts,
    /// In the figures' unit, with all children.
    before: f64,
    after: f64,
    margins: Margins,
    width: f64,
}

#[derive(Clone, Copy, Default)]
struct Amounts {
    before: Amount,
    after: Amount,
}

/// Whole numbers, so that sums are exact; and how far off they may be.
#[derive(Clone, Copy, Default)]
struct Amount {
    sum: i64,
    off: Uncertainty,
}

impl Amount {
    fn add(&mut self, stack: &Stack) {
        *self = self.plus(Amount { sum: stack.amount, off: stack.off });
    }

    fn plus(self, more: Amount) -> Amount {
        Amount { sum: self.sum.saturating_add(more.sum), off: self.off.and(more.off) }
    }

    fn each(self, connections: f64) -> f64 {
        self.sum as f64 / connections
    }

    fn margin_of_each(self, connections: f64) -> Option<f64> {
        Some(margin(self.off)? / connections)
    }
}

impl Node {
    fn named(name: String, colour: Rgb) -> Node {
        Node {
            name,
            colour,
            children: BTreeMap::new(),
            own: Amounts::default(),
            before: 0.0,
            after: 0.0,
            margins: Margins::default(),
            width: 0.0,
        }
    }
}

impl Tree {
    /// The node at which a stack ends, made where it is missing.
    fn leaf(&mut self, stack: &Stack) -> &mut Node {
        let mut at = 0;
        for call in &stack.calls {
            let frame = as_frame(call);
            let name = folded::function_name(&frame);
            let colour = shade(frame_colour(&frame), &name);
            at = self.child(at, name, colour);
        }
        let site = stack.calls.last().and_then(|call| folded::site_name(&as_frame(call)));
        if let Some(name) = site {
            let colour = shade(palette::of_group(stack.group), &name);
            at = self.child(at, name, colour);
        }
        &mut self.nodes[at]
    }

    fn child(&mut self, parent: usize, name: String, colour: Rgb) -> usize {
        if let Some(at) = self.nodes[parent].children.get(&name) {
            return *at;
        }
        let at = self.nodes.len();
        self.nodes[parent].children.insert(name.clone(), at);
        self.nodes.push(Node::named(name, colour));
        at
    }

    /// Sums from the leaves to the root; each side is divided only once its sum is known.
    fn add_up(&mut self, [old, new]: [f64; 2]) {
        let mut sums: Vec<Amounts> = self.nodes.iter().map(|node| node.own).collect();
        for at in (0..self.nodes.len()).rev() {
            let own = self.nodes[at].own;
            let widest = own.before.each(old).max(own.after.each(new)).max(0.0);
            let children: Vec<usize> = self.nodes[at].children.values().copied().collect();
            for child in &children {
                sums[at].before = sums[at].before.plus(sums[*child].before);
                sums[at].after = sums[at].after.plus(sums[*child].after);
            }
            let below: f64 = children.iter().map(|child| self.nodes[*child].width).sum();
            let node = &mut self.nodes[at];
            node.width = widest + below;
            let Amounts { before, after } = sums[at];
            node.before = before.each(old);
            node.after = after.each(new);
            node.margins = Margins::of(before.margin_of_each(old), after.margin_of_each(new));
        }
    }

    fn place(&self, at: usize, depth: usize, left: f64, frames: &mut Vec<Frame>) {
        let node = &self.nodes[at];
        let whole = self.nodes[0].width;
        if node.width / whole < LEAST_WIDTH {
            return;
        }
        frames.push(Frame {
            name: node.name.clone(),
            depth,
            left: left / whole,
            width: node.width / whole,
            before: node.before,
            after: node.after,
            margins: node.margins,
            colour: node.colour,
        });
        let mut children: Vec<usize> = node.children.values().copied().collect();
        // The sort is stable: equal widths stay in the order of their names.
        children.sort_by(|a, b| self.nodes[*b].width.total_cmp(&self.nodes[*a].width));
        let mut left = left;
        for child in children {
            self.place(child, depth + 1, left, frames);
            left += self.nodes[child].width;
        }
    }
}

fn as_frame(call: &analysis::group::Call) -> ProfileFrame<'_> {
    ProfileFrame { function: &call.function, file: &call.file, line: call.line, address: 0 }
}

#[cfg(test)]
mod tests {
    use analysis::group::Call;

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
        let frames = layout(None, side(&stacks, 1));
        assert_eq!(
            rows(&frames),
            [
                ("all", 0, 0.0, 1.0),
                ("a", 1, 0.0, 0.75),
                ("c", 2, 0.0, 0.5),
                ("b", 2, 0.5, 0.25),
                ("d", 1, 0.75, 0.25),
            ]
        );
        assert_eq!(frames[0].after, 40.0);
    }

    #[test]
    fn each_stack_of_a_comparison_is_as_wide_as_its_larger_side() {
        let before = [stack(&["gone"], 600), stack(&["stays"], 200)];
        let after = [stack(&["new"], 50), stack(&["stays"], 100)];
        // 200 connections before, 100 after.
        let frames = layout(Some(side(&before, 200)), side(&after, 100));
        let figures: Vec<_> = frames
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
        let frames = layout(Some(side(&before, 2)), side(&after, 4));
        let of = |name: &str| frames.iter().find(|frame| frame.name == name).unwrap().margins;
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
        let frames = layout(None, side(&stacks, 2));
        assert_eq!(rows(&frames), [("all", 0, 0.0, 1.0), ("a", 1, 0.0, 1.0)]);
        assert_eq!(frames[0].after, 3.0);
        assert!(layout(None, side(&[stack(&["b"], -4)], 2)).is_empty());
    }

    #[test]
    fn slivers_are_left_out() {
        let stacks = [stack(&["wide"], 10_000), stack(&["sliver"], 1)];
        assert_eq!(layout(None, side(&stacks, 1)).len(), 2);
    }
}
