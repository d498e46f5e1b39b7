//! `tlsheap record --pid` on programs under load: nobody notices, everything is put back, and what is
//! counted is exact. What cannot be attached to is refused, and unharmed.
//!
//! The long run, with stop times, is `cargo run --release -p attach --example rounds`; docs/attach.md
//! has its table.

use load as _; // for the zlib that OpenSSL calls

#[path = "programs/certificate.rs"]
mod certificate;
#[path = "programs/clients.rs"]
mod clients;
#[path = "programs/needed.rs"]
mod needed;
mod program;
#[path = "programs/server.rs"]
mod server;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use clients::{Client, Talk};
use needed::FIXTURES;
use program::{path, text, tlsheap};
use rustix::process::Signal;
use serde_json::Value;
use server::{Ready, Server, free_port};
use tempfile::TempDir;

/// Attaches and lets go so many times; the long run does it a hundred times.
const ROUNDS: usize = 4;
/// Longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// What the library is called in memory maps.
const LIBRARY: &str = "libtlsheap_attached.so";

/// One recording of a process.
struct Recorded {
    place: TempDir,
    output: Output,
}

impl Recorded {
    fn of(pid: u32, options: &[&str]) -> Recorded {
        let place = TempDir::new().unwrap();
        let (pid, folder) = (pid.to_string(), place.path().join("run"));
        let start = ["record", "--pid", &pid, "--out", path(&folder)];
        let output = tlsheap(&[&start, options].concat());
        Recorded { place, output }
    }

    /// In one line.
    fn said(&self) -> String {
        text(&self.output.stderr).split_whitespace().collect::<Vec<_>>().join(" ")
    }

    /// `run.json` of one that went well.
    fn record(&self) -> Value {
        assert!(self.output.status.success(), "{}", self.said());
        let file = self.place.path().join("run/run.json");
        serde_json::from_str(&fs::read_to_string(file).unwrap()).unwrap()
    }

    /// Why it was refused, and that this was no fault of the process's.
    fn refused(&self) -> String {
        assert_eq!(self.output.status.code(), Some(2), "{}", self.said());
        assert!(!self.place.path().join("run").exists());
        self.said()
    }
}

/// Nothing leads into the library any more: no variable of OpenSSL's, and no slot of any object's.
/// What the C library knows of it for threads that end and for forks stays, and harms nobody.
fn is_put_back(pid: u32) {
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
    let memory = fs::File::open(format!("/proc/{pid}/mem")).unwrap();
    let range = |line: &str| {
        let (start, end) = line.split_whitespace().next()?.split_once('-')?;
        let number = |text| u64::from_str_radix(text, 16).ok();
        Some((number(start)?, number(end)?))
    };
    let of_library = |line: &&str| line.contains(LIBRARY);
    let code = maps.lines().filter(of_library).find(|line| line.contains("r-xp"));
    let (low, high) = range(code.expect("the library stays")).unwrap();
    for line in maps.lines().filter(|line| !of_library(line)) {
        assert!(!line.contains(".ledger"), "{line}");
        let file = line.find('/').map_or("", |at| &line[at..]);
        let is_object = !file.is_empty() && !file.contains("/libc.so") && !file.contains("/ld-");
        // Sealed slots are read-only and have no code.
        let access = line.split_whitespace().nth(1).unwrap();
        if !is_object || !["rw-p", "r--p"].contains(&access) {
            continue;
        }
        let (start, end) = range(line).unwrap();
        let mut bytes = vec![0; (end - start) as usize];
        // What lies behind a file's end cannot be read.
        let Ok(()) = memory.read_exact_at(&mut bytes, start) else { continue };
        for (at, word) in bytes.chunks_exact(8).enumerate() {
            let word = u64::from_le_bytes(word.try_into().unwrap());
            assert!(!(low..high).contains(&word), "{:#x} of {line}", start + at as u64 * 8);
        }
    }
}

/// How many mappings the process has, of which none comes with a round.
fn mappings(pid: u32) -> usize {
    fs::read_to_string(format!("/proc/{pid}/maps")).unwrap().lines().count()
}

/// Runs `work` while clients come and go. One that is not answered as it should be fails the test.
fn under_load<T>(port: u16, talk: Talk, clients: usize, work: impl FnOnce() -> T) -> T {
    let (over, answered) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..clients {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    Client::open(port, talk).close(talk);
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        // Whatever becomes of the work, the clients end.
        let end = End(&over);
        let done = work();
        drop(end);
        assert!(answered.load(Ordering::Relaxed) > 0);
        done
    })
}

struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Attaches to the process and lets it go, some times, under load.
fn rounds(server: &Server, pid: u32, talk: Talk, clients: usize) {
    let recorded = under_load(server.port, talk, clients, || {
        let all: Vec<Value> = (0..ROUNDS)
            .map(|_| {
                let recorded = Recorded::of(pid, &["--for", "700ms"]);
                let record = recorded.record();
                let said = recorded.said();
                assert!(said.contains("what was there before is not counted"), "{said}");
                is_put_back(pid);
                record
            })
            .collect();
        all
    });
    for record in &recorded {
        let attached = &record["attached"];
        assert_eq!(attached["pid"], pid, "{record:#}");
        assert!(attached["let_go_stopped_seconds"].is_number(), "{record:#}");
        assert_eq!(record["ended"], "goes on");
        let processes = record["processes"].as_array().unwrap();
        // Those that it has forked may have ended before.
        let own = processes.iter().filter(|process| process["pid"] == pid);
        for openssl in own.flat_map(|it| it["openssls"].as_array().unwrap()) {
            assert_eq!(openssl["outcome"], "detached", "{record:#}");
        }
    }
    let counted = |record: &Value| record["openssl"]["alloc_blocks"].as_u64().unwrap();
    assert!(recorded.iter().any(|record| counted(record) > 0), "{recorded:#?}");
    // The last answers are as the first.
    Client::open(server.port, talk).close(talk);
    assert!(Path::new(&format!("/proc/{pid}")).exists());
}

/// The children of a process; the first one that is there.
fn child(pid: u32) -> u32 {
    wait_for(|| {
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).ok()?;
        children.split_whitespace().next()?.parse().ok()
    })
}

fn wait_for<T>(mut look: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(began.elapsed() < PATIENCE, "waited too long");
        sleep(Duration::from_millis(5));
    }
}

fn started(command: &[&str], ready: Ready, place: &Path) -> Server {
    let command: Vec<String> = command.iter().map(|word| (*word).to_owned()).collect();
    Server::start(&command, ready, place)
}

#[test]
fn openssl_s_server() {
    let Some(openssl) = needed::program("openssl") else { return };
    let place = certificate::place();
    let port = free_port();
    let listen = format!("127.0.0.1:{port}");
    let command = [&openssl, "s_server", "-quiet", "-accept", &listen];
    let files = ["-cert", "certificate.pem", "-key", "key.pem"];
    let server = started(&[&command[..], &files].concat(), Ready::Port(port), place.path());
    rounds(&server, server.pid(), Talk::Printed, 1);
    let before = mappings(server.pid());
    rounds(&server, server.pid(), Talk::Printed, 1);
    // Its heap may have grown.
    assert!(mappings(server.pid()) <= before + 4, "{before} before");
}

#[test]
fn a_worker_of_nginx_and_the_next_ones_of_its_master() {
    let Some(nginx) = needed::program("nginx") else { return };
    let place = certificate::place();
    let port = free_port();
    let settings = place.path().join("nginx.conf");
    let text = fs::read_to_string(format!("{FIXTURES}/nginx.conf")).unwrap();
    // One worker, which has all connections.
    fs::write(&settings, text.replace("worker_processes 2", "worker_processes 1")).unwrap();
    let listen = format!("listen 127.0.0.1:{port} ssl reuseport;\n");
    fs::write(place.path().join("listen.conf"), listen).unwrap();
    let folder = format!("{}/", path(place.path()));
    let command = [&nginx, "-p", &folder, "-c", path(&settings), "-g", "pid nginx.pid;"];
    let server = started(&command, Ready::Port(port), place.path());
    rounds(&server, child(server.pid()), Talk::Http, 2);

    // Workers that come after the attach are recorded from their first allocation on, and let go.
    let old = child(server.pid());
    let record = std::thread::scope(|scope| {
        let recording = scope.spawn(|| Recorded::of(server.pid(), &["--for", "4s"]).record());
        wait_for(|| has_library(server.pid()).then_some(()));
        server.signal(Signal::HUP);
        wait_for(|| (!Path::new(&format!("/proc/{old}")).exists()).then_some(()));
        for _ in 0..5 {
            Client::open(port, Talk::Http).close(Talk::Http);
        }
        recording.join().unwrap()
    });
    let new = child(server.pid());
    let of_worker = |process: &&Value| process["pid"] == new;
    let processes = record["processes"].as_array().unwrap();
    let worker = processes.iter().find(of_worker).unwrap_or_else(|| panic!("{new}: {record:#}"));
    assert_eq!(worker["forked_from"], server.pid(), "{record:#}");
    assert!(worker["openssl"]["alloc_blocks"].as_u64() > Some(100), "{record:#}");
    is_put_back(server.pid());
    is_put_back(new);
    Client::open(port, Talk::Http).close(Talk::Http);
}

