//! A server while a test talks to it: by itself, or recorded. Nothing of it outlives the test.

#![allow(dead_code, reason = "each test program uses its part of this")]

use std::fs::{self, File};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// Longer than any server takes to start, or to end, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often a condition is looked at.
const STEP: Duration = Duration::from_millis(10);

/// How a test learns where a server listens.
#[derive(Clone, Copy, Debug)]
pub enum Ready {
    /// It prints a line with this word, and the port at the line's end.
    Line(&'static str),
    /// It was told this port, and takes connections there.
    Port(u16),
    /// It was told this port, and says these words among its messages.
    Said(&'static str, u16),
}

/// A server that runs.
pub struct Server {
    child: Child,
    /// Where it listens, on the loopback interface.
    pub port: u16,
    output: PathBuf,
    messages: PathBuf,
    /// Processes above the server: `tlsheap`, when it is recorded.
    recorders: usize,
}

impl Server {
    /// Starts `command`, and waits until it takes connections. What it prints goes to files in
    /// `place`.
    pub fn start(command: &[String], ready: Ready, place: &Path) -> Server {
        let (output, messages) = (place.join("stdout"), place.join("stderr"));
        let open = |path: &Path| File::create(path).expect("a folder to write to");
        let child = Command::new(&command[0])
            .args(&command[1..])
            .stdin(Stdio::piped()) // and nothing comes
            .stdout(open(&output))
            .stderr(open(&messages))
            .current_dir(place)
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let is_recorded =
            command[0] == env!("CARGO_BIN_EXE_tlsheap") && command.iter().any(|it| it == "record");
        let recorders = usize::from(is_recorded);
        let mut server = Server { child, port: 0, output, messages, recorders };
        server.port = wait_for("the server to be ready", || {
            if let Some(status) = server.child.try_wait().unwrap() {
                let words = server.messages();
                panic!("{command:?} ended before it was ready, {status}: {words}");
            }
            server.where_ready(ready)
        });
        server
    }

    fn where_ready(&self, ready: Ready) -> Option<u16> {
        match ready {
            Ready::Line(word) => {
                let printed = fs::read_to_string(&self.output).ok()?;
                let whole = &printed[..=printed.rfind('\n')?];
                let line = whole.lines().find(|line| line.contains(word))?;
                line.rsplit([' ', ':']).next()?.parse().ok()
            }
            Ready::Port(port) => {
                TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok().then_some(port)
            }
            Ready::Said(words, port) => self.messages().contains(words).then_some(port),
        }
    }

    /// What it has said on its standard error.
    fn messages(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.messages).unwrap_or_default()).into_owned()
    }

    /// Waits until the server and all that it has started do nothing: it has then dealt with
    /// everything it was sent.
    pub fn come_to_rest(&self) {
        let mut before = None;
        let mut same = 0;
        wait_for("the server to come to rest", || {
            let now = activity(&descendants(self.child.id())[self.recorders..]);
            same = if now.is_some() && now == before { same + 1 } else { 0 };
            before = now;
            (same == 5).then_some(())
        });
    }

    /// The process that was started: its own, or that of `tlsheap`.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Bytes that the server and what it has started have of their own, or share with each other:
    /// resident, and in no file.
    pub fn own_memory(&self) -> u64 {
        let all = descendants(self.child.id()).into_iter().skip(self.recorders);
        all.map(|pid| {
            let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).unwrap_or_default();
            let kilobytes = |name| {
                let line = text.lines().find_map(|line| line.strip_prefix(name))?;
                line.trim().trim_end_matches(" kB").parse::<u64>().ok()
            };
            let parts = ["Pss_Anon:", "Pss_Shmem:"].map(|name| kilobytes(name).unwrap_or_default());
            1024 * parts.iter().sum::<u64>()
        })
        .sum()
    }

    /// Sends a signal to it, or to `tlsheap`, which passes it on.
    pub fn signal(&self, which: Signal) {
        signal(self.child.id(), which);
    }

    /// Waits for the end. Returns how it ended, as a shell says it (128 and the signal's number),
    /// and what it has printed.
    pub fn end(mut self) -> (i32, Vec<u8>) {
        let status = wait_for("the server to end", || self.child.try_wait().unwrap());
        (code(status), fs::read(&self.output).unwrap())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(Some(_))) {
            return;
        }
        for pid in descendants(self.child.id()) {
            signal(pid, Signal::KILL);
        }
        let _ = self.child.wait();
    }
}

/// A port of the loopback interface that nobody has at this moment, for servers that cannot say
/// which one the kernel chose for them.
pub fn free_port() -> u16 {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

/// How a process ended, as a shell says it.
pub fn code(status: ExitStatus) -> i32 {
    status.code().unwrap_or_else(|| 128 + status.signal().expect("it has ended"))
}

fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(began.elapsed() < PATIENCE, "waited too long for {what}");
        sleep(STEP);
    }
}

fn signal(pid: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        let _ = kill_process(pid, signal); // it may have ended this moment
    }
}

/// The process and everything below it.
fn descendants(pid: u32) -> Vec<u32> {
    let mut all = vec![pid];
    let mut at = 0;
    while at < all.len() {
        for task in fs::read_dir(format!("/proc/{}/task", all[at])).into_iter().flatten().flatten()
        {
            let children = fs::read_to_string(task.path().join("children")).unwrap_or_default();
            all.extend(children.split_whitespace().filter_map(|pid| pid.parse::<u32>().ok()));
        }
        at += 1;
    }
    all
}

/// How often each thread of the processes has gone to sleep; `None` while one of them runs.
fn activity(pids: &[u32]) -> Option<Vec<(u32, u64)>> {
    let mut all = Vec::new();
    for pid in pids {
        for task in fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten() {
            let status = task.path().join("status");
            all.push((*pid, slept(status.to_str()?)?));
        }
    }
    Some(all)
}

/// How often a thread has gone to sleep, by its status file; `None` while it runs.
fn slept(status: &str) -> Option<u64> {
    let status = fs::read_to_string(status).ok()?;
    let field = |name| status.lines().find_map(|line| line.strip_prefix(name));
    let runs = field("State:")?.trim().starts_with('R');
    let times = field("voluntary_ctxt_switches:")?.trim().parse().ok()?;
    (!runs).then_some(times)
}
