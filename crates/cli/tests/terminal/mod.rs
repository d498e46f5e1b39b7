//! A terminal of a test's own, of a width that it chooses.

use std::fs::File;
use std::io::Read;
use std::process::{Command, ExitStatus, Stdio};
use std::thread::{JoinHandle, spawn};
use std::time::{Duration, Instant};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

/// More than anything takes on a slow and busy machine.
const PATIENCE: Duration = Duration::from_secs(300);

/// What came to a terminal for each stream.
pub struct Shown {
    pub status: ExitStatus,
    pub output: String,
    pub errors: String,
}

/// Runs the program to its end, with each of its output streams on a terminal of so many columns.
pub fn on_terminal(columns: u16, term: &str, arguments: &[&str]) -> Shown {
    let ((of_output, output), (of_errors, errors)) = (terminal(columns), terminal(columns));
    let mut child = Command::new(env!("CARGO_BIN_EXE_tlsheap"))
        .args(arguments)
        .env("TERM", term)
        .env_remove("NO_COLOR")
        .env_remove("COLUMNS")
        .stdin(Stdio::null())
        .stdout(of_output)
        .stderr(of_errors)
        .spawn()
        .expect("the program can be started");
    let began = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if began.elapsed() > PATIENCE {
            child.kill().unwrap();
            panic!("{arguments:?} hangs");
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    let [output, errors] = [output, errors].map(|it| it.join().unwrap().replace('\r', ""));
    Shown { status, output, errors }
}

/// The program's side, and all that comes to ours until nobody has the other open any more.
fn terminal(columns: u16) -> (File, JoinHandle<String>) {
    let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).expect("a terminal");
    grantpt(&ours).and_then(|()| unlockpt(&ours)).expect("ours");
    let size = Winsize { ws_row: 24, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
    tcsetwinsize(&ours, size).expect("a size");
    let name = ptsname(&ours, Vec::new()).expect("it has a name");
    let theirs = File::options().read(true).write(true).open(name.to_str().expect("a path"));
    let mut ours = File::from(ours);
    let reader = spawn(move || {
        let (mut all, mut bytes) = (Vec::new(), [0; 4096]);
        // The end is an error of its own.
        while let Ok(some @ 1..) = ours.read(&mut bytes) {
            all.extend_from_slice(&bytes[..some]);
        }
        String::from_utf8(all).expect("text")
    });
    (theirs.expect("the program's side"), reader)
}
