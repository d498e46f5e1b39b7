use proptest::prelude::*;

use super::*;
use crate::arbitrary;

fn bytes_in_use() -> ValueType {
    ValueType { kind: "inuse_space".to_owned(), unit: "bytes".to_owned() }
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

    #[test]
    fn no_bytes_make_the_reader_panic(bytes: Vec<u8>) {
        let _ = read(&bytes, "", bytes_in_use());
    }

    #[test]
    fn no_text_makes_the_reader_panic(text in "[a;0-9 \n-]{0,60}") {
        if let Ok(profile) = read(text.as_bytes(), "", bytes_in_use()) {
            write(&profile, 0);
        }
    }
}
