use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::*;

use super::*;
use crate::{Sampling, Uncertainty, arbitrary};

fn bytes_in_use() -> ValueType {
    ValueType { kind: "inuse_space".to_owned(), unit: "bytes".to_owned() }
}

/// Each stack with what it holds in the first column.
fn stacks(profile: &Profile) -> Vec<(String, Amount)> {
    let stacks = Stacks::of([(profile, 0)]);
    let text = |frames: &mut dyn Iterator<Item = NameId>| {
        frames.map(|frame| stacks.name(frame)).collect::<Vec<_>>().join(";")
    };
    stacks.iter().map(|mut stack| (text(&mut stack.frames), stack.amounts[0])).collect()
}

fn error_of(text: &str) -> String {
    read(text.as_bytes(), "a.folded", bytes_in_use()).unwrap_err().to_string()
}

#[test]
fn a_line_is_a_stack_from_its_root_to_its_leaf() {
    let text = "main;serve connection;SSL_accept 12\r\n\n  \nmain -3\n";
    let profile = read(text.as_bytes(), "", bytes_in_use()).unwrap();
    let stacks: Vec<(Vec<&str>, i64)> = profile
        .samples()
        .iter()
        .map(|s| (profile.frames(s).map(|f| f.function).collect(), s.values[0]))
        .collect();
    assert_eq!(stacks, [(vec!["SSL_accept", "serve connection", "main"], 12), (vec!["main"], -3)]);
    assert_eq!(write(&profile, 0), "main -3\nmain;serve connection;SSL_accept 12\n");
}

#[test]
fn lines_of_the_same_stack_are_added_and_stacks_of_nothing_left_out() {
    let text = "b 1\na;b 5\nb 2\nzero 0\n";
    let profile = read(text.as_bytes(), "", bytes_in_use()).unwrap();
    assert_eq!(write(&profile, 0), "a;b 5\nb 3\n");
}

#[test]
fn stacks_of_estimates_say_how_far_off_they_are_and_their_text_does_not() {
    let text = "a 70\na 30\nb 0\nc 5\n";
    let mut profile = read(text.as_bytes(), "", bytes_in_use()).unwrap();
    let amount = |sum, off| Amount { sum, off };
    let nothing = Uncertainty::default();
    assert_eq!(
        stacks(&profile),
        [("a".into(), amount(100, nothing)), ("c".into(), amount(5, nothing))]
    );
    profile.sampling = Sampling::every(1_000);
    for (sample, bytes) in profile.samples_mut().iter_mut().zip([10, 500, 20]) {
        sample.set_block_bytes(bytes);
    }
    let off = |bytes, estimate| profile.sampling.unwrap().uncertainty_of_bytes(bytes, estimate);
    let estimates = [
        ("a".into(), amount(100, off(10, 70.0).and(off(500, 30.0)))),
        ("b".into(), amount(0, off(20, 0.0))),
        ("c".into(), amount(5, nothing)),
    ];
    assert_eq!(stacks(&profile), estimates);
    assert_eq!(write(&profile, 0), "a 100\nc 5\n");
}

#[test]
fn errors_name_the_line() {
    assert_eq!(
        error_of("a;b 1\nonly-words\n"),
        "a.folded is damaged at line 2: expected `frame;frame;frame integer`, found \"only-words\""
    );
    assert_eq!(
        error_of("a 1\n\na;b 1.5\n"),
        "a.folded is damaged at line 3: expected an integer after the last space, found \"1.5\""
    );
    assert_eq!(
        error_of("a;;b 1"),
        "a.folded is damaged at line 1: expected a name for each frame, found \"a;;b 1\""
    );
    assert_eq!(
        error_of(&format!("a {}\na 1", i64::MAX)),
        "a.folded is damaged at line 2: expected values whose sum is below 2^63, found a larger one"
    );
    assert_eq!(error_of("\n\n"), "a.folded is empty: expected folded stacks, one a line");
}

