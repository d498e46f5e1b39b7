//! What the account of `tlsheap record` explains of what a connection adds to a server's memory,
//! beside runs of the server that nobody recorded.
//!
//! In a test run three servers are measured, once. The table of docs/programs.md, with all of them,
//! is printed by:
//!
//! ```text
//! TLSHEAP_ACCOUNTS=all cargo test --release --test account -- --nocapture
//! ```

use load as _; // for the zlib that OpenSSL calls

#[path = "programs/certificate.rs"]
mod certificate;
#[path = "programs/clients.rs"]
mod clients;
#[path = "programs/daemons.rs"]
mod daemons;
#[path = "programs/needed.rs"]
mod needed;
mod program;
#[path = "programs/rust_server.rs"]
mod rust_server;
#[path = "programs/server.rs"]
mod server;

use std::fs;
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use clients::Talk;
use daemons::{Daemon, Root};
use program::{path, text, tlsheap_in};
use rustix::process::Signal;
use serde_json::Value;
use server::Server;

/// What asks for the table: of all servers, or of those with this in their names.
const WHICH: &str = "TLSHEAP_ACCOUNTS";

/// Connections that come and go before anything is measured, as `record --load` has them.
const WARM_UPS: usize = 50;

/// Longer than so many connections take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often it is looked whether they are there.
const STEP: Duration = Duration::from_millis(20);

/// A server, and how many connections are N.
struct Measured {
    name: &'static str,
    daemon: Option<Daemon>,
    connections: usize,
    /// What ends it.
    end: Signal,
}

impl Measured {
    fn new(name: &'static str, daemon: Option<Daemon>, connections: usize) -> Measured {
        Measured { name, daemon, connections, end: Signal::TERM }
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, serve, certificate, key, port] = &arguments[..]
        && serve == "serve"
    {
        return rust_server::serve(certificate, key, port.parse().unwrap());
    }
    if let Ok(which) = std::env::var(WHICH) {
        return print_table(&which);
    }
    for server in [
        Measured::new("asyncio", python("python3", "echo_asyncio.py"), 40),
        Measured::new("nginx", daemons::nginx(1), 400),
        Measured::new("Rust, a thread each", Some(this_one()), 100),
    ] {
        let Some(daemon) = &server.daemon else { continue };
        let bare = grown(daemon, &server);
        let growth = recorded(daemon, &server);
        let told = number(&growth, "total") * number(&growth, "explained");
        println!("{}: {told:.0} of {bare:.0} bytes told", server.name);
        assert!(told / bare > 0.95 && told / bare < 1.08, "{}: {growth:#}", server.name);
        println!("test what_the_account_tells_of_{} ... ok", server.name);
    }
}

/// The table of every server, or of those with `which` in their names.
fn print_table(which: &str) {
    const ROUNDS: usize = 3;
    println!(
        "| program | N | OpenSSL's blocks | other blocks | mappings | headers | free | stacks | \
         all | told | bare | told of bare |\n|---|---|---|---|---|---|---|---|---|---|---|---|"
    );
    let postgres =
        Measured { end: Signal::INT, ..Measured::new("PostgreSQL", daemons::postgresql(), 40) };
    for server in [
        Measured::new("asyncio", python("python3", "echo_asyncio.py"), 200),
        Measured::new("Twisted", twisted(), 200),
        Measured::new("Node", python("node", "echo.js"), 200),
        Measured::new("nginx", daemons::nginx(1), 200),
        Measured::new("HAProxy", daemons::haproxy(Root::Own), 200),
        Measured::new("Apache, event", daemons::apache(), 60),
        Measured::new("Redis", daemons::redis(), 200),
        postgres,
        Measured::new("Rust, a thread each", Some(this_one()), 200),
        Measured::new("Rust, the reference server on tokio", Some(daemons::tokio()), 200),
    ] {
        let is_wanted = which == "all" || server.name.contains(which);
        let Some(daemon) = server.daemon.as_ref().filter(|_| is_wanted) else { continue };
        let mut bare: Vec<f64> = (0..ROUNDS).map(|_| grown(daemon, &server)).collect();
        bare.sort_by(f64::total_cmp);
        let growth = recorded(daemon, &server);
        let blocks = |domain: &str| growth["blocks"][domain].as_f64().unwrap_or_default();
        let (all, explained) = (number(&growth, "total"), number(&growth, "explained"));
        println!(
            "| {} | {} | {:.0} | {:.0} | {:.0} | {:.0} | {:.0} | {:.0} | {all:.0} | {:.0} % | \
             {:.0} ({:.0}–{:.0}) | {:.0} % |",
            server.name,
            server.connections,
            blocks("openssl"),
            blocks("heap"),
            number(&growth, "mappings"),
            number(&growth, "headers"),
            number(&growth, "free"),
            number(&growth, "stacks"),
            100.0 * explained,
            bare[ROUNDS / 2],
            bare[0],
            bare[ROUNDS - 1],
            100.0 * all * explained / bare[ROUNDS / 2],
        );
    }
}

