//! `tlsheap top --peek`, `--tree` and `--stacks`.

mod program;

use std::path::Path;

use program::{path, printed, text, tlsheap};

fn reference() -> String {
    let run = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../profiles/reference/tls13");
    path(&run).to_owned()
}

/// What stands before the share on a line: figures are whole numbers of bytes.
fn bytes(line: &str) -> i64 {
    line.split_whitespace().next().unwrap().replace(',', "").parse().unwrap()
}

#[test]
fn a_function_has_its_callers_above_and_what_it_calls_below() {
    let run = reference();
    let said = printed(&["top", &run, "--peek", "SSL_new"]);
    let at = said.lines().position(|line| line.contains(" %  SSL_new")).expect(&said);
    let lines: Vec<&str> = said.lines().collect();
    let above = lines[..at].iter().rev().take_while(|line| !line.is_empty());
    let below = lines[at + 1..].iter().take_while(|line| !line.is_empty());
    let all = bytes(lines[at]);
    assert!(all > 0, "{said}");
    let through: i64 = above.map(|line| bytes(line)).sum();
    assert!((through - all).abs() <= 2, "{through} through its callers, {all}: {said}");
    assert!(below.map(|line| bytes(line)).sum::<i64>() <= all, "{said}");
    let refused = tlsheap(&["top", &run, "--peek", "no_such_function"]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(text(&refused.stderr).contains("no function on a stack of tls13"));
}

#[test]
fn the_tree_adds_up_to_what_a_connection_costs() {
    let run = reference();
    let whole = printed(&["top", &run, "--tree", "-n", "0"]);
    let top = program::printed_json(&["top", &run, "--json"]);
    let roots = whole.lines().skip(2).filter(|line| {
        let share = line.find(" %  ").expect("each line has its share");
        !line[share + 4..].starts_with(' ')
    });
    let sum: i64 = roots.map(bytes).sum();
    let all = top["per_connection"]["bytes"].as_f64().or(top["bytes"].as_f64());
    let all = all.unwrap_or_else(|| panic!("{}", top["per_connection"]));
    assert!((sum as f64 - all).abs() <= 20.0, "{sum} in the tree, {all}");
    let usual = printed(&["top", &run, "--tree"]);
    assert!(usual.lines().count() < whole.lines().count() && usual.contains("… "), "{usual}");
}

#[test]
fn whole_stacks_stand_below_the_rows() {
    let run = reference();
    let said = printed(&["top", &run, "--stacks", "-n", "2"]);
    assert!(said.contains(" bytes through\n    "), "{said}");
    assert!(said.contains("    start_thread") || said.contains("    _start"), "{said}");
    for words in [["--stacks", "--json"], ["--tree", "--json"], ["--tree", "--by=file"]] {
        let refused = tlsheap(&[&["top", run.as_str()], &words[..]].concat());
        assert_eq!(refused.status.code(), Some(2), "{words:?}");
    }
}