proptest! {
    #[test]
    fn what_is_written_is_read_back_to_the_same_lines_and_the_same_total(
        profile in arbitrary::profile()
    ) {
        let text = write(&profile, 0);
        prop_assert!(text.lines().is_sorted());
        if text.is_empty() {
            return Ok(());
        }
        let again = read(text.as_bytes(), "", bytes_in_use()).unwrap();
        prop_assert_eq!(again.total(0), profile.total(0));
        prop_assert_eq!(write(&again, 0), text);
    }

    /// Few names, of which some begin like others, so that much is shared and little decides; and
    /// locations of several frames, so that the same frames lie in them in different ways.
    #[test]
    fn stacks_of_two_profiles_come_in_the_order_of_their_text_with_what_tells_them_apart(
        sides in proptest::array::uniform2(vec(vec(vec(0..NAMES.len(), 1..3), 0..5), 0..12))
    ) {
        let profiles = sides.map(|side| of_stacks(&side));
        let mut expected: BTreeMap<String, [i64; 2]> = BTreeMap::new();
        for (at, profile) in profiles.iter().enumerate() {
            for sample in profile.samples() {
                let frames: Vec<_> = profile.frames(sample).map(|f| f.function).collect();
                let frames: Vec<_> = frames.into_iter().rev().collect();
                let text = if frames.is_empty() { UNKNOWN.to_owned() } else { frames.join(";") };
                expected.entry(text).or_default()[at] += 1;
            }
        }
        let stacks = Stacks::of([(&profiles[0], 0), (&profiles[1], 0)]);
        let mut found = Vec::new();
        for Stack { frames, own_depth, amounts } in stacks.iter() {
            let frames: Vec<_> = frames.map(|frame| stacks.name(frame)).collect();
            let own = frames[..own_depth.min(frames.len())].join(";");
            found.push((frames.join(";"), own, amounts.map(|amount| amount.sum)));
        }
        let in_order: Vec<_> = found.iter().map(|(text, _, sums)| (text.clone(), *sums)).collect();
        prop_assert_eq!(in_order, expected.into_iter().collect::<Vec<_>>());
        for (at, (text, own, _)) in found.iter().enumerate() {
            let others = found.iter().enumerate().filter(|(other, _)| *other != at);
            for (_, (other, ..)) in others {
                let with = |stack: &str| format!("{stack};");
                let shares = own != text && with(other).starts_with(&with(own));
                prop_assert!(!shares, "{own} does not tell {text} from {other}");
            }
        }
    }

    #[test]
    fn no_bytes_make_the_reader_panic(bytes: Vec<u8>) {
        let _ = read(&bytes[..], "", bytes_in_use());
    }

    #[test]
    fn no_text_makes_the_reader_panic(text in "[a;0-9 \n-]{0,60}") {
        if let Ok(profile) = read(text.as_bytes(), "", bytes_in_use()) {
            write(&profile, 0);
        }
    }
}

const NAMES: [&str; 5] = ["a", "a b", "ab", "a<", "b"];

/// A profile of stacks that hold 1 each: locations, outermost first, of one or more names.
fn of_stacks(stacks: &[Vec<Vec<usize>>]) -> Profile {
    let mut profile = Profile::new(vec![bytes_in_use()], Some(0));
    for stack in stacks {
        let mut location = |names: &Vec<usize>| {
            let lines = names.iter().rev().map(|name| {
                let name = NAMES[*name].to_owned();
                let function = profile.function(Function { name, ..Function::default() });
                Line { function, line: 0 }
            });
            let lines = lines.collect();
            profile.location(Location { lines, ..Location::default() })
        };
        let stack = stack.iter().rev().map(&mut location).collect();
        profile.push(Sample { stack, values: vec![1], labels: Vec::new() });
    }
    profile
}

#[test]
fn a_stack_that_goes_on_where_another_ends_is_told_by_its_next_frame() {
    let frames = |count| (0..count).map(|at| vec![at % NAMES.len()]).collect::<Vec<_>>();
    // The last has nothing in common with the others, so that none is passed over.
    let profile = of_stacks(&[frames(4), frames(5), vec![vec![4]]]);
    let stacks = Stacks::of([(&profile, 0)]);
    let told: Vec<usize> = stacks.iter().map(|stack| stack.own_depth).collect();
    assert!(told[1] > 4, "{told:?}");
}

/// A profile of one stack, innermost frame first: function, file, line, and address.
fn of_one(frames: &[(&str, &str, u32, u64)]) -> Profile {
    let mut profile = Profile::new(vec![bytes_in_use()], Some(0));
    let stack = frames
        .iter()
        .map(|(name, file, line, address)| {
            let (name, file) = ((*name).to_owned(), (*file).to_owned());
            let unnamed = name.is_empty() && file.is_empty();
            let function = Function { system_name: name.clone(), name, file };
            let line = Line { function: profile.function(function), line: *line };
            let lines = if unnamed { Vec::new() } else { vec![line] };
            profile.location(Location { address: *address, lines, ..Location::default() })
        })
        .collect();
    profile.push(Sample { stack, values: vec![1], labels: Vec::new() });
    profile
}

#[test]
fn the_outermost_frame_comes_first_and_the_site_last() {
    let zlib = ("zlib_zalloc", "crypto/comp/c_zlib.c", 43, 2);
    let stack = of_one(&[zlib, ("SSL_accept", "ssl/x.c", 9, 1)]);
    assert_eq!(write(&stack, 0), "SSL_accept;zlib_zalloc;crypto/comp/c_zlib.c:43 1\n");
}

#[test]
fn unnamed_frames_show_their_address() {
    assert_eq!(write(&of_one(&[("", "", 0, 0x4a0), ("main", "", 0, 1)]), 0), "main;0x4a0 1\n");
    assert_eq!(write(&of_one(&[("", "", 0, 0)]), 0), "[unknown] 1\n");
    assert_eq!(write(&of_one(&[]), 0), "[unknown] 1\n");
}
