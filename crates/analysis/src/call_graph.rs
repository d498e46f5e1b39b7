//! Who calls whom, and what is held below each call: the callers and callees of a function, and all
//! calls as a tree.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use profile::Uncertainty;

use crate::group::Call;
use crate::stacks::Stack;

/// A function with those that call it and those that it calls.
#[derive(Clone, Debug, PartialEq)]
pub struct Peeked {
    /// The function.
    pub function: String,
    /// What stacks hold that it is on.
    pub all: Held,
    /// What it has asked for itself.
    pub own: Held,
    /// Its callers with what is reached through them and it, the most first; an empty name for
    /// stacks that begin with it.
    pub callers: Vec<(String, Held)>,
    /// What it calls, in the same way.
    pub callees: Vec<(String, Held)>,
}

/// A call in the tree.
#[derive(Clone, Debug, PartialEq)]
pub struct Branch {
    /// The function.
    pub function: String,
    /// What is held below it, and by itself.
    pub all: Held,
    /// What it calls, the most first.
    pub calls: Vec<Branch>,
}

/// What stacks hold together.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Held {
    /// The sum of their values.
    pub sum: i64,
    /// How far off it may be; nothing where it is exact.
    pub off: Uncertainty,
}

impl Held {
    fn add(&mut self, stack: &Stack) {
        self.sum = self.sum.saturating_add(stack.amount);
        self.off = self.off.and(stack.off);
    }

    /// What all of them hold.
    pub fn of(stacks: &[Stack]) -> Held {
        let mut all = Held::default();
        for stack in stacks {
            all.add(stack);
        }
        all
    }
}

/// The functions in whose names `part` is, those that hold most first. A stack on which a function
/// is several times counts once.
pub fn peek(stacks: &[Stack], part: &str) -> Vec<Peeked> {
    #[derive(Default)]
    struct Sums<'a> {
        all: Held,
        own: Held,
        callers: BTreeMap<&'a str, Held>,
        callees: BTreeMap<&'a str, Held>,
    }
    let mut found: BTreeMap<&str, Sums<'_>> = BTreeMap::new();
    for stack in stacks {
        let mut seen = BTreeSet::new();
        for (at, call) in stack.calls.iter().enumerate() {
            let name = name_of(call);
            if !name.contains(part) {
                continue;
            }
            let sums = found.entry(name).or_default();
            if seen.insert((name, Side::Whole, "")) {
                sums.all.add(stack);
            }
            let caller = at.checked_sub(1).map_or("", |at| name_of(&stack.calls[at]));
            if seen.insert((name, Side::Caller, caller)) {
                sums.callers.entry(caller).or_default().add(stack);
            }
            match stack.calls.get(at + 1).map(name_of) {
                None => sums.own.add(stack),
                Some(next) => {
                    if seen.insert((name, Side::Callee, next)) {
                        sums.callees.entry(next).or_default().add(stack);
                    }
                }
            }
        }
    }
    let mut peeked: Vec<Peeked> = found
        .into_iter()
        .map(|(function, sums)| Peeked {
            function: function.to_owned(),
            all: sums.all,
            own: sums.own,
            callers: most_first(sums.callers),
            callees: most_first(sums.callees),
        })
        .collect();
    peeked.sort_by_key(|it| std::cmp::Reverse(it.all.sum));
    peeked
}

/// What of a function was counted already on a stack.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Side {
    Whole,
    Caller,
    Callee,
}

fn most_first(sums: BTreeMap<&str, Held>) -> Vec<(String, Held)> {
    let mut sums: Vec<(String, Held)> =
        sums.into_iter().map(|(name, held)| (name.to_owned(), held)).collect();
    sums.sort_by_key(|(_, held)| std::cmp::Reverse(held.sum));
    sums
}

