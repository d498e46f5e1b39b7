//! Wrong use and bad input: exit code 2, one sentence that names the cause and the way out on
//! standard error, nothing on standard output, and nothing half-written left behind.

mod program;

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Output;

use ledger::Capacities;
use ledger_writer::Ledger;
use program::{path, text, tlsheap_in};
use tempfile::TempDir;

#[test]
fn an_empty_capture_is_refused() {
    let place = Place::new();
    place.put("empty", b"");
    for command in ["top", "flame"] {
        place.refuses(&[command, "empty"], &["empty is empty", "expected a pprof profile"]);
    }
    place.refuses(&["diff", "empty", "empty"], &["empty is empty"]);
}

#[test]
fn an_option_that_was_meant_is_named_and_a_programs_own_are_left_to_it() {
    let place = Place::new();
    for (line, meant) in [
        (&["record", "--fro", "5s", "true"][..], "--for"),
        (&["record", "--fro", "5s", "--", "true"], "--for"),
        (&["top", "--colunm", "peak", "x"], "--column"),
    ] {
        let refused = tlsheap_in(place.0.path(), line);
        let said = text(&refused.stderr);
        assert_eq!(refused.status.code(), Some(2), "{said}");
        assert!(said.contains(&format!("a similar argument exists: '{meant}'")), "{said}");
    }
    // Behind the program's name, and behind --, options are its own.
    let echoed = tlsheap_in(place.0.path(), &["record", "--out=run", "sh", "-c", "exit 7"]);
    assert!(!text(&echoed.stderr).contains("unexpected argument"), "{}", text(&echoed.stderr));
}

#[test]
fn a_truncated_profile_is_refused() {
    let place = Place::new();
    let whole = fs::read(fixture("good.pb.gz")).unwrap();
    place.put("cut.pb.gz", &whole[..whole.len() / 2]);
    let words = ["cut.pb.gz is damaged at byte", "found the end of the file"];
    place.refuses(&["top", "cut.pb.gz"], &words);
    place.refuses(&["flame", "cut.pb.gz", "-o", "flame.svg"], &words);
    place.refuses(&["diff", path(&fixture("good.pb.gz")), "cut.pb.gz"], &words);
}

#[test]
fn a_truncated_ledger_is_refused() {
    let place = Place::new();
    Ledger::create(&place.file("ledger"), Capacities::for_sites(64)).unwrap();
    let whole = fs::read(place.file("ledger")).unwrap();
    for length in [100, 4096, whole.len() / 2] {
        place.put("cut", &whole[..length]);
        place.refuses(&["top", "cut"], &["cut: ", "offset", "expected", "found"]);
    }
}

#[test]
fn a_foreign_ledger_is_refused() {
    let place = Place::new();
    let mut foreign = b"tlsheap\0".to_vec();
    foreign.resize(1 << 16, 0xff);
    place.put("ledger", &foreign);
    place.refuses(&["top", "ledger"], &["ledger", "version", "read it with the tlsheap"]);
}

#[test]
fn a_foreign_file_is_refused() {
    let place = Place::new();
    let program = fs::read(env!("CARGO_BIN_EXE_tlsheap")).unwrap();
    place.put("program", &program[..4096]);
    place.put("letter.txt", b"Dear reader,\nthis is no profile.\n");
    let words = ["is not a profile", "expected a pprof profile", "found"];
    place.refuses(&["top", "program"], &words);
    place.refuses(&["top", "letter.txt"], &words);
}

#[test]
fn a_missing_capture_is_refused_with_its_cause_said_once() {
    let place = Place::new();
    let sentence = place.refuses(&["top", "missing"], &["cannot read missing", "No such file"]);
    assert_eq!(sentence.matches("No such file").count(), 1, "{sentence}");
}

#[test]
fn a_folder_that_is_no_run_is_refused() {
    let place = Place::new();
    fs::create_dir(place.file("photos")).unwrap();
    place.refuses(&["top", "photos"], &["photos is no run folder", "run.json"]);
}

#[test]
fn a_wrong_configuration_key_is_refused_with_the_right_one() {
    let place = Place::new();
    let right = fs::read_to_string(configurations().join("tls13.toml")).unwrap();
    let wrong = right.replace("trust_store", "trst_store");
    assert_ne!(right, wrong);
    place.put("mine.toml", wrong.as_bytes());
    for command in ["run", "serve"] {
        place.refuses(
            &[command, "--config", "./mine.toml"],
            &["mine.toml:", "unknown key `trst_store`", "did you mean `trust_store`?"],
        );
    }
}

#[test]
fn an_unknown_configuration_is_refused_with_the_nearest() {
    let place = Place::new();
    for arguments in [
        &["run", "--config", "no-compresion"][..],
        &["serve", "--config", "no-compresion"],
        &["configs", "--show", "no-compresion"],
    ] {
        place.refuses(arguments, &["`no-compresion`", "did you mean `no-compression`?"]);
    }
}