#[test]
fn haproxy() {
    let Some(haproxy) = needed::program("haproxy") else { return };
    let place = certificate::place();
    let port = free_port();
    let file = |name: &str| place.path().join(name);
    let both = ["certificate.pem", "key.pem"].map(|name| fs::read_to_string(file(name)).unwrap());
    fs::write(file("both.pem"), both.concat()).unwrap();
    let bind = format!("frontend answering\n    bind 127.0.0.1:{port} ssl crt both.pem\n");
    fs::write(file("listen.cfg"), bind).unwrap();
    let settings = format!("{FIXTURES}/haproxy.cfg");
    let command = [&haproxy, "-W", "-f", &settings, "-f", "listen.cfg"];
    let server = started(&command, Ready::Port(port), place.path());
    rounds(&server, child(server.pid()), Talk::Http, 2);
}

#[test]
fn python_asyncio() {
    let Some(python) = needed::program("python3") else { return };
    let place = certificate::place();
    let file = format!("{FIXTURES}/echo_asyncio.py");
    let command = [&python, &file, "certificate.pem", "key.pem"];
    let server = started(&command, Ready::Line("ready"), place.path());
    rounds(&server, server.pid(), Talk::Echo, 2);
}

#[test]
fn node() {
    let Some(node) = needed::program("node") else { return };
    let place = certificate::place();
    let file = format!("{FIXTURES}/echo.js");
    let command = [&node, &file, "certificate.pem", "key.pem"];
    let server = started(&command, Ready::Line("ready"), place.path());
    rounds(&server, server.pid(), Talk::Echo, 2);
}

#[test]
fn redis() {
    let Some(redis) = needed::program("redis-server") else { return };
    let place = certificate::place();
    let port = free_port();
    let (settings, listen) = (format!("{FIXTURES}/redis.conf"), port.to_string());
    let tls = ["--tls-cert-file", "certificate.pem", "--tls-key-file", "key.pem"];
    let command = [&[&redis[..], &settings, "--tls-port", &listen], &tls[..]].concat();
    let server = started(&command, Ready::Port(port), place.path());
    rounds(&server, server.pid(), Talk::Redis, 2);
}

#[test]
fn postgresql_whose_next_backends_are_recorded_too() {
    let Some(programs) = needed::postgresql() else { return };
    let place = certificate::place();
    let port = free_port();
    let folder = path(place.path()).to_owned();
    let data = format!("{folder}/data");
    let mut as_user = Vec::new();
    if rustix::process::geteuid().is_root() {
        as_user = vec!["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"];
        succeed(&["chown", "-R", "postgres:", &folder]);
    }
    let initdb = programs.join("initdb");
    let made = [path(&initdb), "-A", "trust", "-U", "postgres", "-N", &data];
    succeed(&[&as_user[..], &made].concat());
    let postgres = programs.join("postgres");
    let settings = [
        format!("config_file={FIXTURES}/postgresql.conf"),
        format!("port={port}"),
        format!("ssl_cert_file={folder}/certificate.pem"),
        format!("ssl_key_file={folder}/key.pem"),
    ];
    let mut command = [&as_user[..], &[path(&postgres), "-D", &data]].concat();
    for setting in &settings {
        command.extend(["-c", setting]);
    }
    let ready = Ready::Said("ready to accept connections", port);
    let server = started(&command, ready, place.path());
    rounds(&server, server.pid(), Talk::Postgres, 2);
}

