//! One program, by itself and recorded, under the same clients.

#![allow(dead_code, reason = "each test program uses its part of this")]

use std::fs;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use jiff::Timestamp;
use profile::{Metric, pprof};
use rustix::process::Signal;
use serde_json::Value;
use tempfile::TempDir;

use crate::clients::{Client, Talk};
use crate::program::{path, printed_json};
use crate::server::{Ready, Server};

/// Connections that are opened and closed again before anything is measured.
const WARM_UPS: usize = 20;

/// Milliseconds in which nothing happens between those and the connections that are measured: the
/// first that are enough.
const PAUSES: [u64; 5] = [500, 1_000, 2_000, 4_000, 8_000];

/// The folder of the recording.
const RUN: &str = "run";

/// A server to be measured.
pub struct Subject {
    /// The program and its arguments.
    pub command: Vec<String>,
    pub ready: Ready,
    pub talk: Talk,
    /// Connections that are open at the capture.
    pub open: usize,
    /// Connections before those, one after another.
    pub before: usize,
    /// What has it free what it holds of earlier connections, if it does not do that at once.
    pub tidy: Option<Signal>,
    /// What ends it while clients are connected.
    pub end: Signal,
}

/// What came of it.
pub struct Measured {
    place: TempDir,
    open: usize,
    /// All answers and the exit code, without the recorder and with it.
    pub plain: Visit,
    pub recorded: Visit,
    /// All processes of the server, in every attempt.
    pub processes: Vec<u32>,
}

/// What a server did for its clients.
pub struct Visit {
    /// The process that was started: the server, or `tlsheap`.
    pid: u32,
    pub answers: Vec<Vec<u8>>,
    /// On its standard output.
    pub printed: Vec<u8>,
    pub code: i32,
    /// When it had dealt with what came before the connections.
    quiet_since: Timestamp,
}

impl Subject {
    /// A server that takes fifty connections at a time.
    pub fn new(command: &[&str], ready: Ready, talk: Talk) -> Subject {
        let command = command.iter().map(|word| (*word).to_owned()).collect();
        let (tidy, end) = (None, Signal::TERM);
        Subject { command, ready, talk, open: 50, before: WARM_UPS, tidy, end }
    }

    /// Runs the server by itself, and recorded: the capture is made when all connections are open
    /// and the server is at rest.
    pub fn measure(&self, place: TempDir) -> Measured {
        let plain = self.visit(place.path(), &self.command, Duration::ZERO);
        let folder = place.path().join(RUN);
        let start = [env!("CARGO_BIN_EXE_tlsheap"), "record", "--out", path(&folder), "--"];
        let command = start.iter().map(|word| (*word).to_owned()).chain(self.command.clone());
        let command: Vec<String> = command.collect();
        let mut processes = vec![plain.pid];
        for pause in PAUSES.map(Duration::from_millis) {
            let recorded = self.visit(place.path(), &command, pause);
            // `record` looks at the server from time to time, on a busy machine less often: what
            // it has taken for the time before the connections has to be in the pause.
            let record = record_of(&folder);
            processes.extend(pids(&record));
            if recorded.quiet_since <= baseline(&record) {
                return Measured { place, open: self.open, plain, recorded, processes };
            }
            fs::remove_dir_all(&folder).unwrap();
        }
        panic!("{:?}: not looked at before its connections", self.command);
    }

    fn visit(&self, place: &Path, command: &[String], pause: Duration) -> Visit {
        let server = Server::start(command, self.ready, place);
        for _ in 0..self.before {
            Client::open(server.port, self.talk).close(self.talk);
        }
        if let Some(tidy) = self.tidy {
            server.signal(tidy);
        }
        server.come_to_rest();
        let quiet_since = Timestamp::now();
        sleep(pause);
        let clients: Vec<Client> =
            (0..self.open).map(|_| Client::open(server.port, self.talk)).collect();
        server.come_to_rest();
        server.signal(self.end);
        let pid = server.pid();
        let (code, printed) = server.end();
        let answers = clients.into_iter().map(|client| client.answer).collect();
        Visit { pid, answers, printed, code, quiet_since }
    }
}

impl Measured {
    /// The folder of the recording with all connections.
    pub fn folder(&self) -> PathBuf {
        self.place.path().join(RUN)
    }

