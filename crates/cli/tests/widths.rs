//! What every command prints, on terminals of several widths, on a dumb one, and through a pipe: no
//! line is wider than the terminal, no word is broken, and a name that was cut says so and can be
//! seen whole.

mod program;
mod terminal;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use program::{Running, path, printed, text, tlsheap};
use tempfile::TempDir;
use terminal::{Shown, on_terminal};

const WIDTHS: [u16; 4] = [60, 80, 100, 200];

/// What stands for a part of a name.
const CUT: char = '…';

const REFERENCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../profiles/reference");

const CAPTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/profiles/good.pb.gz");

/// One command with arguments with which it prints something.
struct Case {
    arguments: Vec<String>,
    /// It prints the same each time.
    is_same: bool,
    /// Its answer is on standard error.
    tells: bool,
}

/// Cases of every command. `place` is an empty folder, `ledger` and `address` are of a server.
fn cases(place: &Path, ledger: &str, address: &str) -> Vec<Case> {
    let reference = |name: &str| format!("{REFERENCE}/{name}");
    let budget = path(&place.join("budget.toml")).to_owned();
    fs::write(&budget, "[total]\nbytes_per_connection = 10\n").unwrap();
    let folded = path(&place.join("folded")).to_owned();
    let (old, new) = (reference("node-0.4"), reference("tls13"));
    let case = |line: &[&str], is_same, tells| Case {
        arguments: line.iter().map(|word| (*word).to_owned()).collect(),
        is_same,
        tells,
    };
    let same = |line: &[&str]| case(line, true, false);
    let small = ["-n=2", "--hold=0s", "--interval=200ms"];
    let measured = ["--repeat=0", "--warm-up=0"];
    vec![
        case(&[&["run", "--config=tls13"], &small[..]].concat(), false, false),
        same(&["compare", "--show", REFERENCE]),
        case(&[&["compare", "tls13", "--scale=2,4"], &small[..], &measured].concat(), false, false),
        case(&["record", "--", env!("CARGO_BIN_EXE_tlsheap"), "configs"], false, true),
        case(&["watch", ledger, "--once", "--every=50ms"], false, false),
        case(&["watch", ledger, "--once", "--every=50ms", "--by=function"], false, false),
        same(&["top", &old]),
        same(&["top", &old, "--by=function", "-n=60"]),
        same(&["top", &old, "--by=file"]),
        same(&["top", &new, "--by=category", "--column=allocated"]),
        same(&["flame", &old, "-o", path(&place.join("flame.svg"))]),
        same(&["diagnose", &old]),
        same(&["diagnose", &new, "-n=10000"]),
        same(&["check", &old, "--budget", &budget]),
        case(
            &[&["what-if", "--config=tls13", "--try=release-buffers"], &small[..], &measured]
                .concat(),
            false,
            false,
        ),
        same(&["diff", &old, &new]),
        same(&["diff", &new, &old, "--whole", "--by=function"]),
        same(&["report", &new, "-o", path(&place.join("page.html"))]),
        same(&["export", &new, "-f=folded", "-o", &folded]),
        same(&["doctor"]),
        same(&["doctor", env!("CARGO_BIN_EXE_tlsheap")]),
        same(&["configs"]),
        // It serves until it is told to end: what it says is here why it cannot begin.
        same(&["serve", "--listen", address]),
        case(&["load", address, "-n=2", "--hold=0s"], false, false),
        same(&["debug", "ledger", ledger]),
    ]
}

/// The names of the commands, as the help has them.
fn commands() -> BTreeSet<String> {
    let help = printed(&["--help"]);
    let list = help.split("\nCommands:\n").nth(1).unwrap().split("\n\n").next().unwrap();
    let names = list.lines().filter_map(|line| line.strip_prefix("  ")?.split(' ').next());
    names.filter(|name| !name.is_empty() && *name != "help").map(str::to_owned).collect()
}

/// A text without its colours.
fn plain(text: &str) -> String {
    let mut pieces = text.split("\u{1b}[");
    let mut plain = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let (parameters, rest) = piece.split_once('m').expect("nothing but colours");
        assert!(parameters.chars().all(|c| c.is_ascii_digit() || c == ';'), "{piece:?}");
        plain += rest;
    }
    plain
}

