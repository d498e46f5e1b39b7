//! Every stack recorded in Node, Python and the echo server, while clients connect to them, is the
//! compiler's unwinder's, at each of more than 100,000 allocations.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use bench::handshakes::write_identity;
use bench::oracle::Verdict;
use bench::peers::beside;
use recorder::StackSource;

const ENOUGH: u64 = 100_000;
/// Seconds of load at a time, and how many times at the most.
const ROUND: &str = "1s";
const ROUNDS: usize = 120;
const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/programs");
/// The library to preload, as it is asked for where it is missing.
const LIBRARY: &str = "liboracle.so (cargo build --release -p bench --example oracle)";
const LIBCRYPTO: &str = "libcrypto.so.3";

#[test]
fn every_stack_of_node_is_the_unwinders() {
    let Some(node) = installed("/usr/bin/node") else { return };
    judge("node", &node, &[&fixture("echo.js")], &[]);
}

#[test]
fn every_stack_of_python_is_the_unwinders() {
    let Some(python) = installed("/usr/bin/python3") else { return };
    // Its OpenSSL comes with a module, after the constructors: it is preloaded as well.
    judge("Python", &python, &[&fixture("echo_asyncio.py")], &[LIBCRYPTO]);
}

#[test]
fn every_stack_of_the_echo_server_is_the_unwinders() {
    let Some(tlsheap) = built(beside("tlsheap"), "the program tlsheap") else { return };
    judge("the echo server", &tlsheap, &["serve", "--json", "--listen=127.0.0.1:0"], &[]);
}

fn judge(name: &str, program: &Path, arguments: &[&str], preloaded: &[&str]) {
    if StackSource::best() != StackSource::UnwindTables {
        return skip("unwind tables (x86-64 and a C library since 2.35)");
    }
    let library = beside("examples/liboracle.so");
    let Some(library) = built(library, LIBRARY) else { return };
    let Some(tlsheap) = built(beside("tlsheap"), "the program tlsheap") else { return };
    let place = tempfile::tempdir().expect("a temporary folder");
    write_identity(place.path()).expect("a folder that can be written");
    let mut command = Command::new(program);
    command.args(arguments);
    if program != tlsheap {
        command.args(["certificate.pem", "key.pem"].map(|name| place.path().join(name)));
    }
    let library = library.to_str().expect("a path in UTF-8");
    command.env("LD_PRELOAD", [&[library], preloaded].concat().join(" "));
    command.env("TLSHEAP_ORACLE_FOLDER", place.path());
    let server = Server::start(command);

    let verdict = (0..ROUNDS).find_map(|_| {
        let load = Command::new(&tlsheap)
            .args(["load", &server.address, "--closed-loop", ROUND, "--workers=4"])
            .output()
            .expect("the load can be started");
        assert!(load.status.success(), "{}", String::from_utf8_lossy(&load.stderr));
        verdict_in(place.path()).filter(|verdict| verdict.compared >= ENOUGH)
    });
    let verdict = verdict.unwrap_or_else(|| {
        panic!("{name}: never {ENOUGH} allocations: {:?}", verdict_in(place.path()))
    });
    println!("{name}: {}", verdict.describe());
    assert_eq!(verdict.contradictions, 0, "{name}: {:#?}", verdict.examples);
    assert_eq!(verdict.without_site, 0, "{name}");
}

fn verdict_in(place: &Path) -> Option<Verdict> {
    serde_json::from_slice(&fs::read(place.join("verdict.json")).ok()?).ok()
}

/// A server; killed when dropped.
struct Server {
    child: Child,
    address: String,
}

impl Server {
    fn start(mut command: Command) -> Server {
        let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
        let child = child.expect("the server can be started");
        let mut server = Server { child, address: String::new() };
        let output = server.child.stdout.take().expect("its output is piped");
        let mut lines = BufReader::new(output).lines().map_while(Result::ok);
        server.address = lines.find_map(|line| address(&line)).expect("it says where it listens");
        // Whatever else it says has to go somewhere.
        std::thread::spawn(move || lines.for_each(drop));
        server
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `ready PORT`, as the small servers say it, or the echo server's JSON.
fn address(line: &str) -> Option<String> {
    if let Some(port) = line.strip_prefix("ready ") {
        return Some(format!("127.0.0.1:{port}"));
    }
    let event: serde_json::Value = serde_json::from_str(line).ok()?;
    event["address"].as_str().map(str::to_owned)
}

fn fixture(name: &str) -> String {
    format!("{FIXTURES}/{name}")
}

fn installed(path: &str) -> Option<PathBuf> {
    built(Some(PathBuf::from(path)).filter(|path| path.exists()), path)
}

fn built(path: Option<PathBuf>, what: &str) -> Option<PathBuf> {
    if path.is_none() {
        skip(what);
    }
    path
}

/// Where everything is installed that the tests need, nothing may be skipped.
fn skip(what: &str) {
    assert!(std::env::var_os("CI").is_none(), "missing: {what}");
    println!("skipped: {what}");
}
