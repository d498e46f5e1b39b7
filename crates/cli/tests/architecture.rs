//! The walls between the crates are where ARCHITECTURE.md says: which crate depends on which, and
//! that only the program itself speaks to a terminal.

mod workspace;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use workspace::{Package, Packages, root};

/// The first line of the table in ARCHITECTURE.md.
const TABLE: &str = "| crate | may depend on |";

/// What belongs to the program alone: its arguments, its terminal, and to be started again.
const THE_PROGRAMS: [&str; 7] =
    ["clap", "indicatif", "current_exe", "print!", "println!", "eprint!", "eprintln!"];

/// Crates that may name all of it: the program, the programs that measure it, and the library of
/// OpenSSL's build script, which tells cargo on standard output.
const PROGRAMS: [&str; 3] = ["cli", "bench", "openssl-src"];

/// Files of other crates that name something of it, and why they have to.
const EXCEPTIONS: [(&str, &str); 1] = [
    // In the recorded program: which one it is.
    ("crates/preload/src/report.rs", "current_exe"),
];

/// Crates by the name of their folder, each with those that it depends on.
type Arrows = BTreeMap<String, BTreeSet<String>>;

#[test]
fn crates_depend_on_each_other_as_the_table_says() {
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).expect("it is there");
    let wrong = differences(&arrows_of_table(&text), &arrows_of_code());
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_dependencies_of_crates_have_no_circle() {
    let mut left = arrows_of_code();
    while !left.is_empty() {
        let bottom: Vec<String> =
            left.iter().filter(|(_, below)| below.is_empty()).map(|it| it.0.clone()).collect();
        assert!(!bottom.is_empty(), "a circle of {:?}", left.keys());
        left.retain(|name, _| !bottom.contains(name));
        for below in left.values_mut() {
            below.retain(|name| !bottom.contains(name));
        }
    }
}

#[test]
fn only_the_program_takes_arguments_and_prints() {
    let mut found = BTreeSet::new();
    for crate_folder in entries(&root().join("crates")) {
        let name = crate_folder.file_name().expect("a folder has a name");
        if !PROGRAMS.iter().any(|program| name == *program) {
            files(&crate_folder.join("src"), &mut |path, text| {
                let file = path.strip_prefix(root()).expect("it lies there").to_owned();
                let file = file.to_str().expect("names in ASCII").to_owned();
                found.extend(words_of_programs(text).map(|word| (file.clone(), word)));
            });
        }
    }
    let allowed: BTreeSet<_> =
        EXCEPTIONS.iter().map(|&(file, word)| (file.to_owned(), word)).collect();
    let unwanted: Vec<_> = found.difference(&allowed).collect();
    assert!(unwanted.is_empty(), "only `cli` has to do with these: {unwanted:?}");
    let gone: Vec<_> = allowed.difference(&found).collect();
    assert!(gone.is_empty(), "exceptions that nothing needs any more: {gone:?}");
}

#[test]
fn an_arrow_that_only_the_table_or_only_the_code_has_is_named() {
    let table = "| crate | may depend on |\n|---|---|\n\
                 | `ledger` | – |\n| `profile` | `ledger` |\n\
                 | `report` | `ledger`, `profile` |\n\n";
    let arrow = |name: &str, below: &[&str]| {
        (name.to_owned(), below.iter().map(|it| (*it).to_owned()).collect())
    };
    let code = Arrows::from([
        arrow("ledger", &["report"]),
        arrow("profile", &["ledger"]),
        arrow("report", &["profile"]),
        arrow("stray", &[]),
    ]);
    let expected = [
        "`ledger` depends on `report`, which ARCHITECTURE.md does not have",
        "ARCHITECTURE.md has `report` depend on `ledger`, which the code does not",
        "`stray` is not in ARCHITECTURE.md's table",
    ];
    assert_eq!(differences(&arrows_of_table(table), &code), expected);
}

