//! The layout of a flamegraph: which frame stands in which, what each holds, and which can be seen.
//!
//! Both of our pictures are made of it: the page draws the [`Place`]s of its frames, and the SVG
//! that stands alone is written by inferno from its [`lines`](Node::lines).
//!
//! A frame that is too narrow is left out of a picture with all above it. Large profiles consist
//! of such frames for the most part, and their text is many times as large as the profile. So
//! stacks may be taken one at a time, and those above a narrow frame go into it at once; narrow
//! neighbours become one, as long as that is narrow. What is left is drawn to the same picture.

use std::collections::HashMap;
use std::hash::Hash;

use profile::folded::Amount;

/// Widths that are nearly enough to be seen are kept: it is the picture that decides.
pub(crate) const SURELY_NARROW: f64 = 0.99;

/// What the stacks of a frame hold.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Held {
    /// On the side that a comparison begins with; nothing in a picture of one profile.
    pub(crate) before: Amount,
    /// On the other side, or in the one profile.
    pub(crate) after: Amount,
    /// How wide that is, in a unit of the picture's own; never less than nothing.
    pub(crate) width: f64,
    /// By how much a stack differs between the sides: of several, the largest difference.
    pub(crate) difference: i64,
}

impl Held {
    fn plus(self, more: Held) -> Held {
        let larger = more.difference.unsigned_abs() > self.difference.unsigned_abs();
        Held {
            before: self.before.plus(more.before),
            after: self.after.plus(more.after),
            width: self.width + more.width,
            difference: if larger { more.difference } else { self.difference },
        }
    }
}

/// The frames up to now, with the path to the newest one open: what comes next may belong there.
pub(crate) struct Tree<L> {
    /// What is narrower goes into its neighbour or its caller.
    least_width: f64,
    open: Vec<Node<L>>,
}

/// A frame, with all that it calls.
#[derive(Clone, Debug)]
pub(crate) struct Node<L> {
    pub(crate) label: L,
    /// What ends here.
    pub(crate) own: Held,
    /// That, and what is above.
    pub(crate) all: Held,
    pub(crate) children: Vec<Node<L>>,
}

impl<L: Clone + Eq + Hash> Tree<L> {
    /// A picture without stacks yet, in which nothing narrower than `least_width` is kept apart.
    /// `root` is the frame that holds all others.
    pub(crate) fn new(root: L, least_width: f64) -> Tree<L> {
        Tree { least_width: least_width * SURELY_NARROW, open: vec![Node::new(root)] }
    }

    /// Adds a stack, its frames outermost first. Stacks that begin alike have to follow each
    /// other for narrow frames to be gathered.
    pub(crate) fn add(&mut self, frames: impl IntoIterator<Item = L>, held: Held) {
        let mut depth = 1;
        let mut frames = frames.into_iter().peekable();
        while let (Some(frame), Some(open)) = (frames.peek(), self.open.get(depth))
            && open.label == *frame
        {
            frames.next();
            depth += 1;
        }
        self.close(depth);
        self.open.extend(frames.map(Node::new));
        if let Some(last) = self.open.last_mut() {
            last.own = last.own.plus(held);
            last.all = last.all.plus(held);
        }
    }

    /// Whether a frame that holds no more is too narrow to be kept apart.
    pub(crate) fn is_narrow(&self, held: Held) -> bool {
        held.width < self.least_width
    }

    /// The frame that holds all others.
    pub(crate) fn finish(mut self) -> Node<L> {
        self.close(1);
        let mut root = self.open.swap_remove(0);
        root.unite();
        root
    }

    /// Closes the frames of the open path from this depth on, which is at least 1.
    fn close(&mut self, depth: usize) {
        while self.open.len() > depth {
            let Some(mut node) = self.open.pop() else { return };
            let narrow = self.is_narrow(node.all);
            if narrow {
                node.gather();
            }
            let least_width = self.least_width;
            let Some(parent) = self.open.last_mut() else { return };
            parent.all = parent.all.plus(node.all);
            match parent.children.last_mut() {
                Some(last)
                    if narrow
                        && last.children.is_empty()
                        && last.all.plus(node.all).width < least_width =>
                {
                    last.own = last.own.plus(node.all);
                    last.all = last.own;
                }
                _ => parent.children.push(node),
            }
        }
    }
}

impl<L: Clone + Eq + Hash> Node<L> {
    fn new(label: L) -> Node<L> {
        Node { label, own: Held::default(), all: Held::default(), children: Vec::new() }
    }