#[test]
fn a_program_that_is_nearly_always_in_malloc_and_in_the_loader() {
    let workshop = Workshop::new();
    let churn = workshop.build("churn", &["-pthread"], true);
    let mut churning = Asked::start(&churn, &[]);
    let pid = churning.child.id();
    for _ in 0..ROUNDS {
        let record = Recorded::of(pid, &["--for", "500ms"]).record();
        assert!(record["openssl"]["alloc_blocks"].as_u64() > Some(0), "{record:#}");
        is_put_back(pid);
    }
    program::signal(pid, Signal::TERM);
    assert_eq!(churning.child.wait().unwrap().code(), Some(0), "each block was as it was left");
}

#[test]
fn what_is_counted_is_what_the_program_counts_itself_behind_filters_too() {
    let workshop = Workshop::new();
    let counted = workshop.build("counted", &[], true);
    let filters: &[&[&str]] = &[&[], &["errno"], &["kill"]];
    for filter in filters {
        if !filter.is_empty() && !rustix::process::geteuid().is_root() {
            println!("skipped: behind a filter only root can attach");
            continue;
        }
        let mut program = Asked::start(&counted, filter);
        let pid = program.child.id();
        // Two times: the second recorder knows nothing of the first one's blocks.
        for round in 0..2 {
            let record = std::thread::scope(|scope| {
                let recording = scope.spawn(|| {
                    let recorded = Recorded::of(pid, &["--until-idle=2s"]);
                    (recorded.record(), recorded.said())
                });
                wait_for(|| is_counted(pid).then_some(()));
                program.ask("allocate 700");
                program.ask("free 300");
                program.ask("again 1000");
                // From before the attach.
                program.ask("free 450");
                let (record, said) = recording.join().unwrap();
                assert!(said.contains("1,700 allocations"), "{said}");
                record
            });
            let counts = &record["openssl"];
            assert_eq!(counts["alloc_blocks"], 1_700, "{filter:?} {round}: {record:#}");
            assert_eq!(counts["alloc_bytes"], 170_000);
            assert_eq!(counts["inuse_blocks"], 0, "{filter:?} {round}: {record:#}");
            assert_eq!(record["attached"]["earlier_blocks"], 50);
            assert_eq!(record["processes"][0]["recorder"]["foreign_frees"], 0);
            is_put_back(pid);
        }
        // By itself again, and unharmed.
        assert_eq!(program.ask("again 5"), "given 3405 held 0");
        assert!(program.ends_well());
    }
}

#[test]
fn a_tlsheap_that_is_killed_is_followed_by_the_next_and_two_at_a_time_are_refused() {
    let workshop = Workshop::new();
    let counted = workshop.build("counted", &[], true);
    let mut program = Asked::start(&counted, &[]);
    let pid = program.child.id();
    let folder = workshop.0.path().join("run");
    let mut first = Command::new(env!("CARGO_BIN_EXE_tlsheap"))
        .args(["record", "--pid", &pid.to_string(), "--out", path(&folder)])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    wait_for(|| is_counted(pid).then_some(()));
    let before = ledger(pid).unwrap();
    program.ask("allocate 10");
    let refused = Recorded::of(pid, &["--for", "0s"]).refused();
    assert!(refused.contains("is recorded by another tlsheap, in /"), "{refused}");
    first.kill().unwrap();
    first.wait().unwrap();
    // It goes on, its recorder counting.
    assert_eq!(program.ask("allocate 10"), "given 20 held 120");
    assert!(is_counted(pid));
    let doctor = text(&tlsheap(&["doctor", &pid.to_string()]).stdout);
    assert!(doctor.contains("tlsheap is attached to it"), "{doctor}");
    let record = std::thread::scope(|scope| {
        let recording = scope.spawn(|| Recorded::of(pid, &["--until-idle=2s"]).record());
        wait_for(|| (is_counted(pid) && ledger(pid) != Some(before.clone())).then_some(()));
        program.ask("allocate 30");
        recording.join().unwrap()
    });
    assert_eq!(record["openssl"]["alloc_blocks"], 30, "{record:#}");
    is_put_back(pid);
    assert!(program.ends_well());
}

