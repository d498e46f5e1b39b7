//! The sign of life of what takes longer than a second, on a terminal of the test's own. Reading
//! takes as long as the test likes: the capture comes out of a pipe.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use rustix::fs::{CWD, Mode, mkfifoat};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use tempfile::TempDir;

const CAPTURE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/profiles/good.pb.gz");

/// What takes less time has no sign.
const AFTER: Duration = Duration::from_secs(1);
/// More than anything here takes on a slow and busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

/// `tlsheap top` of a pipe, with its standard error on a terminal.
struct Reading {
    child: Child,
    begun: Instant,
    pipe: PathBuf,
    shown: Receiver<Vec<u8>>,
    _place: TempDir,
}

impl Reading {
    fn begin(variables: &[(&str, &str)]) -> Reading {
        let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
        grantpt(&terminal).and_then(|()| unlockpt(&terminal)).expect("ours");
        let name = ptsname(&terminal, Vec::new()).expect("it has a name");
        let programs = File::options().read(true).write(true).open(name.to_str().expect("a path"));
        let programs = programs.expect("the program's side");

        let (place, pipe) = pipe();
        let begun = Instant::now();
        let child = Command::new(env!("CARGO_BIN_EXE_tlsheap"))
            .arg("top")
            .arg(&pipe)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(programs)
            .env("TERM", "xterm")
            .env_remove("NO_COLOR")
            .envs(variables.iter().copied())
            .spawn()
            .expect("the program can be started");
        let (send, shown) = channel();
        let mut terminal = File::from(terminal);
        // Ends when nobody has the other side open any more: that is an error of its own.
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            while let Ok(some @ 1..) = terminal.read(&mut bytes) {
                if send.send(bytes[..some].to_vec()).is_err() {
                    break;
                }
            }
        });
        Reading { child, begun, pipe, shown, _place: place }
    }

    /// How long after the start something is shown first, and all up to the word that is expected.
    fn sign(&self) -> (Duration, String) {
        let more = || self.shown.recv_timeout(PATIENCE).expect("a sign of life");
        let mut sign = more();
        let after = self.begun.elapsed();
        while !String::from_utf8_lossy(&sign).contains("reading") {
            sign.extend(more());
        }
        (after, String::from_utf8_lossy(&sign).into_owned())
    }

    /// Has it read a good capture. What it has printed, and shown since.
    fn end(mut self) -> (String, String) {
        give(&self.pipe);
        let mut printed = String::new();
        let mut output = self.child.stdout.take().expect("its output is piped");
        output.read_to_string(&mut printed).expect("text");
        assert!(self.child.wait().expect("it ends").success());
        let shown: Vec<u8> = self.shown.iter().flatten().collect();
        (printed, String::from_utf8_lossy(&shown).into_owned())
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        // A test that failed may have left it waiting.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn pipe() -> (TempDir, PathBuf) {
    let place = TempDir::new().expect("a temporary folder");
    let pipe = place.path().join("capture");
    mkfifoat(CWD, &pipe, Mode::RUSR | Mode::WUSR).expect("a pipe");
    (place, pipe)
}

/// Waits for a reader.
fn give(pipe: &Path) {
    fs::write(pipe, fs::read(CAPTURE).expect("a fixture")).expect("somebody reads");
}

/// What is left on the line after all that was written to it.
fn left(shown: &str) -> &str {
    shown.rsplit("\u{1b}[2K").next().unwrap_or_default().trim()
}

#[test]
fn after_a_second_it_is_shown_and_before_the_answer_it_is_gone() {
    let reading = Reading::begin(&[]);
    let (after, sign) = reading.sign();
    assert!(after >= AFTER, "{after:?}");
    assert!(left(&sign).ends_with("reading"), "{sign:?}");
    let (printed, shown) = reading.end();
    assert_eq!(left(&shown), "", "{shown:?}");
    assert!(printed.starts_with("capture: "), "{printed}");
}

#[test]
fn what_is_done_sooner_shows_nothing() {
    let reading = Reading::begin(&[]);
    let begun = reading.begun;
    let (printed, shown) = reading.end();
    // Unless the machine was busy with something else.
    if begun.elapsed() < AFTER {
        assert_eq!(shown, "");
    }
    assert!(printed.starts_with("capture: "), "{printed}");
}

#[test]
fn it_has_no_colours_where_nobody_wants_them() {
    let reading = Reading::begin(&[("NO_COLOR", "1")]);
    let (_, sign) = reading.sign();
    assert!(left(&sign).ends_with("reading"), "{sign:?}");
    let (_, shown) = reading.end();
    let shown = sign + &shown;
    let colours = shown.split('\u{1b}').filter(|sequence| {
        sequence.split(|c: char| c.is_ascii_alphabetic()).next().is_some_and(|parameters| {
            parameters.starts_with('[') && sequence[parameters.len()..].starts_with('m')
        })
    });
    assert_eq!(colours.count(), 0, "{shown:?}");
}

#[test]
fn where_standard_error_is_no_terminal_nothing_is_shown() {
    let (_place, pipe) = pipe();
    let mut command = Command::new(env!("CARGO_BIN_EXE_tlsheap"));
    command.arg("top").arg(&pipe).env("TERM", "xterm").stdin(Stdio::null());
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let child = child.expect("the program can be started");
    std::thread::sleep(AFTER + Duration::from_millis(500));
    give(&pipe);
    let output = child.wait_with_output().expect("it ends");
    assert!(output.status.success());
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}
