//! Names that are orders to a terminal: no command passes one on, whatever it prints.

mod program;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use profile::harmless::is_harmful;
use profile::{Function, LabelValue, Line, Location, Mapping, Profile, Sample, pprof};
use program::{path, text, tlsheap, tlsheap_in};
use quick_xml::Reader;
use quick_xml::events::Event;
use tempfile::TempDir;

/// A title for the terminal's window, a bell, what hides the rest, the same in one character, what
/// turns the text around, and a line of somebody else's.
const ORDERS: &str = "\u{1b}]0;owned\u{7}\u{1b}[8m\u{9b}31m\u{90}x\u{9c}\u{202e}\u{2066}\u{7f}\r\nrecorded exactly\u{0}\u{8}";

/// A capture in which every text is full of them.
fn capture(folder: &Path, bytes: i64) -> PathBuf {
    let mut profile = Profile::of_heap();
    let mapping = profile.mapping(Mapping {
        file: format!("module{ORDERS}"),
        build_id: format!("id{ORDERS}"),
        ..Mapping::default()
    });
    let mut stack = Vec::new();
    for (name, file) in [("SSL_new", "ssl/ssl_lib.c"), ("serve", "src/main.rs"), ("main", "")] {
        let function = profile.function(Function {
            name: format!("{name}{ORDERS}"),
            system_name: format!("{name}{ORDERS}"),
            file: format!("{file}{ORDERS}"),
        });
        let lines = vec![Line { function, line: 7 }];
        stack.push(profile.location(Location { mapping: Some(mapping), address: 16, lines }));
    }
    for (domain, category) in [("openssl", "tls.record_layer"), ("rust", "rust"), ("", "")] {
        let mut sample = Sample {
            stack: stack.clone(),
            values: vec![1, bytes, 2, bytes, 1, bytes],
            labels: vec![],
        };
        let tail = if domain == "openssl" { "" } else { ORDERS };
        sample.set_label("domain", format!("{domain}{tail}"));
        sample.set_label("category", format!("{category}{ORDERS}"));
        sample.set_label("process", format!("nginx{ORDERS}/17"));
        let key = format!("key{ORDERS}").into();
        sample.labels.push((key, LabelValue::Text(ORDERS.into())));
        profile.push(sample);
    }
    profile.comments.push(format!("comment{ORDERS}"));
    // All of them but those that no file name can have.
    let name = ORDERS.replace('\0', "");
    let file = folder.join(format!("{bytes}{name}.pb.gz"));
    fs::write(&file, pprof::write(&profile)).unwrap();
    file
}

/// What a command wrote, with nothing in it but lines of text.
fn said(output: &Output) -> String {
    let said = text(&output.stdout) + &text(&output.stderr);
    let harmful: Vec<char> = said.chars().filter(|c| *c != '\n' && is_harmful(*c)).collect();
    assert!(harmful.is_empty(), "{harmful:?} in {said}");
    // A name cannot make a line of its own.
    assert!(!said.lines().any(|line| line.starts_with("recorded exactly\\u")), "{said}");
    said
}

