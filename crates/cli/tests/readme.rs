//! What the documents show is what the program prints.
//!
//! A code block after `<!-- printed by: tlsheap … -->` is that command's output to the letter; the
//! block after `<!-- the answer of: tlsheap run -->` was pasted from a real run and is held against
//! a fresh small one. `TLSHEAP_BLESS=1 cargo test --release -p tlsheap --test readme` writes both
//! anew: review the difference.

mod program;

use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use program::{SmallRun, tlsheap, tlsheap_with};

const PRINTED: &str = "<!-- printed by: tlsheap";
const ANSWER: &str = "<!-- the answer of: tlsheap run -->";

/// Documents show what a terminal of this width shows.
const WIDTH: (&str, &str) = ("COLUMNS", "100");

/// Held by a test that may write documents.
static WRITING: Mutex<()> = Mutex::new(());

#[test]
fn blocks_that_show_what_a_command_prints_are_right() {
    let _alone = WRITING.lock().unwrap_or_else(PoisonError::into_inner);
    let mut shown = 0;
    for path in documents() {
        let mut text = read(&path);
        let mut from = 0;
        while let Some(block) = Block::after(&text, PRINTED, from) {
            let command = text[block.mark.end..].lines().next().unwrap().trim_end_matches(" -->");
            let arguments: Vec<&str> = command.split_whitespace().collect();
            let now = printed_in_root(&arguments);
            let end = block.body.start + now.len();
            if text[block.body.clone()] != now {
                assert!(blessing(), "{}", differs(&path, command, &text[block.body.clone()], &now));
                text.replace_range(block.body, &now);
                fs::write(&path, &text).unwrap();
            }
            from = end;
            shown += 1;
        }
    }
    assert!(shown > 3, "only {shown} marked blocks were found: is the mark misspelt?");
}

#[test]
fn the_answer_in_the_readme_is_that_of_a_fresh_run() {
    let _alone = WRITING.lock().unwrap_or_else(PoisonError::into_inner);
    let path = root().join("README.md");
    let mut text = read(&path);
    let block = Block::after(&text, ANSWER, 0).expect("README.md shows the answer of a run");
    if blessing() {
        let folder = tempfile::TempDir::new().unwrap();
        let out = folder.path().join("run");
        let answer = printed_in_root(&["run", "--out", program::path(&out)])
            .replace(program::path(&out), "profiles/runs/node-0.4");
        text.replace_range(block.body, answer.trim_start());
        fs::write(&path, &text).unwrap();
        return;
    }
    let pasted = &text[block.body];
    let run = SmallRun::of("node-0.4", "readme");
    let fresh = run.answer.trim_start().replace(run.folder(), "profiles/runs/node-0.4");
    // The one in the document had the usual number of connections, which is not said again.
    let fresh = fresh.replace(&format!(" -n {}", SmallRun::CONNECTIONS), "");

    let (was, is) = (first_number(pasted), first_number(&fresh));
    assert!((was / is - 1.0).abs() < 0.02, "README.md says {was} bytes per connection, now {is}");
    assert_eq!(shape(pasted), shape(&fresh), "README.md against a fresh run; bless to renew");
}

#[test]
fn commands_in_the_documents_are_understood() {
    let mut tried = 0;
    for path in documents() {
        for line in shell_lines(&read(&path)) {
            let words = words_of(&line);
            let words: Vec<&str> = words.iter().map(String::as_str).collect();
            let Some(arguments) = words
                .strip_prefix(&["tlsheap"][..])
                .or_else(|| words.strip_prefix(&["cargo", "run", "--release", "--"][..]))
            else {
                continue;
            };
            // With --help, everything before it is parsed and nothing is done. What comes after
            // `--` is another program's command line.
            let own = arguments.split(|word| *word == "--").next().unwrap_or_default();
            let output = tlsheap(&[own, &["--help"]].concat());
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{}: {line}: {said}", path.display());
            tried += 1;
        }
    }
    assert!(tried > 5, "only {tried} commands were found");
}

#[test]
fn links_between_the_documents_lead_somewhere() {
    for path in documents() {
        let text = read(&path);
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let file = target.split('#').next().unwrap_or_default();
            if file.is_empty() || target.contains("://") {
                continue;
            }
            let there = path.parent().unwrap().join(file);
            assert!(there.exists(), "{}: nothing at {target}", path.display());
        }
    }
}

