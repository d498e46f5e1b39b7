//! The built program, run as a user runs it. Nothing started here outlives its test: what takes
//! too long is killed, and the program's own processes end with it.

#![allow(dead_code, reason = "each test program uses its part of this")]

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::Value;

/// More than any command takes on a slow and busy machine: only a hang is cut short.
const PATIENCE: Duration = Duration::from_secs(120);

/// Runs `tlsheap` to its end.
pub fn tlsheap<A: AsRef<std::ffi::OsStr>>(arguments: &[A]) -> Output {
    tlsheap_in(Path::new("."), arguments)
}

/// Runs `tlsheap` to its end in another working directory.
pub fn tlsheap_in<A: AsRef<std::ffi::OsStr>>(directory: &Path, arguments: &[A]) -> Output {
    tlsheap_with(directory, &[], arguments)
}

/// The same, with these variables.
pub fn tlsheap_with<A: AsRef<std::ffi::OsStr>>(
    directory: &Path,
    variables: &[(&str, &str)],
    arguments: &[A],
) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_tlsheap"))
        .args(arguments)
        .envs(variables.iter().copied())
        .current_dir(directory)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program can be started");
    let stdout = read_on(child.stdout.take().unwrap());
    let stderr = read_on(child.stderr.take().unwrap());
    let began = Instant::now();
    let status = loop {
        match child.try_wait().unwrap() {
            None if began.elapsed() < PATIENCE => std::thread::sleep(Duration::from_millis(5)),
            ended => break ended,
        }
    };
    if status.is_none() {
        // A recorded program that hangs would hold the pipes open for ever.
        kill_with_descendants(child.id());
        child.wait().unwrap();
    }
    let [stdout, stderr] = [stdout, stderr].map(|reader| reader.join().unwrap());
    let Some(status) = status else {
        let words: Vec<_> = arguments.iter().map(AsRef::as_ref).collect();
        panic!("{words:?} hangs: {}", String::from_utf8_lossy(&stderr));
    };
    Output { status, stdout, stderr }
}

/// All that comes out of a pipe, read meanwhile.
fn read_on(mut pipe: impl Read + Send + 'static) -> JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        pipe.read_to_end(&mut bytes).unwrap();
        bytes
    })
}

/// Kills a process and all that it has started.
fn kill_with_descendants(pid: u32) {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
    // It may just have ended.
    let process = rustix::process::Pid::from_raw(pid.try_into().unwrap()).unwrap();
    let _ = rustix::process::kill_process(process, rustix::process::Signal::KILL);
    for child in children.unwrap_or_default().split_whitespace() {
        kill_with_descendants(child.parse().unwrap());
    }
}

/// What a command that has to succeed wrote to standard output.
pub fn printed(arguments: &[&str]) -> String {
    let output = tlsheap(arguments);
    assert!(output.status.success(), "{arguments:?} failed: {}", text(&output.stderr));
    text(&output.stdout)
}

/// The same, as wide as 100 columns.
pub fn printed_on_100(arguments: &[&str]) -> String {
    let output = tlsheap_with(Path::new("."), &[("COLUMNS", "100")], arguments);
    assert!(output.status.success(), "{arguments:?} failed: {}", text(&output.stderr));
    text(&output.stdout)
}

/// The same, read as one JSON document.
pub fn printed_json(arguments: &[&str]) -> Value {
    let json = printed(arguments);
    serde_json::from_str(&json).unwrap_or_else(|error| panic!("{arguments:?}: {error}: {json}"))
}

/// Output as text.
pub fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("the program writes UTF-8")
}

/// A finished run of the main job in a small size, for all tests of a test program to look at.
pub struct SmallRun {
    folder: PathBuf,
    /// What it said.
    pub answer: String,
}

impl SmallRun {
    /// Connections of a small run.
    pub const CONNECTIONS: u64 = 20;