#[test]
fn no_command_passes_orders_on_to_the_terminal() {
    let place = TempDir::new().unwrap();
    let (one, two) = (capture(place.path(), 5_000), capture(place.path(), 70_000));
    let budget = place.path().join("budget.toml");
    fs::write(&budget, "[total]\nbytes = 1\n").unwrap();
    let (one, two, budget) = (path(&one), path(&two), path(&budget));
    for arguments in [
        &["top", one][..],
        &["top", one, "--domain=all", "--by=function", "-n0"],
        &["top", one, "--domain=all", "--by=category"],
        &["top", one, "--domain=all", "--by=file"],
        &["top", one, "--json"],
        &["top", one, "--process", ORDERS.split('\0').next().unwrap()],
        &["diff", one, two],
        &["diff", one, two, "--domain=all", "--by=category"],
        &["diff", one, two, "--json"],
        &["diagnose", one],
        &["diagnose", one, "--json"],
        &["check", two, "--budget", budget, "--baseline", one],
        &["check", two, "--budget", budget, "--github"],
        &["check", two, "--budget", budget, "--json"],
        &["export", one, "--format=folded"],
        &["export", one, "--format=speedscope"],
        &["export", one, "--format=folded", "--column=peak_space"],
        &["compare", "--show", one],
        &["doctor", one],
        &["configs", "--show", "no\u{1b}[8m"],
        &["run", "--config", one],
        &["record", "--out", one, "--", "true"],
        &["record", "--", "no\u{1b}[8m\u{7}program"],
        &["no\u{1b}[8m\u{7}command"],
    ] {
        let output = tlsheap(arguments);
        let said = said(&output);
        assert!(!said.is_empty(), "{arguments:?}");
    }
    let top = said(&tlsheap(&["top", one]));
    assert!(top.contains("\\u{1b}]0;owned\\u{7}"), "it is shown what the names are: {top}");
}

#[test]
fn files_that_cannot_be_read_are_named_harmlessly() {
    let place = TempDir::new().unwrap();
    let name = ORDERS.replace('\0', "");
    for command in ["top", "flame", "report", "diagnose"] {
        said(&tlsheap_in(place.path(), &[command, &name]));
    }
    fs::write(place.path().join(&name), format!("{ORDERS} 1\n")).unwrap();
    said(&tlsheap_in(place.path(), &["top", &name]));
    // Damaged behind its name, so that a reader quotes it.
    fs::write(place.path().join(&name), format!("a;b 7\n{}x y\n", ORDERS.replace('\n', "")))
        .unwrap();
    said(&tlsheap_in(place.path(), &["top", &name]));
}

/// Reads a picture to its end, as a strict reader of XML does.
fn is_well_formed(file: &Path) {
    let xml = fs::read_to_string(file).unwrap();
    let harmful: Vec<char> =
        xml.chars().filter(|c| !matches!(c, '\n' | '\t') && is_harmful(*c)).collect();
    assert!(harmful.is_empty(), "{harmful:?} in {}", file.display());
    let mut reader = Reader::from_str(&xml);
    reader.config_mut().check_end_names = true;
    loop {
        match reader.read_event() {
            Ok(Event::Eof) => return,
            Ok(Event::Text(text)) => {
                text.xml_content(quick_xml::XmlVersion::Explicit1_0).unwrap();
            }
            Ok(_) => {}
            Err(error) => panic!("{}: {error}", file.display()),
        }
    }
}

#[test]
fn pictures_and_reports_stay_well_formed() {
    let place = TempDir::new().unwrap();
    let (one, two) = (capture(place.path(), 5_000), capture(place.path(), 70_000));
    let budget = place.path().join("budget.toml");
    fs::write(&budget, "[total]\nbytes = 1\n").unwrap();
    let file = |name: &str| place.path().join(name);
    let (flame, diff, junit, page) =
        (file("flame.svg"), file("diff.svg"), file("junit.xml"), file("page.html"));
    let title = format!("--title={}", ORDERS.replace('\0', ""));
    said(&tlsheap(&["flame", path(&one), "-o", path(&flame), &title]));
    said(&tlsheap(&["diff", path(&one), path(&two), "--flame", path(&diff)]));
    said(&tlsheap(&["check", path(&two), "--budget", path(&budget), "--junit", path(&junit)]));
    for xml in [&flame, &diff, &junit] {
        is_well_formed(xml);
    }
    said(&tlsheap(&["report", path(&one), path(&two), "-o", path(&page)]));
    let page = fs::read_to_string(page).unwrap();
    let harmful = |c: char| !matches!(c, '\n' | '\t') && is_harmful(c);
    assert!(!page.contains(harmful), "{:?}", page.chars().find(|c| harmful(*c)));
}