fn number(growth: &Value, key: &str) -> f64 {
    growth[key].as_f64().unwrap_or_else(|| panic!("{key}: {growth:#}"))
}

/// Bytes by which the server's own memory grows for each connection from N to 2N, unrecorded.
fn grown(daemon: &Daemon, server: &Measured) -> f64 {
    let started = daemon.start();
    let n = server.connections;
    Load::of(WARM_UPS, &started, daemon).end();
    started.come_to_rest();
    let once = Load::of(n, &started, daemon);
    let before = started.own_memory();
    let twice = Load::of(n, &started, daemon);
    let after = started.own_memory();
    once.end();
    twice.end();
    started.signal(server.end);
    started.end();
    (after as f64 - before as f64) / n as f64
}

/// Connections that stay until they are ended.
struct Load(Child);

impl Load {
    /// So many connections to a server that has others already, when the server has answered all.
    fn of(connections: usize, server: &Server, daemon: &Daemon) -> Load {
        let all = established(server.port) + connections;
        let child = Command::new(env!("CARGO_BIN_EXE_tlsheap"))
            .args(["load", "--interval", "600s", "--hold", "120s", "-n", &connections.to_string()])
            .args(["--protocol", protocol(daemon.talk), &format!("127.0.0.1:{}", server.port)])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let load = Load(child);
        let began = Instant::now();
        while established(server.port) < all {
            assert!(began.elapsed() < PATIENCE, "{all} connections");
            sleep(STEP);
        }
        server.come_to_rest();
        load
    }

    fn end(mut self) {
        program::signal(self.0.id(), Signal::TERM);
        self.0.wait().unwrap();
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        let _ = self.0.kill(); // it has ended, or its server is gone
        let _ = self.0.wait();
    }
}

/// Connections to a port of the loopback interface that are established, at the server's end.
fn established(port: u16) -> usize {
    let ends = fs::read_to_string("/proc/net/tcp").unwrap();
    let local = format!("0100007F:{port:04X}");
    let is_open = |line: &&str| {
        let mut words = line.split_whitespace().skip(1);
        words.next() == Some(&local) && words.nth(1) == Some("01")
    };
    ends.lines().filter(is_open).count()
}

/// The account of growth from N to 2N connections, of one recording.
fn recorded(daemon: &Daemon, server: &Measured) -> Value {
    let folder = daemon.place.path();
    let run = folder.join("run");
    let _ = fs::remove_dir_all(&run);
    let address = format!("127.0.0.1:{}", daemon.port().expect("it was told one"));
    let n = server.connections.to_string();
    let start = ["record", "--out", path(&run), "--load", &address, "-n", &n];
    let talk = ["--protocol", protocol(daemon.talk), "--"];
    let command: Vec<&str> = daemon.command.iter().map(String::as_str).collect();
    let output = tlsheap_in(folder, &[&start[..], &talk, &command].concat());
    let said = text(&output.stderr);
    let record = fs::read_to_string(run.join("run.json")).unwrap_or_else(|_| panic!("{said}"));
    let record: Value = serde_json::from_str(&record).unwrap();
    record.pointer("/account/growth").unwrap_or_else(|| panic!("no account: {said}")).clone()
}

fn protocol(talk: Talk) -> &'static str {
    match talk {
        Talk::Echo => "echo",
        Talk::Printed => "tls",
        Talk::Http => "http",
        Talk::Redis => "redis",
        Talk::Postgres => "postgres",
    }
}

fn python(interpreter: &str, file: &str) -> Option<Daemon> {
    Some(daemons::echo_server_at_a_port(&needed::program(interpreter)?, file))
}

fn twisted() -> Option<Daemon> {
    Some(daemons::echo_server_at_a_port(&needed::python_with_twisted()?, "echo_twisted.py"))
}

/// The server in this program.
fn this_one() -> Daemon {
    let this = std::env::current_exe().unwrap();
    daemons::at_a_port(&[path(&this), "serve", "certificate.pem", "key.pem"])
}
