//! The view of `tlsheap watch`, and of `record --watch`, on a terminal of tmux's: what keys do, and
//! what is left on the terminal in the end.

mod program;
mod recorded;
mod watched;

use std::fs;
use std::process::{Command, Stdio};

use program::{path, text, tlsheap};
use recorded::installed;
use tempfile::TempDir;
use watched::at_rest::AtRest;
use watched::tmux::Tmux;
use watched::{are_there, until};

#[test]
fn keys_do_what_the_screen_says() {
    if !are_there(&[("tmux", "-V")]) {
        return;
    }
    let mut at_rest = AtRest::with_connections();
    for columns in [80, 200] {
        // The shell stays, so that what is left on the terminal can be seen.
        let program = env!("CARGO_BIN_EXE_tlsheap");
        let ledger = at_rest.ledger();
        let command =
            format!("{program} watch {} --every 100ms; echo \"left with $?\"; cat", path(&ledger));
        let tmux = Tmux::run(&format!("keys-{columns}"), columns, &command);
        let live = at_rest.live();
        let screen = tmux.shows("▼bytes");
        assert!(
            screen.contains(&format!("{live} connections (SSL objects), each holds")),
            "{screen}"
        );
        assert!(screen.contains("since the first look") && screen.contains("? keys"), "{screen}");
        let widest = screen.lines().map(|line| line.trim_end().chars().count()).max().unwrap();
        assert!(widest <= usize::from(columns), "{screen}");
        assert_eq!(screen.contains("category  "), columns == 200, "{screen}");

        tmux.press("s");
        tmux.shows("▼blocks");
        tmux.press("g");
        tmux.shows("▼growth");
        tmux.press("m");
        tmux.shows("since the mark, ");
        at_rest.connect(2);
        // By growth, what has come with the connections is first.
        let grown = tmux.shows(&format!("{} connections", live + 2));
        assert!(grown.contains('+'), "{grown}");
        tmux.press("0");
        tmux.shows("since the first look");
        tmux.press("b");
        tmux.shows("  function\n");
        tmux.press("Down");
        tmux.press("Enter");
        let opened = tmux.shows("stacks (Esc goes back)");
        assert!(opened.contains(" blocks\n"), "{opened}");
        tmux.press("PageDown");
        tmux.press("Escape");
        tmux.shows("▼growth");
        tmux.press("?");
        tmux.shows("set a mark: growth is counted from now on");
        tmux.press("?");
        tmux.press("p");
        tmux.shows("PAUSED");
        tmux.tell(&["resize-window", "-t", "w", "-x", "60", "-y", "12"]);
        tmux.shows("PAUSED");
        tmux.press("q");
        let left = tmux.shows("left with 0");
        assert!(!left.contains("▼growth"), "the screen is given back: {left}");
    }
    // It ends with the program, and what was seen last stays on the terminal.
    let program = env!("CARGO_BIN_EXE_tlsheap");
    let pid = at_rest.server.pid();
    let tmux =
        Tmux::run("end", 100, &format!("NO_COLOR=1 {program} watch {pid} --every 100ms; cat"));
    tmux.shows("▼bytes");
    let colours = tmux.tell(&["capture-pane", "-p", "-e", "-t", "w"]);
    assert!(!colours.contains("\u{1b}[31m") && !colours.contains("\u{1b}[32m"), "{colours:?}");
    drop(at_rest);
    tmux.shows("What was watched has ended.");
}

#[test]
fn a_recording_is_watched_from_its_own_terminal() {
    if !are_there(&[("tmux", "-V")]) || !installed("openssl") {
        return;
    }
    let folder = TempDir::new().unwrap();
    let (run, program) = (folder.path().join("run"), env!("CARGO_BIN_EXE_tlsheap"));
    let command = format!(
        "{program} record --watch --out {} -- sh -c 'echo words of the program; exec openssl \
         s_server -nocert -accept 127.0.0.1:0'; echo \"left with $?\"; cat",
        path(&run)
    );
    let tmux = Tmux::run("record", 100, &command);
    let screen = tmux.shows("▼bytes");
    assert!(screen.contains("openssl: ") && screen.contains("? keys"), "{screen}");
    assert!(!screen.contains("words of the program"), "it does not tear the view: {screen}");
    tmux.press("g");
    tmux.shows("▼growth");
    // To quit ends the recording, and the program with it.
    tmux.press("q");
    let left = tmux.shows("left with 0");
    assert!(!left.contains("▼growth"), "the screen is given back: {left}");
    let log = run.join("output.log");
    assert!(left.replace('\n', "").contains("what the program wrote: "), "{left}");
    assert!(fs::read_to_string(log).unwrap().starts_with("words of the program\n"));
    assert!(run.join("run.json").exists());
}

#[test]
fn a_process_that_was_attached_to_is_watched_and_goes_on() {
    if !are_there(&[("tmux", "-V")]) || !installed("openssl") {
        return;
    }
    let mut server = Command::new("openssl")
        .args(["s_server", "-nocert", "-quiet", "-accept", "127.0.0.1:0"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let folder = TempDir::new().unwrap();
    let run = folder.path().join("run");
    // A goal takes the view away too.
    let command = format!(
        "{} record --watch --for 5s --pid {} --out {}; echo \"left with $?\"; cat",
        env!("CARGO_BIN_EXE_tlsheap"),
        server.id(),
        path(&run)
    );
    let tmux = Tmux::run("attach", 100, &command);
    until("the end of the recording", || run.join("run.json").exists().then_some(()));
    tmux.shows("left with 0");
    assert_eq!(server.try_wait().unwrap(), None, "it goes on");
    server.kill().and_then(|()| server.wait()).unwrap();
}

#[test]
fn without_a_terminal_a_recording_is_not_watched() {
    let folder = TempDir::new().unwrap();
    let run = folder.path().join("run");
    let output = tlsheap(&["record", "--watch", "--out", path(&run), "--", "true"]);
    let said = text(&output.stderr);
    assert!(output.status.code() == Some(2) && said.contains("draws on a terminal"), "{said}");
    assert!(!run.exists(), "nothing was begun");
}