/// All calls from the outermost on, the most first.
pub fn tree(stacks: &[Stack]) -> Vec<Branch> {
    // In the order in which they came, so that callers come before what they call.
    let mut nodes: Vec<(&str, Held, Vec<usize>)> = Vec::new();
    let mut places: HashMap<(Option<usize>, &str), usize> = HashMap::new();
    let mut roots = Vec::new();
    for stack in stacks {
        let mut caller = None;
        for call in &stack.calls {
            let name = name_of(call);
            let place = *places.entry((caller, name)).or_insert_with(|| {
                let place = nodes.len();
                nodes.push((name, Held::default(), Vec::new()));
                match caller {
                    Some(caller) => nodes[caller].2.push(place),
                    None => roots.push(place),
                }
                place
            });
            nodes[place].1.add(stack);
            caller = Some(place);
        }
    }
    // Callees have higher numbers than their callers: from the last on, each is whole when it is
    // asked for.
    let mut branches: Vec<Option<Branch>> = nodes.iter().map(|_| None).collect();
    for (at, (function, all, calls)) in nodes.iter().enumerate().rev() {
        let calls = calls.iter().filter_map(|at| branches[*at].take()).collect();
        branches[at] =
            Some(Branch { function: (*function).to_owned(), all: *all, calls: sorted(calls) });
    }
    sorted(roots.iter().filter_map(|at| branches[*at].take()).collect())
}

fn sorted(mut branches: Vec<Branch>) -> Vec<Branch> {
    branches.sort_by(|one, other| {
        other.all.sum.cmp(&one.all.sum).then_with(|| one.function.cmp(&other.function))
    });
    branches
}

fn name_of(call: &Call) -> &str {
    match call.function.as_str() {
        "" => "[unknown]",
        name => name,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stack(functions: &[&str], amount: i64) -> Stack {
        let call = |function: &&str| Call { function: (*function).to_owned(), ..Call::default() };
        let calls = functions.iter().map(call).collect();
        Stack { calls, group: "tls", amount, off: Uncertainty::default() }
    }

    fn sums(all: &[(String, Held)]) -> Vec<(&str, i64)> {
        all.iter().map(|(name, held)| (name.as_str(), held.sum)).collect()
    }

    #[test]
    fn a_function_has_its_callers_and_callees_and_a_recursion_counts_once() {
        let stacks = [
            stack(&["main", "read", "grow"], 10),
            stack(&["main", "write", "grow", "copy"], 5),
            stack(&["main", "walk", "walk", "walk", "grow"], 7),
            stack(&["grow"], 1),
        ];
        let peeked = peek(&stacks, "grow");
        assert_eq!(peeked.len(), 1);
        assert_eq!((peeked[0].all.sum, peeked[0].own.sum), (23, 18));
        assert_eq!(sums(&peeked[0].callers), [("read", 10), ("walk", 7), ("write", 5), ("", 1)]);
        assert_eq!(sums(&peeked[0].callees), [("copy", 5)]);
        let walk = &peek(&stacks, "walk")[0];
        assert_eq!((walk.all.sum, walk.own.sum), (7, 0));
        assert_eq!(sums(&walk.callers), [("main", 7), ("walk", 7)]);
        assert_eq!(sums(&walk.callees), [("grow", 7), ("walk", 7)]);
        let names: Vec<_> = peek(&stacks, "r").into_iter().map(|it| it.function).collect();
        assert_eq!(
            names,
            ["grow", "read", "write"],
            "the most first, all that have it in the name"
        );
        assert_eq!(peek(&stacks, "none"), []);
    }

    fn lines(branches: &[Branch], depth: usize, into: &mut Vec<String>) {
        for branch in branches {
            into.push(format!("{}{} {}", " ".repeat(depth), branch.function, branch.all.sum));
            lines(&branch.calls, depth + 1, into);
        }
    }

    #[test]
    fn the_tree_has_every_call_at_its_caller() {
        let stacks = [
            stack(&["main", "a", "b"], 0),
            stack(&["main", "a"], 3),
            stack(&["main", "c"], 9),
            stack(&["main", "a", "b"], 2),
            stack(&["init"], 1),
        ];
        let mut all = Vec::new();
        lines(&tree(&stacks), 0, &mut all);
        assert_eq!(all, ["main 14", " c 9", " a 5", "  b 2", "init 1"]);
        assert_eq!(Held::of(&stacks).sum, 15);
    }
}
