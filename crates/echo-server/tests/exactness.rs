//! The ledger is exact: in every standard configuration a heap below the recorder that counts for
//! itself agrees with it to the byte, before the first connection, at rest, and after the last.
//!
//! Each configuration is served by a process of its own, which is this program again: the recorder
//! has to come first in a process. That process says what its heap holds, over a pipe; this one
//! reads the ledger and puts the load on. `cargo test --test exactness -- NAME` checks one.

mod counting_heap;

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use std::{env, fs, io, thread};

use counting_heap::Figures;
use echo_server::configuration::{
    ClientCertificates, CompressionOffer, Protocol, SessionCache, standard_names,
};
use echo_server::{Configuration, Counters, Event, Options, Server, profiling};
use ledger::{Counts, Snapshot};
use tokio::sync::oneshot;

const CONNECTIONS: usize = 20;

/// Longer than anything here takes, so that a fault fails the test and does not hang it.
const PATIENCE: Duration = Duration::from_secs(60);

/// Set for the process that serves: the configuration, and the folder it shares with its parent.
const CONFIGURATION: &str = "TLSHEAP_TEST_CONFIGURATION";
const FOLDER: &str = "TLSHEAP_TEST_FOLDER";

fn main() {
    if let (Ok(configuration), Some(folder)) = (env::var(CONFIGURATION), env::var_os(FOLDER)) {
        serve(&configuration, &Files::in_folder(Path::new(&folder)));
        return;
    }
    let chosen = env::args().skip(1).find(|argument| !argument.starts_with('-'));
    for name in standard_names().filter(|name| chosen.as_deref().is_none_or(|it| it == *name)) {
        check(&Configuration::standard(name).unwrap());
        println!("test the ledger is exact with {name} ... ok");
    }
}

/// What both processes know by its place.
struct Files {
    ledger: PathBuf,
    client_identity: PathBuf,
}

impl Files {
    fn in_folder(folder: &Path) -> Files {
        Files { ledger: folder.join("ledger"), client_identity: folder.join("client.pem") }
    }
}

/// What OpenSSL held at one moment, by the ledger, after the heap has agreed.
struct Moment {
    snapshot: Snapshot,
    totals: Counts,
}

impl Moment {
    /// The blocks of OpenSSL's file for sessions.
    fn sessions(&self) -> Counts {
        let mut sum = Counts::default();
        for site in &self.snapshot.sites {
            if site.file.as_deref().is_some_and(|file| file.ends_with("ssl/ssl_sess.c")) {
                sum.add(&site.counts);
            }
        }
        sum
    }
}

fn check(configuration: &Configuration) {
    let name = &configuration.name;
    let folder = tempfile::tempdir().unwrap();
    let mut server = Serving::start(configuration, folder.path());

    // What OpenSSL sets up at the first handshakes, once per process and thread, and keeps: caches
    // of fetched algorithms, error queues, random generators. It is no connection's, so that the
    // baseline is taken after it, and is shown not to grow.
    let fresh = server.moment(0);
    server.load_and_close(configuration);
    let baseline = server.moment(0);

    let load = Load::start(load_options(configuration, &server));
    load.await_rest();
    let at_rest = server.moment(CONNECTIONS);
    load.close();
    let closed = server.moment(0);
    server.stop();

    assert!(at_rest.totals.inuse_bytes > closed.totals.inuse_bytes, "{name}: connections hold");

    // Sessions are what may stay: of TLS 1.3 without tickets there are two a connection, each
    // with an entry of the context's cache. The others leave none.
    let kept_by_each = match configuration.session_cache {
        SessionCache::Tickets => 0,
        SessionCache::Internal => 2,
    };
    let (before, after) = (baseline.sessions(), closed.sessions());
    let kept = after.inuse_blocks - before.inuse_blocks;
    assert_eq!(kept, kept_by_each * CONNECTIONS as u64, "{name}: sessions kept");
    let of_sessions = after.inuse_bytes - before.inuse_bytes;

    let (before, after) = (baseline.totals.inuse_bytes, closed.totals.inuse_bytes - of_sessions);
    assert!(
        before.abs_diff(after) * 50 <= before,
        "{name}: {before} bytes in use before the connections, {after} after them, without the \
         {of_sessions} of sessions"
    );
    println!(
        "{name}: {} bytes fresh, {before} before, {} at rest, {after} after, {of_sessions} of kept \
         sessions",
        fresh.totals.inuse_bytes, at_rest.totals.inuse_bytes
    );
}

fn load_options(configuration: &Configuration, server: &Serving) -> load::Options {
    let needs = configuration.client();
    let mut options = load::Options::to(server.address);
    options.connections = CONNECTIONS;
    options.patience = PATIENCE;
    options.client.protocol = match needs.protocol {
        Protocol::Tls12 => load::Protocol::Tls12,
        Protocol::Tls13 => load::Protocol::Tls13,
    };
    options.client.compression = match needs.compression {
        CompressionOffer::None => load::CompressionOffer::None,
        CompressionOffer::Zlib => load::CompressionOffer::Zlib,
    };
    if needs.client_certificates == ClientCertificates::Required {
        let pem = fs::read(&server.files.client_identity).unwrap();
        options.client.identity = Some(load::Identity::from_pem(&pem, &pem).unwrap());
    }
    options
}

/// A load that runs on a thread of its own.
struct Load {
    thread: thread::JoinHandle<load::Report>,
    closer: load::Closer,
    rest: std::sync::mpsc::Receiver<usize>,
}

