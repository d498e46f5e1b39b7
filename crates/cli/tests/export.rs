//! `tlsheap export`: the same figures in other programs' formats.

mod program;

use std::path::PathBuf;

use program::{path, printed, text, tlsheap};
use serde_json::Value;

fn fixture(name: &str) -> String {
    let all = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/profiles"));
    path(&all.join(name)).to_owned()
}

#[test]
fn folded_stacks_hold_one_column_and_its_sum() {
    let folded = printed(&["export", &fixture("good.pb.gz"), "-f", "folded"]);
    assert_eq!(folded, "main;zlib_zalloc;crypto/comp/c_zlib.c:43 583312\n");
    let blocks =
        printed(&["export", &fixture("good.pb.gz"), "-f=folded", "--column=inuse_objects"]);
    assert!(blocks.ends_with(" 13\n"), "{blocks}");
}

#[test]
fn speedscope_gets_every_column() {
    let json = printed(&["export", &fixture("good.pb.gz"), "--format", "speedscope"]);
    let file: Value = serde_json::from_str(&json).unwrap();
    let ends: Vec<(&str, i64)> = file["profiles"]
        .as_array()
        .unwrap()
        .iter()
        .map(|column| (column["name"].as_str().unwrap(), column["endValue"].as_i64().unwrap()))
        .collect();
    assert!(ends.contains(&("inuse_space", 583_312)) && ends.contains(&("inuse_objects", 13)));
}

#[test]
fn a_heap_dump_becomes_a_pprof_profile_with_the_same_total() {
    let place = tempfile::TempDir::new().unwrap();
    let file = place.path().join("dump.pb.gz");
    let dump = fixture("good-exact.heap");
    let said = tlsheap(&["export", &dump, "--format", "pprof", "--output", path(&file)]);
    assert!(said.status.success() && said.stderr.is_empty());
    assert_eq!(text(&said.stdout), format!("{}\n", path(&file)));
    let folded = |capture: &str| printed(&["export", capture, "--format", "folded"]);
    assert_eq!(folded(path(&file)), folded(&dump));
}

#[test]
fn what_is_sampled_is_added_to_nothing_that_is_exact_unless_it_is_asked_for() {
    let run = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../profiles/reference/tls13"));
    let sum = |options: &[&str]| -> (i64, String) {
        let words = ["export", path(&run), "--format", "folded"];
        let output = tlsheap(&[&words[..], options].concat());
        let stacks = text(&output.stdout);
        let values = stacks.lines().map(|line| line.rsplit(' ').next().unwrap());
        (values.map(|it| it.parse::<i64>().unwrap()).sum(), text(&output.stderr))
    };
    let (usual, said) = sum(&[]);
    assert!(said.contains("note: left out: domain rust, which is sampled"), "{said}");
    let ((openssl, _), (rust, _)) = (sum(&["--domain=openssl"]), sum(&["--domain=rust"]));
    let (all, said) = sum(&["--domain=all"]);
    assert!(rust > 0 && !said.contains("left out"), "{said}");
    assert_eq!((usual, all), (openssl, openssl + rust));
}

#[test]
fn what_a_format_cannot_hold_is_said() {
    let output = tlsheap(&["export", &fixture("good.pb.gz"), "--format", "folded"]);
    let words = text(&output.stderr);
    assert!(words.contains("note: not in this format: the other columns"), "{words}");
    let wrong = ["export", &fixture("good.pb.gz"), "--format=pprof", "--column=inuse_space"];
    let output = tlsheap(&wrong);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("--column is for folded stacks"));
}
