//! A capture on disk is the one in memory: whoever opens a folder again sees what the command saw
//! that wrote it.

mod program;

use std::fs;

use program::{text, tlsheap};
use tempfile::TempDir;

#[test]
fn the_page_of_a_comparison_is_that_of_its_folder_byte_for_byte() {
    let place = TempDir::new().unwrap();
    let out = place.path().join("compared");
    let folder = out.to_str().unwrap();
    let output = tlsheap(&[
        "compare",
        "tls13",
        "no-compression",
        "-n",
        "4",
        "--hold",
        "300ms",
        "--repeat",
        "0",
        "--out",
        folder,
    ]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let written = fs::read_to_string(out.join("report.html")).unwrap();
    let again = tlsheap(&["report", folder, "-o", "-"]);
    assert!(again.status.success(), "{}", text(&again.stderr));
    let at = written.bytes().zip(again.stdout.iter().copied()).position(|(a, b)| a != b);
    let around = at.map(|at| &written[at.saturating_sub(80)..(at + 80).min(written.len())]);
    assert!(text(&again.stdout) == written, "{around:?}");
}