#[test]
fn an_interrupt_makes_the_capture_and_lets_the_program_go() {
    let workshop = Workshop::new();
    let counted = workshop.build("counted", &[], true);
    let mut program = Asked::start(&counted, &[]);
    let pid = program.child.id();
    for signal in [Signal::INT, Signal::TERM] {
        let folder = workshop.0.path().join(format!("run-{}", signal.as_raw()));
        let mut tlsheap = Command::new(env!("CARGO_BIN_EXE_tlsheap"))
            .args(["record", "--pid", &pid.to_string(), "--out", path(&folder)])
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        wait_for(|| is_counted(pid).then_some(()));
        program.ask("allocate 10");
        program::signal(tlsheap.id(), signal);
        assert_eq!(tlsheap.wait().unwrap().code(), Some(0));
        let record = fs::read_to_string(folder.join("run.json")).unwrap();
        let record: Value = serde_json::from_str(&record).unwrap();
        assert_eq!(record["openssl"]["alloc_blocks"], 10, "{record:#}");
        is_put_back(pid);
    }
    assert!(program.ends_well());
}

#[test]
fn what_cannot_be_attached_to_is_refused_in_a_sentence_and_unharmed() {
    let workshop = Workshop::new();
    let counted = workshop.build("counted", &[], true);
    let mut program = Asked::start(&counted, &[]);
    let pid = program.child.id();
    let refused = |pid: u32, why: &str| {
        let said = Recorded::of(pid, &["--for", "0s"]).refused();
        assert!(said.contains(why), "{said}");
        let doctor = text(&tlsheap(&["doctor", &pid.to_string()]).stdout);
        let doctor = doctor.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(doctor.contains("it cannot be attached to as it runs"), "{doctor}");
    };

    let tracer = workshop.build("tracer", &[], false);
    let mut tracer = Asked::start(&tracer, &[&pid.to_string()]);
    refused(pid, &format!("is traced by process {} (tracer)", tracer.child.id()));
    assert!(tracer.ends_well());
    program::signal(pid, Signal::STOP);
    wait_for(|| state(pid).contains('T').then_some(()));
    refused(pid, "is stopped: let it go on first");
    program::signal(pid, Signal::CONT);

    let mut fixed = Asked::start(&workshop.build("waits", &["-static"], false), &[]);
    refused(fixed.child.id(), "a static program");
    assert!(fixed.ends_well());
    if let Some(musl) = workshop.of_musl() {
        let mut musl = Asked::start(&musl, &[]);
        refused(musl.child.id(), "musl as its C library");
        assert!(musl.ends_well());
    }
    // The same, and nothing to be recorded.
    let mut plain = Asked::start(&workshop.build("waits", &[], false), &[]);
    let said = Recorded::of(plain.child.id(), &["--for", "0s"]).refused_by_program();
    assert!(said.contains("was not attached to: nothing can be recorded"), "{said}");
    assert!(plain.ends_well());

    let said = Recorded::of(4_194_304, &[]).refused();
    assert!(said.contains("there is no process 4194304"), "{said}");
    assert_eq!(program.ask("allocate 1"), "given 1 held 101");
    assert!(program.ends_well());
}

#[test]
fn another_user_is_told_who_may_and_filters_and_roots_are_said() {
    if !rustix::process::geteuid().is_root() {
        println!("skipped: only root can become another user");
        return;
    }
    let workshop = Workshop::new();
    let counted = workshop.build("counted", &[], true);
    let mut program = Asked::start(&counted, &[]);
    // Where that user can reach it.
    let copy = workshop.0.path().join("tlsheap");
    fs::copy(env!("CARGO_BIN_EXE_tlsheap"), &copy).unwrap();
    fs::create_dir(workshop.0.path().join("out")).unwrap();
    succeed(&["chmod", "-R", "a+rwX", path(workshop.0.path())]);
    let as_nobody = ["--reuid=65534", "--regid=65534", "--clear-groups"];
    let attach = |pid: u32| {
        let output = Command::new("setpriv")
            .args(as_nobody)
            .args([path(&copy), "record", "--pid", &pid.to_string(), "--for", "0s"])
            .args(["--out", path(&workshop.0.path().join("out/run"))])
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(2), "{}", text(&output.stderr));
        text(&output.stderr)
    };
    let said = attach(program.child.id());
    assert!(said.contains("it is of user 0, and this is user 65534"), "{said}");
    assert!(said.contains("CAP_SYS_PTRACE"), "{said}");
    assert!(program.ends_well());

    // Behind another root directory, as HAProxy with its `chroot`.
    let mut rooted = Asked::start(&counted, &["root", path(&workshop.0.path().join("out"))]);
    let said = Recorded::of(rooted.child.id(), &["--for", "0s"]).refused();
    assert!(said.contains("has no /proc where it lives"), "{said}");
    assert_eq!(rooted.ask("allocate 3"), "given 3 held 103");
    assert!(rooted.ends_well());

    // Its own program, behind a filter that takes root to suspend.
    let mut filtered =
        Asked::spawn(Command::new("setpriv").args(as_nobody).args([path(&counted), "kill"]));
    let said = attach(filtered.child.id());
    assert!(said.contains("a system-call filter") && said.contains("CAP_SYS_ADMIN"), "{said}");
    assert_eq!(filtered.ask("allocate 3"), "given 3 held 103");
    assert!(filtered.ends_well());
}

