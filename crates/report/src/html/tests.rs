//! The page as text; what a browser does with it is tested where there is one, in `cli`.

use std::collections::{BTreeMap, HashSet};
use std::num::NonZeroU64;

use analysis::category::label_categories;
use analysis::composition::composition;
use analysis::diff::{Change, diff_rows, margins_of_totals};
use analysis::group::{By, group};
use analysis::over_time::Series;
use analysis::stacks::{ColumnOf, grown_stacks};
use analysis::timeline::Timeline;
use analysis::top::Top;
use profile::{Function, Line, Location, Profile, Sample, Sampling};

use super::*;

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
        let old = group(before, By::Site);
        let bytes_margins = margins_of_totals(&old, &rows, Some((connections, connections)));
        let rows = diff_rows(&old, &rows, Some((connections, connections)));
        let before = rows.iter().map(|row| row.bytes.unwrap().before).sum();
        Step { bytes: Change { before, after: top.bytes.unwrap() }, bytes_margins, rows }
    });
    Subject {
        name: name.to_owned(),
        summary: "as in a test".to_owned(),
        moment: String::new(),
        parts: composition(&top),
        stacks: grown_stacks(ColumnOf { profile, column: 1 }, None),
        other_stacks: Vec::new(),
        top,
        whole: None,
        peak: None,
        found: Found::Nothing,
        tried: Vec::new(),
        choices: None,
        sampling: profile.sampling,
        beside: Beside::default(),
        objects: BTreeMap::from([("SSL".to_owned(), 10), ("X509".to_owned(), 0)]),
        step,
        accounts: Vec::new(),
        sizes: BlockSizes::default(),
        stays: None,
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
        "From old to new, one TLS connection goes from <b>1.0\u{a0}KB</b> to <b>200\u{a0}B</b> of \
         OpenSSL memory (−80.0 %)."
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
fn fixes_that_were_tried_are_told_with_what_they_saved() {
    let mut tried = subject("only", &zlib(8_000), None);
    let none = page(&Page { subjects: vec![tried.clone()], ..two_steps() });
    assert!(!none.contains("Fixes that were tried"));
    let applied = Tried {
        name: "release-buffers".to_owned(),
        saved: Some("33,285 (44.0 %)".to_owned()),
        predicted: Some("33,285".to_owned()),
        handshakes: Some("-2 %".to_owned()),
        ..Tried::default()
    };
    let left_out = Tried {
        name: "no-zlib".to_owned(),
        said: vec!["Not applied: there is none.".to_owned()],
        ..Tried::default()
    };
    tried.tried = vec![applied, left_out];
    let text = page(&Page { subjects: vec![tried], ..two_steps() });
    let row = "<th scope=\"row\">release-buffers</th><td class=\"n\">33,285 (44.0 %)</td>\
               <td class=\"n\">33,285</td><td class=\"n\">–</td><td class=\"n\">-2 %</td>";
    assert!(text.contains(row), "{text}");
    assert!(text.contains("Not applied: there is none."), "{text}");
}

#[test]
fn sizes_of_blocks_and_what_stays_are_told_or_why_not() {
    let of = |sizes, stays| {
        let mut subject = subject("only", &zlib(8_000), None);
        (subject.sizes, subject.stays) = (sizes, stays);
        page(&Page { subjects: vec![subject], ..two_steps() })
    };
    let neither = of(BlockSizes::OutOfPlace, None);
    assert!(!neither.contains("Sizes of blocks") && !neither.contains("What stays"));

    let class = SizeClass { up_to: 64, blocks: 7, bytes: 400, owners: "OpenSSL's".to_owned() };
    let known = BlockSizes::Known { moment: "at the capture".to_owned(), classes: vec![class] };
    let told = of(known, Some(Stays::default()));
    assert!(told.contains("7 blocks of 400 B were live at the capture"), "{told}");
    assert!(told.contains("<th scope=\"row\">33–64</th>"), "{told}");
    assert!(told.contains("Nothing: no site of OpenSSL's held more than before"), "{told}");

    let rows = diff_rows(&group(&zlib(0), By::Site), &group(&zlib(8_000), By::Site), None);
    let kept = rows.into_iter().filter(|row| row.bytes.is_some_and(|it| it.delta() > 0.0));
    let stays = Stays { rows: kept.collect(), ..Stays::default() };
    let told = of(BlockSizes::Unknown("Nobody looked."), Some(stays));
    assert!(told.contains("<p>Nobody looked.</p>"), "{told}");
    assert!(told.contains("8.0 KB of OpenSSL's more than before the first"), "{told}");
}

#[test]
fn the_answer_is_of_all_memory_where_all_of_it_is_known() {
    let mut input = two_steps();
    input.subjects.truncate(1);
    let subject = &mut input.subjects[0];
    subject.name = "only".to_owned();
    subject.whole = Some(Whole {
        bytes: 286_000.0,
        made_of: "262.1 KB PyByteArray_Resize, 18.1 KB OpenSSL.".to_owned(),
        how: "(From 40 to 80 SSL objects.)".to_owned(),
    });
    for (of, resident) in [(AccountOf::Connection, 286_000), (AccountOf::Processes, 40_000_000)] {
        let line =
            AccountLine { name: "others".to_owned(), bytes: resident, ..AccountLine::default() };
        let lines = vec![line];
        subject.accounts.push(Account { moment: "then".to_owned(), of, resident, lines });
    }
    let text = page(&input);
    let heading = "One TLS connection of only costs <b>286.0\u{a0}KB</b> of memory.";
    assert!(text.contains(heading) && !text.contains("</b> of OpenSSL memory"), "{text}");
    assert!(text.contains("262.1 KB PyByteArray_Resize, 18.1 KB OpenSSL. (From 40 to 80"));
    assert!(text.contains("OpenSSL's bytes per connection"));
    // Both accounts fill their pictures: each kind has a scale of its own.
    assert_eq!(text.matches("x=\"0.0000%\" width=\"100.0000%\"").count(), 4, "{text}");
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
        of: AccountOf::Processes,
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
        connections: Some(vec![0, 10]),
        rss: vec![Some(0), Some(100)],
        series: vec![Series { group: "tls".to_owned(), bytes: vec![0, 50], margins: None }],
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
fn estimates_over_time_have_their_margins() {
    let mut input = two_steps();
    let series = |group: &str, bytes: [u64; 2], margins: [u64; 2]| Series {
        group: group.to_owned(),
        bytes: bytes.to_vec(),
        margins: Some(margins.to_vec()),
    };
    input.subjects[0].timeline = Some(Timeline {
        seconds: vec![0.0, 1.0],
        connections: None,
        rss: vec![Some(0), Some(9_000)],
        series: vec![series("tls", [0, 5_000], [90, 1_100]), series("bio", [0, 100], [70, 80])],
        openssl_margins: Some(vec![99, 1_150]),
        ..Timeline::default()
    });
    let text = page(&input);
    let row = "<td class=\"n\">1.00</td><td class=\"n\">9,000</td>\
               <td class=\"n\">5,100 ± 1,150</td>\
               <td class=\"n\">5,000 ± 1,100</td><td class=\"n\">100 ± 80</td>";
    assert!(text.contains(row), "{text}");
    assert!(text.contains("Up to 9.0 KB of resident memory in 1.0 seconds. OpenSSL's bytes are"));
    let heading = |name: &str| format!("<th class=\"n\" scope=\"col\">{name}</th>");
    let headings = ["seconds", "resident", "OpenSSL", "tls", "bio"].map(heading).concat();
    assert!(text.contains(&headings), "connections are not known");
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

/// The two steps as samples of blocks of 64 bytes saw them.
fn two_sampled_steps() -> Page {
    let [before, after] = [80_000, 0].map(|bytes| {
        let mut profile = zlib(bytes);
        profile.sampling = Sampling::every(2_000);
        profile.samples_mut().iter_mut().for_each(|sample| sample.set_block_bytes(64));
        profile
    });
    let mut page = Page {
        subjects: vec![subject("old", &before, None), subject("new", &after, Some(&before))],
        measured: Vec::new(),
    };
    for subject in &mut page.subjects {
        subject.beside.allocations = Some(52.5);
        subject.beside.allocations_margin = Some(7.04);
    }
    page
}

#[test]
fn every_estimate_stands_with_its_margin() {
    let text = page(&two_sampled_steps());
    let after = |from: &str| text.split_once(from).unwrap_or_else(|| panic!("{from}")).1;
    let stair = after("<ol class=\"stairs\">").split_once("</ol>").unwrap().0;
    let muted = "<span class=\"margin\">± ";
    // Two totals, the change and its percentage.
    assert_eq!(stair.matches(muted).count(), 4, "{stair}");
    let label = after("aria-label=\"old: ").split('"').next().unwrap();
    assert_eq!(label.matches(" ± ").count(), 2 * 2, "bytes and share of two groups: {label}");
    let table = after("Bytes and blocks per connection").split_once("</table>").unwrap().0;
    // Bytes, blocks and allocations of both, the change and its percentage of one.
    assert_eq!(table.matches(muted).count(), 3 * 2 + 2, "{table}");
    assert!(table.contains("<span class=\"estimate\">52.5 <span class=\"margin\">± 7.0</span>"));
    let key = after("<dl class=\"key\">").split_once("</dl>").unwrap().0;
    assert_eq!(key.matches(muted).count(), 3, "{key}");
    let legend = after("</dl>").split_once("</ul>").unwrap().0;
    assert_eq!(legend.matches(muted).count(), 2 * 2, "{legend}");
    let sites = after("-sites\">").split_once("</table>").unwrap().0;
    assert_eq!(sites.matches(muted).count(), 3 * 2, "bytes, share, blocks: {sites}");
    let changes = after("The largest changes by site").split_once("</table>").unwrap().0;
    // Change, before, after and blocks, of which zlib has no more: a block may have been there.
    assert_eq!(changes.matches(muted).count(), 4, "{changes}");
    let h1 = after("<h1>").split_once("</h1>").unwrap().0;
    assert_eq!(h1.matches("± ").count() + h1.matches("±\u{a0}").count(), 3, "{h1}");
}

#[test]
fn what_is_exact_has_no_margin() {
    assert!(!page(&two_steps()).contains('±'));
}

#[test]
fn a_change_that_chance_may_have_made_has_no_colour() {
    let mut page_of_two = two_sampled_steps();
    let large = page(&page_of_two);
    assert!(
        large.contains("class=\"less\"") && !large.contains("<span class=\"muted\">within error")
    );
    let step = step_of(&mut page_of_two);
    step.bytes.after = step.bytes.before - 1.0;
    let small = page(&page_of_two);
    let stairs =
        small.split("<ol class=\"stairs\">").nth(1).unwrap().split("</ol>").next().unwrap();
    assert!(!stairs.contains("class=\"less\"") && stairs.contains("within error"), "{stairs}");
    // Where all may have been nothing, there are no percentages.
    step_of(&mut page_of_two).bytes_margins.before = Some(1e6);
    let unknown = page(&page_of_two);
    assert!(unknown.contains("title=\"what was before may have been nothing\""));
}

fn step_of(page: &mut Page) -> &mut Step {
    page.subjects[1].step.as_mut().expect("a second subject has a step")
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
