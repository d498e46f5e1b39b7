use profile::Uncertainty;

use super::*;

fn amount(sum: i64) -> Amount {
    Amount { sum, off: Uncertainty::default() }
}

/// A stack of a comparison that is as wide as what it holds after.
fn held(after: i64, before: i64) -> Held {
    Held {
        before: amount(before),
        after: amount(after),
        width: after as f64,
        difference: after - before,
    }
}

fn tree(stacks: &[(&'static str, i64, i64)], percent: f64) -> Node<&'static str> {
    let total: i64 = stacks.iter().map(|(_, after, _)| after).sum();
    let mut tree = Tree::new("all", total as f64 * percent / 100.0);
    for (stack, after, before) in stacks {
        tree.add(stack.split(';'), held(*after, *before));
    }
    tree.finish()
}

fn kept(stacks: &[(&'static str, i64, i64)], percent: f64) -> Vec<String> {
    let columns = |frame: &Node<&str>| {
        let Held { before, after, difference, .. } = frame.own;
        format!("{} {} {difference:+}", after.sum, before.sum)
    };
    tree(stacks, percent).lines(columns)
}

const STACKS: [(&str, i64, i64); 7] = [
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
    let lines: Vec<String> = STACKS
        .iter()
        .map(|(stack, after, before)| format!("{stack} {after} {before} {:+}", after - before))
        .collect();
    assert_eq!(kept(&STACKS, 0.0), lines);
}

#[test]
fn narrow_ones_go_into_the_frame_below_or_their_neighbour_with_the_largest_difference() {
    // Less than 9.9 of 1000 is narrow: d, with e and f, and g beside it.
    assert_eq!(
        kept(&STACKS, 1.0),
        ["a 1 0 +1", "a;b;c 300 300 +0", "a;b;d 9 14 -7", "a;h 690 20 +670", "z 0 50 -50"]
    );
    // Less than 3.96: e and f are apart, as together they are not.
    assert_eq!(kept(&STACKS, 0.4)[2..5], ["a;b;d;e 2 9 -7", "a;b;d;f 3 0 +3", "a;b;g 4 5 -1"]);
}

#[test]
fn each_frame_holds_what_its_stacks_hold() {
    let root = tree(&STACKS, 1.0);
    assert_eq!((root.all.after.sum, root.all.before.sum), (1_000, 384));
    let mut all = Vec::new();
    root.for_each(&mut |frame| all.push((frame.label, frame.all.after.sum)));
    let expected =
        [("all", 1_000), ("a", 1_000), ("b", 309), ("c", 300), ("d", 9), ("h", 690), ("z", 0)];
    assert_eq!(all, expected);
}

#[test]
fn a_frame_is_one_even_where_others_stand_between_its_stacks() {
    // As text, `f::x;` stands between `f` and `f;`.
    let lines = kept(&[("f", 500, 0), ("f::x;y", 300, 0), ("f;g", 200, 0)], 0.0);
    assert_eq!(lines, ["f 500 0 +500", "f;g 200 0 +200", "f::x;y 300 0 +300"]);
}

#[test]
fn callers_stand_over_what_they_call_and_the_widest_comes_first() {
    let stacks = [("a;b", 10, 0), ("a;c", 20, 0), ("d", 9, 0), ("e", 1, 0)];
    let root = tree(&stacks, 0.0);
    let places = root.places(0.05);
    let places: Vec<_> = places
        .iter()
        .map(|place| (place.frame.label, place.depth, place.left, place.width))
        .collect();
    assert_eq!(
        places,
        [
            ("all", 0, 0.0, 1.0),
            ("a", 1, 0.0, 0.75),
            ("c", 2, 0.0, 0.5),
            ("b", 2, 0.5, 0.25),
            ("d", 1, 0.75, 0.225),
        ]
    );
    assert!(tree(&[("a", 0, 5)], 0.0).places(0.0).is_empty(), "nothing has a width");
}