    /// All that is above ends here.
    fn gather(&mut self) {
        self.own = self.all;
        self.children.clear();
    }

    /// Makes one frame of those with one label. In the order of their texts, stacks of `f` may
    /// stand on both sides of those of `f::g`.
    fn unite(&mut self) {
        if self.children.len() < 2 {
            self.children.iter_mut().for_each(Node::unite);
            return;
        }
        let mut places: HashMap<L, usize> = HashMap::new();
        let mut children: Vec<Node<L>> = Vec::with_capacity(self.children.len());
        for child in std::mem::take(&mut self.children) {
            if let Some(at) = places.get(&child.label) {
                let first = &mut children[*at];
                first.own = first.own.plus(child.own);
                first.all = first.all.plus(child.all);
                first.children.extend(child.children);
            } else {
                places.insert(child.label.clone(), children.len());
                children.push(child);
            }
        }
        drop(places);
        children.iter_mut().for_each(Node::unite);
        self.children = children;
    }
}

impl<L> Node<L> {
    /// These frames under other labels.
    pub(crate) fn relabelled<M>(self, label: &mut impl FnMut(&Node<L>) -> M) -> Node<M> {
        let new = label(&self);
        let Node { own, all, children, .. } = self;
        let children = children.into_iter().map(|child| child.relabelled(label)).collect();
        Node { label: new, own, all, children }
    }

    /// Calls `see` with this frame, then with each above it.
    pub(crate) fn for_each(&self, see: &mut impl FnMut(&Node<L>)) {
        see(self);
        for child in &self.children {
            child.for_each(see);
        }
    }

    /// The stacks as folded lines, without the frame that holds all: the labels with a `;` between
    /// them, and what `columns` says of the frame in which something ends.
    pub(crate) fn lines(&self, columns: impl Fn(&Node<L>) -> String) -> Vec<String>
    where
        L: AsRef<str>,
    {
        let mut lines = Vec::new();
        for child in &self.children {
            child.write("", &columns, &mut lines);
        }
        lines
    }

    fn write(&self, before: &str, columns: &impl Fn(&Node<L>) -> String, lines: &mut Vec<String>)
    where
        L: AsRef<str>,
    {
        let name = self.label.as_ref();
        let path = if before.is_empty() { name.to_owned() } else { format!("{before};{name}") };
        if self.own != Held::default() {
            lines.push(format!("{path} {}", columns(self)));
        }
        for child in &self.children {
            child.write(&path, columns, lines);
        }
    }

    /// Where the frames stand that are at least `least_width` of the picture wide: callers before
    /// what they call, the widest of each row's siblings first, equal ones in the order of their
    /// labels. Empty when nothing has a width.
    pub(crate) fn places(&self, least_width: f64) -> Vec<Place<'_, L>>
    where
        L: Ord,
    {
        let mut places = Vec::new();
        if self.all.width > 0.0 {
            self.place(&mut places, Row { depth: 0, left: 0.0 }, self.all.width, least_width);
        }
        places
    }

    fn place<'a>(&'a self, places: &mut Vec<Place<'a, L>>, row: Row, whole: f64, least_width: f64)
    where
        L: Ord,
    {
        let width = self.all.width / whole;
        if width < least_width {
            return;
        }
        places.push(Place { frame: self, depth: row.depth, left: row.left / whole, width });
        let mut children: Vec<&Node<L>> = self.children.iter().collect();
        children.sort_by(|one, other| {
            let by_width = other.all.width.total_cmp(&one.all.width);
            by_width.then_with(|| one.label.cmp(&other.label))
        });
        let mut left = row.left;
        for child in children {
            child.place(places, Row { depth: row.depth + 1, left }, whole, least_width);
            left += child.all.width;
        }
    }
}

/// Where the next frame stands, in the tree's unit.
#[derive(Clone, Copy)]
struct Row {
    depth: usize,
    left: f64,
}

/// Where a frame stands in a picture.
#[derive(Debug)]
pub(crate) struct Place<'a, L> {
    pub(crate) frame: &'a Node<L>,
    /// Rows from the root, which is 0.
    pub(crate) depth: usize,
    /// From the left, in parts of the picture from 0 to 1.
    pub(crate) left: f64,
    /// How wide, in parts of the picture from 0 to 1.
    pub(crate) width: f64,
}

#[cfg(test)]
mod tests;