#[test]
fn options_that_do_not_go_with_a_process_are_refused() {
    for (options, why) in [
        (&["--pid", "1", "--", "true"][..], "leave PROGRAM out"),
        (&["--pid", "1", "--heap"], "--heap begins with the program"),
        (&["--pid", "1", "--sample", "64k"], "--sample begins with the program"),
        (&["--pid", "1", "--load", "127.0.0.1:1"], "--load ends the program"),
    ] {
        let output = tlsheap(&[&["record"], options].concat());
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(why) && said.lines().count() == 1, "{said}");
    }
}

impl Recorded {
    /// Why there was nothing to do.
    fn refused_by_program(&self) -> String {
        assert_eq!(self.output.status.code(), Some(3), "{}", self.said());
        self.said()
    }
}

fn has_library(pid: u32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/maps")).is_ok_and(|maps| maps.contains(LIBRARY))
}

/// The ledger that the process has mapped.
fn ledger(pid: u32) -> Option<String> {
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).ok()?;
    let line = maps.lines().find(|line| line.ends_with(".ledger"))?;
    Some(line[line.find('/')?..].to_owned())
}

/// The process's OpenSSL calls the recorder: its ledger is mapped, and nobody traces it any more.
fn is_counted(pid: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    ledger(pid).is_some() && status.contains("TracerPid:\t0\n")
}

fn state(pid: u32) -> String {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    status.lines().find(|line| line.starts_with("State:")).unwrap_or_default().to_owned()
}

fn succeed(command: &[&str]) {
    let output = Command::new(command[0]).args(&command[1..]).output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// A folder with programs built from `fixtures/attach`.
struct Workshop(TempDir);

const SOURCES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/attach");

impl Workshop {
    fn new() -> Workshop {
        Workshop(TempDir::new().unwrap())
    }

    fn build(&self, name: &str, options: &[&str], with_openssl: bool) -> PathBuf {
        let built = self.0.path().join(format!("{name}{}", options.len()));
        let built = if options.is_empty() { self.0.path().join(name) } else { built };
        let source = format!("{SOURCES}/{name}.c");
        let library = if with_openssl { &["-l:libcrypto.so.3"][..] } else { &[] };
        let start = ["cc", "-O2", "-o", path(&built), &source];
        succeed(&[&start, options, library].concat());
        built
    }

    fn of_musl(&self) -> Option<PathBuf> {
        let compiler = needed::program("musl-gcc")?;
        let built = self.0.path().join("musl");
        succeed(&[&compiler, "-o", path(&built), &format!("{SOURCES}/waits.c")]);
        Some(built)
    }
}

/// A program that does what it is asked on its standard input.
struct Asked {
    child: Child,
    lines: std::io::Lines<BufReader<ChildStdout>>,
}

impl Asked {
    fn start(program: &Path, arguments: &[&str]) -> Asked {
        Asked::spawn(Command::new(program).args(arguments))
    }

    fn spawn(command: &mut Command) -> Asked {
        let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = piped.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let output = child.stdout.take().unwrap();
        let mut asked = Asked { child, lines: BufReader::new(output).lines() };
        assert_eq!(asked.lines.next().unwrap().unwrap(), "ready");
        asked
    }

    /// Asks, and returns the answer.
    fn ask(&mut self, line: &str) -> String {
        writeln!(self.child.stdin.as_mut().unwrap(), "{line}").unwrap();
        self.lines.next().expect("it is there").unwrap()
    }

    /// There is nothing more to ask.
    fn ends_well(&mut self) -> bool {
        drop(self.child.stdin.take());
        self.child.wait().unwrap().success()
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