impl Load {
    fn start(options: load::Options) -> Load {
        let (closer, control) = load::Control::new();
        let (sender, rest) = std::sync::mpsc::channel();
        let observer = move |event: load::Event<'_>| {
            if let load::Event::AtRest { connections } = event {
                sender.send(connections).unwrap();
            }
        };
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Runtime::new().unwrap();
            runtime.block_on(load::run(options, control, observer)).unwrap()
        });
        Load { thread, closer, rest }
    }

    fn await_rest(&self) {
        assert_eq!(self.rest.recv_timeout(PATIENCE), Ok(CONNECTIONS), "echoed connections");
    }

    fn close(self) {
        self.closer.close();
        let report = self.thread.join().unwrap();
        assert!(report.is_clean(), "{:?}", report.failures);
    }
}

/// The process that serves, as seen by its parent. It ends with its standard input.
struct Serving {
    process: Child,
    questions: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    address: SocketAddr,
    files: Files,
}

impl Serving {
    fn start(configuration: &Configuration, folder: &Path) -> Serving {
        let mut process = Command::new(env::current_exe().unwrap())
            .env(CONFIGURATION, &configuration.name)
            .env(FOLDER, folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut serving = Serving {
            questions: process.stdin.take(),
            answers: BufReader::new(process.stdout.take().unwrap()),
            process,
            address: SocketAddr::from(([0, 0, 0, 0], 0)),
            files: Files::in_folder(folder),
        };
        serving.address = serving.answer().parse().unwrap();
        serving
    }

    fn answer(&mut self) -> String {
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        assert!(line.ends_with('\n'), "the server ended before it answered: {line:?}");
        line.trim_end().to_owned()
    }

    /// Puts the load on, and takes it off again.
    fn load_and_close(&self, configuration: &Configuration) {
        let load = Load::start(load_options(configuration, self));
        load.await_rest();
        load.close();
    }

    /// What the heap holds once this many connections are open and nothing moves.
    fn figures(&mut self, open: usize) -> Figures {
        writeln!(self.questions.as_ref().unwrap(), "{open}").unwrap();
        let answer = self.answer();
        let mut numbers = answer.split(' ').map(|number| number.parse().unwrap());
        let mut next = || numbers.next().unwrap();
        Figures { blocks: next(), bytes: next(), calls: next() }
    }

    /// Reads the ledger while nothing moves, and holds it against the heap.
    fn moment(&mut self, open: usize) -> Moment {
        loop {
            let before = self.figures(open);
            let snapshot = Snapshot::read_file(&self.files.ledger).unwrap();
            if self.figures(open) != before {
                continue; // an echo in between
            }
            let totals = snapshot.totals();
            assert_eq!(
                (totals.inuse_blocks, totals.inuse_bytes),
                (before.blocks, before.bytes),
                "blocks and bytes in use by the ledger and by the heap, {open} connections open"
            );
            let statistics = &snapshot.statistics;
            assert_eq!(statistics.dropped, Counts::default());
            assert_eq!(statistics.untracked_blocks, 0);
            assert_eq!(statistics.untracked_bytes, 0);
            assert_eq!(statistics.foreign_frees, 0);
            assert_eq!(statistics.stale_blocks, 0);
            assert_eq!(statistics.nested_calls, 0);
            assert!(!statistics.hook_replaced);
            return Moment { snapshot, totals };
        }
    }

    fn stop(mut self) {
        drop(self.questions.take());
        let status = self.process.wait().unwrap();
        assert!(status.success(), "{status}");
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        // Fails only on a process that has ended and been waited for, by `stop`.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The process that serves: for each number it reads, it waits until that many connections are
/// open and nothing moves, and says what the heap holds.
fn serve(configuration: &str, files: &Files) {
    // SAFETY: the counting heap passes on to jemalloc, whose contract is C's, and calls no OpenSSL.
    unsafe {
        profiling::install_over(&profiling::options_at(&files.ledger), counting_heap::heap())
    }
    .unwrap();
    let mut options = Options::new(Configuration::standard(configuration).unwrap());
    options.listen = "127.0.0.1:0".parse().unwrap();
    let server = Server::bind(options).unwrap();
    if let Some(pem) = server.client_identity_pem() {
        fs::write(&files.client_identity, pem).unwrap();
    }
    let (address, counters) = (server.address(), server.counters());
    let (stop, stopped) = oneshot::channel::<()>();
    // Few, so that the first load reaches each of them: OpenSSL keeps something for every thread.
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let stop_requested = async {
        let _ = stopped.await;
    };
    let running = runtime.spawn(server.run(stop_requested, |_: Event<'_>| {}));
    println!("{address}");
    for line in io::stdin().lines() {
        let Figures { blocks, bytes, calls } = quiet(&counters, line.unwrap().parse().unwrap());
        profiling::check_in_place();
        println!("{blocks} {bytes} {calls}");
    }
    stop.send(()).unwrap();
    runtime.block_on(running).unwrap().unwrap();
}

/// The heap's figures at an instant at which no thread is inside the hook: every other thread
/// sleeps, and the heap was not called while they were looked at.
fn quiet(counters: &Arc<Counters>, open: usize) -> Figures {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let before = counting_heap::figures();
        if counters.open() == open && others_sleep() && counting_heap::figures() == before {
            return before;
        }
        assert!(Instant::now() < deadline, "{} open, not {open}, or busy", counters.open());
        thread::yield_now();
    }
}

fn others_sleep() -> bool {
    let own = std::process::id().to_string(); // the main thread has the process's number
    fs::read_dir("/proc/self/task").unwrap().all(|task| {
        let task = task.unwrap();
        // A thread that ended meanwhile has no file any more.
        let state = fs::read_to_string(task.path().join("stat")).unwrap_or_default();
        task.file_name() == *own || state.rsplit(')').next().unwrap().trim_start().starts_with('S')
    })
}