#[test]
fn the_documents_keep_to_100_columns() {
    for path in documents() {
        let mut fenced = false;
        for (number, line) in read(&path).lines().enumerate() {
            fenced ^= line.starts_with("```");
            // Output is as wide as it is, and a row of a table cannot be broken.
            let free = fenced || line.starts_with('|');
            assert!(free || line.chars().count() <= 100, "{}:{}", path.display(), number + 1);
        }
    }
}

#[test]
fn the_table_of_versions_has_the_rows_and_columns_of_its_script() {
    let script = read(&root().join("benches/openssl-versions/measure.sh"));
    let between = |from: &str, to: &str| {
        let after = script.split_once(from).expect("the script has changed").1;
        after.split_once(to).expect("the script has changed").0.to_owned()
    };
    let titles = between("title_of() {", "esac");
    let titles: Vec<&str> = titles.split('"').skip(1).step_by(2).collect();
    let settings = between("settings=\"", "\"").split_whitespace().count();
    assert_eq!(titles.len(), settings, "a setting has no title");

    let document = read(&root().join("docs/openssl-versions.md"));
    let rows: Vec<Vec<&str>> = document
        .lines()
        .filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |"))
        .map(|line| line.split(" | ").collect())
        .collect();
    let versions = between("[ $# -gt 0 ] || set -- ", "\n");
    assert_eq!(rows[0][1..], versions.split_whitespace().collect::<Vec<_>>());
    assert_eq!(rows[2..].iter().map(|row| row[0]).collect::<Vec<_>>(), titles);
}

/// A marked code block.
struct Block {
    mark: Range<usize>,
    body: Range<usize>,
}

impl Block {
    /// The first block from `from` on whose mark begins with `mark`.
    fn after(text: &str, mark: &str, from: usize) -> Option<Block> {
        let start = from + text[from..].find(mark)?;
        let fence = start + text[start..].find("\n```").expect("a mark has a block") + 1;
        let body = fence + text[fence..].find('\n').expect("a block has lines") + 1;
        let end = body + text[body..].find("```\n").expect("a block has an end");
        Some(Block { mark: start..start + mark.len(), body: body..end })
    }
}

/// The answer without its figures: digits are `#`, columns are as wide as they like, and lines
/// break where figures and paths let them.
fn shape(answer: &str) -> String {
    let mut lines = Vec::new();
    for line in answer.lines() {
        let words = line.split_whitespace().map(|word| {
            let figure = word.trim_start_matches(['(', '+', '-']).starts_with(char::is_numeric);
            match word {
                "B" | "KB" | "MB" | "GB" => "B",
                _ if word.chars().all(|c| c == '─') => "─",
                _ if figure => "#",
                _ => word,
            }
        });
        lines.push(words.collect::<Vec<_>>().join(" "));
    }
    lines.join(" ")
}

fn first_number(answer: &str) -> f64 {
    let word = answer.split_whitespace().find(|word| word.starts_with(char::is_numeric));
    word.expect("the answer begins with a figure").replace(',', "").parse().unwrap()
}

/// The lines of the shell's code blocks, those that go on in the next one joined.
fn shell_lines(text: &str) -> Vec<String> {
    let blocks = text.split("```sh\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    blocks
        .flat_map(|block| block.replace("\\\n", " ").lines().map(str::to_owned).collect::<Vec<_>>())
        .collect()
}

/// A line's words as a shell takes them apart, as far as the documents go: blanks between single
/// quotes are part of a word.
fn words_of(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    for (number, part) in line.split('\'').enumerate() {
        let quoted = number % 2 == 1;
        for (at, piece) in part.split(|c: char| c.is_whitespace() && !quoted).enumerate() {
            if at > 0 {
                words.push(String::new());
            }
            words.last_mut().expect("one at least").push_str(piece);
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

fn documents() -> Vec<PathBuf> {
    let mut all: Vec<PathBuf> = ["", "docs", "profiles"]
        .iter()
        .flat_map(|folder| fs::read_dir(root().join(folder)).unwrap())
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "md"))
        .collect();
    all.sort();
    all
}

/// What a command prints in the folder that the documents' paths begin in.
fn printed_in_root(arguments: &[&str]) -> String {
    let output = tlsheap_with(&root(), &[WIDTH], arguments);
    assert!(output.status.success(), "{arguments:?}: {}", program::text(&output.stderr));
    program::text(&output.stdout)
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn blessing() -> bool {
    std::env::var_os("TLSHEAP_BLESS").is_some()
}

fn differs(path: &Path, command: &str, shown: &str, now: &str) -> String {
    format!(
        "{} shows another output of tlsheap{command} than the program prints; renew it with \
         TLSHEAP_BLESS=1\n--- shown\n{shown}\n--- printed\n{now}",
        path.display()
    )
}
