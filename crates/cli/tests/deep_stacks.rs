//! Stacks that are as deep as a recursion that has gone wrong: every command tells of them, and
//! none needs a stack as deep, or memory that grows with the square of it.

mod program;

use std::fs;
use std::path::{Path, PathBuf};

use profile::{Function, Line, Location, Profile, Sample, pprof};
use program::{path, printed};
use tempfile::TempDir;

const DEPTH: usize = 40_000;

/// A capture with one stack of so many functions, and one that is not deep.
fn capture(folder: &Path, name: &str, bytes: i64) -> PathBuf {
    let mut profile = Profile::of_heap();
    let mut stack = Vec::new();
    for at in 0..DEPTH {
        let name = format!("parse_value_at_level_{at}");
        let file = "src/json.rs".to_owned();
        let function = profile.function(Function { system_name: name.clone(), name, file });
        let lines = vec![Line { function, line: 7 }];
        stack.push(profile.location(Location { lines, ..Location::default() }));
    }
    let shallow = stack[DEPTH - 3..].to_vec();
    for (stack, bytes) in [(stack, bytes), (shallow, 500)] {
        let values = vec![1, bytes, 1, bytes, 1, bytes];
        profile.push(Sample { stack, values, labels: Vec::new() });
    }
    let file = folder.join(name);
    fs::write(&file, pprof::write(&profile)).unwrap();
    file
}

#[test]
fn pictures_of_deep_stacks_say_what_they_leave_out_and_stay_small() {
    let place = TempDir::new().unwrap();
    let one = capture(place.path(), "one.pb.gz", 9_000);
    let two = capture(place.path(), "two.pb.gz", 12_000);
    let file = |name: &str| place.path().join(name);
    let (flame, diff, page) = (file("flame.svg"), file("diff.svg"), file("page.html"));
    printed(&["flame", path(&one), "-o", path(&flame)]);
    printed(&["diff", path(&one), path(&two), "--flame", path(&diff)]);
    printed(&["report", path(&one), path(&two), "-o", path(&page)]);
    for picture in [flame, diff, page] {
        let text = fs::read_to_string(&picture).unwrap();
        assert!(text.contains("[frames left out: stacks are deeper than 500]"), "{picture:?}");
        for kept in ["parse_value_at_level_0", "parse_value_at_level_39999"] {
            assert!(text.contains(kept), "{kept} in {picture:?}");
        }
        assert!(text.len() < 5_000_000, "{picture:?} has {} bytes", text.len());
    }
}

#[test]
fn tables_and_other_formats_have_deep_stacks_whole() {
    let place = TempDir::new().unwrap();
    let one = path(&capture(place.path(), "one.pb.gz", 9_000)).to_owned();
    assert!(printed(&["top", &one]).contains("src/json.rs:7"));
    assert!(printed(&["diagnose", &one]).contains("nothing found"));
    let folded = printed(&["export", &one, "--format=folded"]);
    // And the site of the allocation.
    let deepest = folded.lines().map(|line| line.matches(';').count() + 1).max();
    assert_eq!(deepest, Some(DEPTH + 1));
    assert!(printed(&["export", &one, "--format=speedscope"]).contains("parse_value_at_level_777"));
}