#[test]
fn a_port_in_use_is_refused() {
    let place = Place::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let words = [&address, "another program already does", "choose another port"];
    place.refuses(&["serve", "--config=tls13", "--listen", &address], &words);
    place.refuses(&["serve", "--config=tls13", "--listen", &address, "--ledger=ledger"], &words);
}

#[test]
fn a_ledger_is_not_overwritten() {
    let place = Place::new();
    place.put("precious", b"kept");
    place.refuses(
        &["serve", "--config=tls13", "--listen=127.0.0.1:0", "--ledger=precious"],
        &["precious", "File exists"],
    );
    assert_eq!(fs::read(place.file("precious")).unwrap(), b"kept");
}

/// Root may write anywhere, but not below a regular file.
#[test]
fn an_output_folder_that_cannot_be_made_is_refused() {
    let place = Place::new();
    place.put("file", b"");
    for out in ["file", "file/run", "file/deep/run"] {
        place.refuses(&["run", "--out", out], &[out, "Not a directory", "another with --out"]);
    }
}

#[test]
fn an_output_folder_with_something_in_it_is_refused() {
    let place = Place::new();
    fs::create_dir(place.file("photos")).unwrap();
    place.put("photos/summer.jpg", b"");
    place.refuses(&["run", "--out", "photos"], &["photos", "is not empty", "another with --out"]);
}

#[test]
fn a_picture_that_cannot_be_written_is_refused() {
    let place = Place::new();
    let good = fixture("good.folded");
    place.refuses(
        &["flame", path(&good), "-o", "missing/flame.svg"],
        &["cannot write missing/flame.svg", "No such file or directory"],
    );
    place.refuses(
        &["diff", path(&good), path(&good), "--flame", "missing/diff.svg"],
        &["cannot write missing/diff.svg"],
    );
}

/// The shell lowers the hard limit, which even root's process does not raise again.
#[test]
fn more_connections_than_descriptors_are_refused_before_anything_starts() {
    let place = Place::new();
    for command in ["run -n 200 --out here", "load -n 200", "serve --limit 200 --ledger here"] {
        let script = format!("ulimit -n 100 && exec {} {command}", env!("CARGO_BIN_EXE_tlsheap"));
        let output = assert_cmd::Command::new("sh")
            .args(["-c", &script])
            .current_dir(place.root())
            .timeout(std::time::Duration::from_secs(60))
            .output()
            .unwrap();
        let words = ["200 connections need", "the limit is 100", "ask for at most", "ulimit -Hn"];
        // A run needs a few more than it was asked for, to warm the server up.
        let words = if command.starts_with("run") { &words[1..] } else { &words[..] };
        refusal(&output, words);
        assert_eq!(place.names(), [""; 0], "{command} left something behind");
    }
}

#[test]
fn numbers_that_make_no_sense_are_refused() {
    let place = Place::new();
    for (arguments, words) in [
        (&["run", "-n", "0"][..], "ask for at least 1"),
        (&["run", "--interval", "soon"], "use ms, s, m or h"),
        (&["run", "--sample", "0"], "leave --sample out"),
        (&["record", "--sample", "1x", "true"], "as in 65536 or 64k"),
        (&["serve", "--sample", "64k"], "--ledger"),
        (&["record", "--sample", "1k", "--at-rest", "5", "true"], "use --for or --until-idle"),
        (&["top", "x", "--by", "colour"], "possible values: site, function, file, category"),
        (&["load", "--compression"], "--compression needs --tls 1.2"),
    ] {
        let output = tlsheap_in(place.root(), arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(output.stdout.is_empty(), "{arguments:?}");
        let said = text(&output.stderr);
        assert!(said.contains(words), "{arguments:?}: {said}");
    }
}

/// A directory for one test, in which refused commands must leave nothing.
struct Place(TempDir);

impl Place {
    fn new() -> Place {
        Place(TempDir::new().unwrap())
    }

    fn root(&self) -> &Path {
        self.0.path()
    }

    fn file(&self, name: &str) -> PathBuf {
        self.root().join(name)
    }

    fn put(&self, name: &str, bytes: &[u8]) {
        fs::write(self.file(name), bytes).unwrap();
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.root()).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// Asserts that a command is refused in one sentence with these words, and leaves nothing.
    fn refuses(&self, arguments: &[&str], words: &[&str]) -> String {
        let before = self.names();
        let sentence = refusal(&tlsheap_in(self.root(), arguments), words);
        assert_eq!(self.names(), before, "{arguments:?} left something behind");
        sentence
    }
}

fn refusal(output: &Output, words: &[&str]) -> String {
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert_eq!(text(&output.stdout), "", "{said}");
    assert_eq!(said.lines().count(), 1, "more than one line: {said}");
    assert!(said.starts_with("tlsheap: "), "{said}");
    for word in words {
        assert!(said.contains(word), "no {word:?} in: {said}");
    }
    said
}

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn fixture(name: &str) -> PathBuf {
    workspace().join("fixtures/profiles").join(name).canonicalize().unwrap()
}

fn configurations() -> PathBuf {
    workspace().join("crates/echo-server/src/configurations")
}