/// The words of a text, without rules and what is said of cuts.
fn words(text: &str) -> impl Iterator<Item = &str> {
    let said = text.find("\n… stands for a part of a name").unwrap_or(text.len());
    text[..said].split_whitespace().filter(|word| !word.starts_with('─'))
}

fn is_cut(word: &str) -> bool {
    word != "…" && word.contains(CUT)
}

/// The words of the program's source, in which all of its sentences are.
fn vocabulary() -> BTreeSet<String> {
    fn add(folder: &Path, words: &mut BTreeSet<String>) {
        for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
            let path = entry.path();
            if path.is_dir() {
                add(&path, words);
            } else if path.extension().is_some_and(|it| it == "rs" || it == "tsv" || it == "toml") {
                let text = fs::read_to_string(&path).unwrap();
                words.extend(text.split(|c: char| !c.is_alphanumeric()).map(str::to_owned));
            }
        }
    }
    let mut words = BTreeSet::new();
    for name in ["analysis", "capture", "cli", "echo-server", "recording", "report", "trial"] {
        let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name).join("src");
        add(&sources, &mut words);
    }
    words
}

/// Whether this is a figure, a name with its place, or made of words of the vocabulary.
fn is_of(vocabulary: &BTreeSet<String>, word: &str) -> bool {
    let has_name = word.contains(|c: char| c.is_ascii_digit() || c == '_' || c == '/');
    has_name || word.split(|c: char| !c.is_alphanumeric()).all(|part| vocabulary.contains(part))
}

/// Whether each line has room, but for those that are one long word.
fn assert_fits(columns: u16, text: &str, what: &str) {
    for line in text.lines() {
        let is_one_word = line.split_whitespace().count() == 1;
        let width = line.chars().count();
        assert!(width <= usize::from(columns) || is_one_word, "{what} at {columns}:\n{line}");
    }
}

impl Case {
    fn words(&self) -> Vec<&str> {
        self.arguments.iter().map(String::as_str).collect()
    }

    /// What it says on a terminal, for everybody to check.
    fn said(&self, shown: &Shown) -> String {
        match self {
            Case { tells: true, .. } => shown.errors.clone(),
            // While it measures, it draws bars on standard error.
            Case { is_same: false, .. } => shown.output.clone(),
            Case { is_same: true, .. } => shown.output.clone() + &shown.errors,
        }
    }
}

