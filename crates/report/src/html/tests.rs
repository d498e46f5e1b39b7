//! The page as text; what a browser does with it is tested where there is one, in `cli`.

use std::collections::HashSet;
use std::num::NonZeroU64;

use analysis::category::label_categories;
use analysis::composition::composition;
use analysis::diff::diff_rows;
use analysis::group::{By, group};
use analysis::stacks::{ColumnOf, grown_stacks};
use profile::{Function, Line, Location, Profile, Sample};

use super::*;
use crate::timeline::Series;

/// A profile of stacks (innermost first, each a function and its file) and bytes.
fn profile(samples: &[(&[(&str, &str)], i64)]) -> Profile {
    let mut profile = Profile::of_heap();
    for (calls, bytes) in samples {
        let mut stack = Vec::new();
        for (name, file) in *calls {
            let name = (*name).to_owned();
            let file = (*file).to_owned();
            let function = profile.function(Function { name, file, ..Function::default() });
            let lines = vec![Line { function, line: 7 }];
            stack.push(profile.location(Location { lines, ..Location::default() }));
        }
        let values = vec![1, *bytes, 1, *bytes, 1, *bytes];
        profile.push(Sample { stack, values, labels: Vec::new() });
    }
    label_categories(&mut profile);
    profile
}

fn zlib(bytes: i64) -> Profile {
    let zlib = [("zlib_zalloc", "crypto/comp/c_zlib.c"), ("serve", "crates/server/src/main.rs")];
    let tls = [("SSL_new", "ssl/ssl_lib.c"), ("serve", "crates/server/src/main.rs")];
    profile(&[(&zlib, bytes), (&tls, 2_000)])
}

fn subject(name: &str, profile: &Profile, before: Option<&Profile>) -> Subject {
    let connections = NonZeroU64::new(10).unwrap();
    let rows = group(profile, By::Site);
    let top = Top::per_connection(&rows, None, connections);
    let step = before.map(|before| {
        let rows = diff_rows(&group(before, By::Site), &rows, Some((connections, connections)));
        let before = rows.iter().map(|row| row.inuse_bytes.unwrap().before).sum();
        Step { bytes: Change { before, after: top.bytes.unwrap() }, rows }
    });
    Subject {
        name: name.to_owned(),
        summary: "as in a test".to_owned(),
        parts: composition(&top),
        stacks: grown_stacks(ColumnOf { profile, column: 1 }, None),
        other_stacks: Vec::new(),
        top,
        beside: Beside::default(),
        objects: BTreeMap::from([("SSL".to_owned(), 10), ("X509".to_owned(), 0)]),
        step,
        accounts: Vec::new(),
        timeline: None,
        measured: vec![Fact::new("recorder", "nothing dropped")],
    }
}

fn two_steps() -> Page {
    let (before, after) = (zlib(8_000), zlib(0));
    Page {
        subjects: vec![subject("old", &before, None), subject("new", &after, Some(&before))],
        measured: vec![Fact::new("machine", "a test")],
    }
}

#[test]
fn the_answer_comes_first_and_the_change_with_it() {
    let text = page(&two_steps());
    let h1 = text.split("<h1>").nth(1).unwrap().split("</h1>").next().unwrap();
    assert_eq!(
        h1,
        "From old to new, one TLS connection goes from <b>1.0\u{a0}KB</b> to <b>200\u{a0}B</b> of OpenSSL \
         memory (−80.0 %)."
    );
    assert!(text.contains("80.0\u{a0}% compression (800\u{a0}B)"));
}

#[test]
fn one_subject_has_no_staircase() {
    let page = page(&Page { subjects: vec![subject("only", &zlib(8_000), None)], ..two_steps() });
    assert!(
        page.contains("One TLS connection of only costs <b>1.0\u{a0}KB</b> of OpenSSL memory.")
    );
    assert!(!page.contains("id=\"staircase\"") && !page.contains("What changed from"));
}

#[test]
fn what_is_not_there_has_no_section() {
    let mut input = two_steps();
    let headings = ["What resident memory is made of", "Over time", "handshakes/s", "<code>X509"];
    let text = page(&input);
    for heading in headings {
        assert!(!text.contains(heading), "{heading}");
    }
    let subject = &mut input.subjects[0];
    subject.beside.handshakes_per_second =
        Some(Spread { median: 100.0, range: Some((90.0, 120.0)) });
    subject.objects.insert("X509".to_owned(), 3);
    subject.accounts.push(Account {
        moment: "at rest".to_owned(),
        resident: 100,
        lines: vec![
            AccountLine {
                name: "OpenSSL".to_owned(),
                bytes: 120,
                margin: Some(12.4),
                ..AccountLine::default()
            },
            AccountLine { name: "never touched".to_owned(), bytes: -20, ..AccountLine::default() },
        ],
    });
    subject.timeline = Some(Timeline {
        seconds: vec![0.0, 1.0],
        connections: vec![0, 10],
        rss: vec![0, 100],
        series: vec![Series { group: "tls".to_owned(), bytes: vec![0, 50] }],
        ..Timeline::default()
    });
    let text = page(&input);
    for heading in headings {
        assert!(text.contains(heading), "{heading}");
    }
    assert!(text.contains("120 ± 12</td>"), "an estimate has its margin");
    assert!(text.contains("−20</td>"), "what was measured has none");
}

#[test]
fn names_cannot_become_markup() {
    let evil = "</script><script>alert(1)</script>";
    let calls = [(evil, "ssl/\"><img src=x>.c"), ("serve", "crates/server/src/main.rs")];
    let profile = profile(&[(&calls, 100)]);
    let mut subject = subject(evil, &profile, Some(&profile));
    subject.measured.push(Fact::new(evil, evil));
    let text = page(&Page { subjects: vec![subject], measured: vec![Fact::new(evil, evil)] });
    assert_eq!(text.matches("<script>").count(), 1);
    assert_eq!(text.matches("</script>").count(), 1);
    assert!(!text.contains("<img"));
}

#[test]
fn identifiers_are_unique_and_references_lead_somewhere() {
    let text = page(&two_steps());
    let ids: Vec<&str> = values(&text, " id=\"");
    let unique: HashSet<_> = ids.iter().collect();
    assert_eq!(unique.len(), ids.len(), "{ids:?}");
    for attribute in
        [" href=\"#", " aria-labelledby=\"", " aria-describedby=\"", " aria-controls=\""]
    {
        let references = values(&text, attribute);
        assert!(!references.is_empty(), "{attribute}");
        for reference in references {
            assert!(unique.contains(&reference), "{attribute}{reference}");
        }
    }
}

#[test]
fn nothing_is_loaded() {
    let text = page(&two_steps());
    for outside in [" src=", "<link", "@import", "url(", "https://"] {
        assert!(!text.contains(outside), "{outside}");
    }
    // The name of a namespace is no address.
    assert_eq!(text.matches("http://").count(), text.matches("http://www.w3.org/2000/svg").count());
}

#[test]
fn the_same_input_gives_the_same_bytes() {
    assert_eq!(page(&two_steps()), page(&two_steps()));
}

#[test]
fn nothing_at_all_is_said_in_words() {
    assert!(page(&Page::default()).contains("<h1>Nothing was measured.</h1>"));
}

fn values<'a>(text: &'a str, attribute: &str) -> Vec<&'a str> {
    text.split(attribute).skip(1).map(|rest| rest.split('"').next().unwrap()).collect()
}