#[test]
fn words_of_programs_are_found_as_words_and_not_in_tests() {
    let found = |text| words_of_programs(text).collect::<Vec<_>>();
    assert_eq!(found("    eprintln!(\"so\");"), ["eprintln!"]);
    assert_eq!(found("use clap::Parser; println!()"), ["clap", "println!"]);
    assert_eq!(found("they clapped; reprint!; sprint!()"), [""; 0]);
    assert_eq!(found("fn a() {}\n\n#[cfg(test)]\nmod tests {\n    println!();\n}\n"), [""; 0]);
    assert_eq!(found("#[cfg(test)]\nuse a::b;\nfn c() { print!(); }"), ["print!"]);
}

/// The arrows of the table, whose names stand in backquotes.
fn arrows_of_table(text: &str) -> Arrows {
    let rows = text.lines().skip_while(|line| *line != TABLE).skip(2);
    let arrows: Arrows = rows
        .take_while(|line| line.starts_with('|'))
        .map(|row| {
            let mut names = row.split('`').skip(1).step_by(2).map(str::to_owned);
            (names.next().unwrap_or_else(|| panic!("no crate in {row:?}")), names.collect())
        })
        .collect();
    assert!(!arrows.is_empty(), "ARCHITECTURE.md has no table that begins {TABLE:?}");
    arrows
}

/// What the manifests list, but for tests and build scripts.
fn arrows_of_code() -> Arrows {
    let members = Packages::of_workspace();
    let name = |folder: &Path| {
        folder.file_name().expect("a folder has a name").to_str().expect("in ASCII").to_owned()
    };
    let below = |member: &Package| {
        let ordinary = member.dependencies.iter().filter(|it| it.kind.is_none());
        ordinary.filter_map(|it| it.path.as_deref()).map(name).collect()
    };
    members.iter().map(|member| (name(member.folder()), below(member))).collect()
}

/// What the table and the code do not agree on, one sentence each.
fn differences(table: &Arrows, code: &Arrows) -> Vec<String> {
    let mut wrong = Vec::new();
    let none = BTreeSet::new();
    for name in table.keys().chain(code.keys()).collect::<BTreeSet<_>>() {
        match (table.contains_key(name), code.contains_key(name)) {
            (false, _) => wrong.push(format!("`{name}` is not in ARCHITECTURE.md's table")),
            (_, false) => wrong.push(format!("ARCHITECTURE.md's table has `{name}`, no crate")),
            _ => (),
        }
        let in_table = table.get(name).unwrap_or(&none);
        let in_code = code.get(name).unwrap_or(&none);
        wrong.extend(in_code.difference(in_table).map(|below| {
            format!("`{name}` depends on `{below}`, which ARCHITECTURE.md does not have")
        }));
        wrong.extend(in_table.difference(in_code).map(|below| {
            format!("ARCHITECTURE.md has `{name}` depend on `{below}`, which the code does not")
        }));
    }
    wrong
}

/// Which of [`THE_PROGRAMS`] a file's text names before its tests begin.
fn words_of_programs(text: &str) -> impl Iterator<Item = &'static str> {
    let text = text.split("#[cfg(test)]\nmod tests").next().unwrap_or(text);
    let is_of_name = |it: char| it.is_alphanumeric() || it == '_';
    THE_PROGRAMS.into_iter().filter(move |word| {
        text.match_indices(word).any(|(at, _)| {
            let (before, after) = (&text[..at], &text[at + word.len()..]);
            let ends = word.ends_with('!') || !after.starts_with(is_of_name);
            !before.ends_with(is_of_name) && ends
        })
    })
}

/// Calls `look` with each file of Rust under a folder that is not of tests alone.
fn files(folder: &Path, look: &mut impl FnMut(&Path, &str)) {
    for path in entries(folder) {
        if path.is_dir() {
            files(&path, look);
        } else if path.extension().is_some_and(|it| it == "rs") && !path.ends_with("tests.rs") {
            look(&path, &fs::read_to_string(&path).expect("it can be read"));
        }
    }
}

/// What lies in a folder.
fn entries(folder: &Path) -> Vec<PathBuf> {
    let listed =
        fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    listed.map(|entry| entry.expect("it can be listed").path()).collect()
}
