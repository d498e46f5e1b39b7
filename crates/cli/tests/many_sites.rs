//! Programs that allocate at more places than any server does, as a library's test suite.

mod program;
mod workshop;

use workshop::{Workshop, number};

#[test]
fn more_sites_than_a_ledger_of_the_usual_size_has_are_kept_apart() {
    const LINES: u64 = 100_000;
    let workshop = Workshop::new();
    let program = workshop.build("many", &["many_sites.c", "library.c"], &[]);
    let process = workshop.record_openssl(&program, &[&LINES.to_string()]).process();
    assert_eq!(number(&process, "/recorder/dropped_blocks"), 0, "{process:#}");
    assert_eq!(number(&process, "/recorder/sites"), LINES);
    assert_eq!(number(&process, "/openssl/alloc_blocks"), 2 * LINES);
    assert_eq!(number(&process, "/openssl_at_end/inuse_blocks"), 2 * (LINES / 3));
}

#[test]
fn where_addresses_are_limited_there_is_less_room_and_it_is_said_what_did_not_fit() {
    let workshop = Workshop::new();
    let program = workshop.build("many", &["many_sites.c", "library.c"], &[]);
    let line = format!("ulimit -v 2000000; exec {} 70000", program.display());
    let folder = workshop.0.path().join("limited");
    let folder = program::path(&folder);
    let output = program::tlsheap(&[
        "record", "--only", "openssl", "--out", folder, "--", "sh", "-c", &line,
    ]);
    let words = program::text(&output.stderr);
    assert_eq!(program::text(&output.stdout), "done\n", "{words}");
    let said = "8,928 allocations of 89.3 KB in dropped sites: in the totals alone, for there is \
                room for 65,536 sites (--sample meets fewer)";
    let in_a_line = words.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(in_a_line.contains(said), "{words}");
}
