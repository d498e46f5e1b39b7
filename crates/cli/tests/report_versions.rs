//! The page of `tlsheap report` on two versions of OpenSSL: sites whose lines have moved are the
//! same sites, as in `tlsheap diff`.

mod program;

use std::path::Path;

use program::{path, printed_json, tlsheap};
use serde_json::Value;

const VERSIONS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/versions");

/// Rows of the page's table.
const ROWS: usize = 15;

#[test]
fn a_moved_site_is_one_row_of_the_page_with_both_its_lines() {
    let capture = |version| format!("{VERSIONS}/openssl-{version}-at-rest.pb.gz");
    let (old, new) = (capture("3.0.8"), capture("4.0.3"));
    let folder = tempfile::TempDir::new().unwrap();
    let file = folder.path().join("page.html");
    let output = tlsheap(&["report", &old, &new, "--output", path(&file)]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let page = page_text(&file);
    let difference = printed_json(&["diff", &old, &new, "--json", "-n", "0"]);
    let rows = difference["rows"].as_array().unwrap();
    let delta = |row: &Value| row["delta_bytes"].as_f64().unwrap();
    let place = |row: &Value, file: &str, line: &str| {
        row[file].as_str().map(|file| format!("{file}:{}", row[line]))
    };
    let changed: Vec<&Value> = rows.iter().filter(|row| delta(row) != 0.0).take(ROWS).collect();
    assert!(changed.iter().any(|row| !row["before_file"].is_null()), "{changed:#?}");
    for row in changed {
        let mut words = place(row, "file", "line").unwrap();
        if let Some(was) = place(row, "before_file", "before_line") {
            words += &format!(", was {was}");
        }
        assert!(page.contains(&words), "no {words:?} on the page");
    }
    // In the picture, too, what has only moved is not gone and new: it stands at its new line.
    let moved = rows.iter().filter(|row| delta(row) == 0.0);
    let gone: Vec<String> =
        moved.filter_map(|row| place(row, "before_file", "before_line")).collect();
    assert!(gone.len() > 10, "{gone:?}");
    let change = page.split("What changed from").last().unwrap();
    for place in gone {
        assert!(!change.contains(&format!("{place}\n")), "{place}");
    }
}

/// What a reader sees of the page: no tags, and no places where a line may break.
fn page_text(file: &Path) -> String {
    let page = std::fs::read_to_string(file).unwrap();
    let mut text = String::new();
    let mut inside = false;
    for character in page.chars() {
        match character {
            '<' => inside = true,
            '>' => inside = false,
            '\u{200b}' => {}
            _ if !inside => text.push(character),
            _ => {}
        }
    }
    text
}