    /// Its run.json.
    pub fn record(&self) -> Value {
        record_of(&self.folder())
    }

    /// One connection's bytes are as expected, within 5 %.
    pub fn costs(&self, bytes: f64) {
        let record = self.record();
        assert_eq!(record["connections"], self.open, "SSL objects at the capture");
        let each = &record["per_connection"];
        println!("{}: {each}", record["command"]);
        assert_eq!(each["less_baseline"], true);
        let found = each["bytes"].as_f64().unwrap();
        assert!((found - bytes).abs() <= bytes * 0.05, "{found}, expected {bytes}");
    }

    /// Clients notice nothing of the recorder, and neither does who started the server.
    pub fn is_transparent(&self) {
        assert_eq!(self.plain.answers.len(), self.open);
        assert_eq!(self.recorded.code, self.plain.code, "{}", self.words());
        for (plain, recorded) in self.plain.answers.iter().zip(&self.recorded.answers) {
            let text = String::from_utf8_lossy;
            assert!(plain == recorded, "{}\nrecorded:\n{}", text(plain), text(recorded));
        }
    }

    /// The way into each OpenSSL, as `object way outcome`, in the processes that used one.
    pub fn ways(&self) -> Vec<String> {
        let record = self.record();
        let processes = record["processes"].as_array().unwrap();
        let openssls = processes.iter().flat_map(|it| it["openssls"].as_array().unwrap());
        let word = |value: &Value| value.as_str().unwrap().to_owned();
        let mut ways: Vec<String> = openssls
            .map(|it| [&it["object"], &it["way"], &it["outcome"]].map(word).join(" "))
            .collect();
        ways.sort();
        ways.dedup();
        ways
    }

    /// Nothing was lost, and nothing freed that was not seen before, of the whole process.
    pub fn lost_nothing(&self) {
        let record = self.record();
        let others = &record["heap"]["counts"]["alloc_blocks"];
        assert!(others.as_u64().is_some_and(|blocks| blocks > 0), "{others}: {record:#}");
        for process in record["processes"].as_array().unwrap() {
            let recorder = &process["recorder"];
            for loss in ["foreign_frees", "stale_blocks", "untracked_blocks"] {
                assert_eq!(recorder[loss], 0, "{loss}: {process:#}");
            }
        }
    }

    /// The stacks through `function` that hold something, outermost frame first.
    pub fn stacks_of(&self, function: &str) -> Vec<Vec<String>> {
        let bytes = fs::read(self.folder().join("heap.pb.gz")).unwrap();
        let profile = pprof::read(&bytes, "heap.pb.gz").unwrap();
        let column = profile.column(Metric::InuseSpace).unwrap();
        let holding = profile.samples().iter().filter(|sample| sample.values[column] > 0);
        let stacks = holding.map(|sample| {
            let names = profile.frames(sample).map(|frame| frame.function.to_owned());
            let mut stack: Vec<String> = names.collect();
            stack.reverse();
            stack
        });
        stacks.filter(|stack| stack.iter().any(|name| name == function)).collect()
    }

    /// `tlsheap top --json`.
    pub fn top(&self, options: &[&str]) -> Value {
        printed_json(&[&["top", path(&self.folder()), "--json", "-n", "0"], options].concat())
    }

    fn words(&self) -> String {
        fs::read_to_string(self.place.path().join("stderr")).unwrap_or_default()
    }
}

/// The recorded processes.
fn pids(record: &Value) -> Vec<u32> {
    let processes = record["processes"].as_array().unwrap();
    processes.iter().map(|it| it["pid"].as_u64().unwrap() as u32).collect()
}

/// When the tool saw what was there before the connections; long ago, if it did not.
fn baseline(record: &Value) -> Timestamp {
    let started: Timestamp = record["started"].as_str().unwrap().parse().unwrap();
    match record["baseline"]["after_seconds"].as_f64() {
        Some(seconds) => started + Duration::from_secs_f64(seconds),
        None => Timestamp::MIN,
    }
}

fn record_of(folder: &Path) -> Value {
    let file = folder.join("run.json");
    let words = || fs::read_to_string(folder.with_file_name("stderr")).unwrap_or_default();
    let json =
        fs::read(&file).unwrap_or_else(|error| panic!("{}: {error}: {}", file.display(), words()));
    serde_json::from_slice(&json).unwrap()
}