    /// Runs `configuration`. `purpose` tells the folders of test programs apart.
    pub fn of(configuration: &str, purpose: &str) -> SmallRun {
        let folder = scratch(&format!("{purpose}-{configuration}"));
        // As wide as documents show it.
        let run = [
            "run",
            "--config",
            configuration,
            "-n",
            &SmallRun::CONNECTIONS.to_string(),
            "--hold=0s",
            "--interval=200ms",
            "--out",
            path(&folder),
        ];
        let answer = printed_on_100(&run);
        SmallRun { folder, answer }
    }

    /// The run folder, as an argument.
    pub fn folder(&self) -> &str {
        path(&self.folder)
    }

    /// A file of the run folder.
    pub fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// `tlsheap top --json` of the run, with further arguments.
    pub fn top(&self, arguments: &[&str]) -> Value {
        printed_json(&[&["top", self.folder(), "--json"], arguments].concat())
    }
}

/// A path for a folder that does not exist yet. A static is never dropped, so what earlier test
/// processes left behind is removed here.
pub fn scratch(name: &str) -> PathBuf {
    let all = Path::new(env!("CARGO_TARGET_TMPDIR")).join("tlsheap-runs");
    fs::create_dir_all(&all).unwrap();
    for entry in fs::read_dir(&all).unwrap().flatten() {
        let old = entry.file_name().to_string_lossy().into_owned();
        // A folder that a run is still filling has the run's process behind a dot.
        let owner = old.rsplit_once('@').map_or("0", |(_, pid)| pid);
        let owner = owner.split('.').next().unwrap_or("0");
        if !Path::new("/proc").join(owner).exists() {
            // Another test process may be removing it at the same time.
            let _ = fs::remove_dir_all(entry.path());
        }
    }
    all.join(format!("{name}@{}", std::process::id()))
}

/// A path as an argument.
pub fn path(path: &Path) -> &str {
    path.to_str().expect("paths of tests are UTF-8")
}

/// A `tlsheap` that goes on until it is told to end; killed when dropped.
pub struct Running {
    child: Child,
    lines: std::io::Lines<BufReader<ChildStdout>>,
}

impl Running {
    /// Starts it.
    pub fn start(arguments: &[&str]) -> Running {
        let mut child = Command::new(env!("CARGO_BIN_EXE_tlsheap"))
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program can be started");
        let output = child.stdout.take().expect("its output is piped");
        Running { child, lines: BufReader::new(output).lines() }
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The next line that it says, as JSON; `None` at its end.
    pub fn next_json(&mut self) -> Option<Value> {
        let line = self.lines.next()?.expect("its output can be read");
        Some(serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line}")))
    }

    /// Writes a line to its standard input.
    pub fn tell(&mut self, line: &str) {
        let input = self.child.stdin.as_mut().expect("its input is piped");
        writeln!(input, "{line}").expect("it reads its input");
    }

    /// Waits for its end.
    pub fn ended(&mut self) -> std::process::ExitStatus {
        self.child.wait().expect("it was started")
    }

    /// Sends SIGTERM.
    pub fn ask_to_stop(&self) {
        signal(self.pid(), rustix::process::Signal::TERM);
    }
}

/// How often it is looked whether a program that was asked to end has ended: for ten seconds.
const LOOKS_AT_END: u32 = 200;

impl Drop for Running {
    fn drop(&mut self) {
        // Who records ends what it has started, if it is given the time.
        let mut looks = 0..LOOKS_AT_END;
        if matches!(self.child.try_wait(), Ok(None)) {
            self.ask_to_stop();
        }
        while matches!(self.child.try_wait(), Ok(None)) && looks.next().is_some() {
            std::thread::sleep(Duration::from_millis(50));
        }
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends a signal to a process that is there.
pub fn signal(pid: u32, signal: rustix::process::Signal) {
    let pid = rustix::process::Pid::from_raw(pid.try_into().unwrap()).unwrap();
    rustix::process::kill_process(pid, signal).unwrap();
}