#[test]
fn every_command_keeps_to_the_terminal_and_breaks_no_word() {
    let place = TempDir::new().unwrap();
    let ledger = place.path().join("server.ledger");
    let ledger = path(&ledger);
    let mut server = Running::start(&[
        "serve",
        "--config=tls13",
        "--listen=127.0.0.1:0",
        "--json",
        "--ledger",
        ledger,
    ]);
    let listening = server.next_json().unwrap();
    let address = listening["address"].as_str().unwrap().to_owned();
    printed(&["load", &address, "-n=3", "--hold=0s"]);
    let cases = cases(place.path(), ledger, &address);
    let of_cases: BTreeSet<String> = cases.iter().map(|it| it.arguments[0].clone()).collect();
    let mut all = commands();
    all.insert("debug".to_owned());
    assert_eq!(of_cases, all, "each command has a case here");

    let vocabulary = vocabulary();
    for (number, case) in cases.iter().enumerate() {
        let what = case.arguments.join(" ");
        let out = place.path().join(format!("out-{number}"));
        // Who makes a folder is told which, each time another.
        let makes = ["run", "record", "what-if"].contains(&&*case.arguments[0])
            || case.arguments.iter().any(|word| word.starts_with("--scale"));
        let run = |term: Option<(&str, u16)>, options: &[&'static str], turn: &str| {
            let out = format!("--out={}-{turn}", path(&out));
            let mut words = case.words();
            if makes {
                words.insert(1, &out);
            }
            for option in options {
                words.insert(1, option);
            }
            let Some((term, columns)) = term else {
                let output = tlsheap(&words);
                let errors = text(&output.stderr);
                return if case.tells { errors } else { text(&output.stdout) + &errors };
            };
            let shown = on_terminal(columns, term, &words);
            if term == "dumb" {
                let all = [&shown.output, &shown.errors];
                let orders = all.iter().any(|stream| stream.contains('\u{1b}'));
                assert!(!orders, "{what} gives a dumb terminal orders: {all:?}");
            }
            case.said(&shown)
        };
        let piped = run(None, &[], "pipe");
        assert!(!piped.trim().is_empty(), "{what} says nothing");
        assert!(!piped.contains('\u{1b}'), "{what} has escapes in a pipe: {piped:?}");
        assert!(!words(&piped).any(is_cut), "{what} cuts names in a pipe:\n{piped}");
        let whole: BTreeSet<&str> = words(&piped).collect();
        let assert_whole = |shown: &str| {
            for word in words(shown).filter(|word| !is_cut(word)) {
                // What is measured differs from run to run, but in words of the program's own.
                let differs = !case.is_same && is_of(&vocabulary, word);
                assert!(differs || whole.contains(word), "{what} breaks {word:?}:\n{shown}");
            }
        };
        // What measures takes its time.
        let is_slow = makes && !case.tells;
        for columns in WIDTHS.into_iter().filter(|columns| !is_slow || [60, 200].contains(columns))
        {
            let shown = run(Some(("xterm", columns)), &[], &columns.to_string());
            let shown = plain(&without_sign(&shown));
            assert_fits(columns, &shown, &what);
            assert_whole(&shown);
            if words(&shown).any(is_cut) {
                assert!(shown.contains("… stands for a part of a name"), "{what}:\n{shown}");
                assert!(shown.contains("--full"), "{what}:\n{shown}");
            }
            if columns == 200 {
                assert!(!words(&shown).any(is_cut), "{what} cuts names at 200:\n{shown}");
            }
        }
        let shown = plain(&without_sign(&run(Some(("xterm", 60)), &["--full"], "full")));
        assert!(!words(&shown).any(is_cut), "{what} --full cuts names:\n{shown}");
        assert_fits(60, &shown, &what);
        assert_whole(&shown);
        let dumb = run(Some(("dumb", 80)), &[], "dumb");
        assert_fits(80, &dumb, &what);
        assert_whole(&dumb);
    }
}

/// What is left where a slow machine was seen to be reading.
fn without_sign(shown: &str) -> String {
    let lines = shown.split('\n').map(|line| {
        let last = line.rfind("\u{1b}[2K").map(|at| &line[at + 4..]);
        last.unwrap_or(line)
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn help_and_what_is_wrong_keep_to_the_terminal_too() {
    for columns in WIDTHS {
        for command in commands() {
            let help = on_terminal(columns, "xterm", &[&command, "--help"]);
            assert!(help.status.success());
            assert_fits(columns, &plain(&help.output), &format!("{command} --help"));
            let wrong = on_terminal(columns, "xterm", &[&command, "--column=no-such-thing"]);
            assert_fits(columns, &plain(&wrong.errors), &format!("{command} gone wrong"));
        }
    }
}

#[test]
fn colours_are_there_where_they_are_wanted() {
    fn top<'a>(options: &[&'a str]) -> Vec<&'a str> {
        [&["top", CAPTURE], options].concat()
    }
    let piped = |variables: &[(&str, &str)], options: &[&str]| {
        let output = program::tlsheap_with(Path::new("."), variables, &top(options));
        assert!(output.status.success());
        text(&output.stdout).contains('\u{1b}')
    };
    assert!(!piped(&[], &[]));
    assert!(piped(&[], &["--color=always"]));
    assert!(piped(&[("CLICOLOR_FORCE", "1")], &[]));
    assert!(!piped(&[("CLICOLOR_FORCE", "0")], &[]));
    assert!(!piped(&[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")], &[]));
    assert!(!piped(&[("CLICOLOR_FORCE", "1")], &["--color=never"]));
    let shown =
        |options: &[&str]| on_terminal(80, "xterm", &top(options)).output.contains('\u{1b}');
    assert!(shown(&[]));
    assert!(!shown(&["--color=never"]));
    // COLUMNS says how wide a pipe is.
    let narrow = program::tlsheap_with(Path::new("."), &[("COLUMNS", "30")], &top(&[]));
    assert_fits(30, &text(&narrow.stdout), "COLUMNS");
}
