//! Runs the workloads under every peer that is installed, in turns, and prints tables of ratios to
//! bare. See docs/benchmarks.md.

use std::process::ExitCode;

use bench::peers::{Peer, Runs};
use bench::rounds::{self, Rounds, Workload};
use bench::{echo_server, machine, python, roots, table};
use clap::Parser;

/// Measures what recording costs, beside its peers.
#[derive(Parser)]
struct Arguments {
    /// Interleaved rounds.
    #[arg(long, default_value_t = 7)]
    rounds: usize,
    /// Rounds of the peers that are tens of times slower.
    #[arg(long, default_value_t = 3)]
    slow_rounds: usize,
    /// Only the workloads whose title contains this.
    #[arg(long, default_value = "")]
    only: String,
}

const WORKLOADS: [Workload; 7] = [
    Workload {
        title: "(a) handshakes in memory, vendored OpenSSL",
        runs: Runs::Workload(&["handshakes", "--openssl=vendored"]),
        count: 600,
    },
    Workload {
        title: "(a) handshakes in memory, distribution's OpenSSL",
        runs: Runs::Workload(&["handshakes", "--openssl=distribution"]),
        count: 600,
    },
    Workload { title: "(a) handshakes in memory, from Python", runs: Runs::Python, count: 600 },
    Workload {
        title: "(b) handshakes on two threads, vendored OpenSSL",
        runs: Runs::Workload(&["handshakes", "--openssl=vendored", "--threads=2"]),
        count: 600,
    },
    Workload {
        title: "(b) handshakes on two threads, distribution's OpenSSL",
        runs: Runs::Workload(&["handshakes", "--openssl=distribution", "--threads=2"]),
        count: 600,
    },
    Workload {
        title: "(e) Mozilla's roots into a store, vendored OpenSSL",
        runs: Runs::Workload(&["roots", "--openssl=vendored"]),
        count: 20,
    },
    Workload {
        title: "(e) Mozilla's roots into a store, distribution's OpenSSL",
        runs: Runs::Workload(&["roots", "--openssl=distribution"]),
        count: 20,
    },
];

const SERVER: &str = "(c) the echo server's processor time for a full handshake, TLS 1.2";

fn main() -> ExitCode {
    match measure(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::from(3)
        }
    }
}

fn measure(arguments: &Arguments) -> Result<(), String> {
    println!("{}", machine::lines());
    let (mut installed, mut missing) = (Vec::new(), Vec::new());
    for peer in Peer::ALL {
        match peer.missing() {
            None => installed.push(peer),
            Some(what) => missing.push(format!("{}: {what}", peer.name())),
        }
    }
    for line in missing {
        println!("missing: {line}");
    }
    let rounds = Rounds { near: arguments.rounds, slow: arguments.slow_rounds };
    for workload in WORKLOADS.into_iter().filter(|it| it.title.contains(&arguments.only)) {
        if let Some(missing) = missing_for(workload.runs) {
            println!("missing for {}: {missing}", workload.title);
            continue;
        }
        let peers: Vec<Peer> =
            installed.iter().copied().filter(|peer| peer.can_run(workload.runs)).collect();
        let found = rounds::run(workload, &peers, rounds)?;
        let version = found.first().map(|bare| bare.version.clone()).unwrap_or_default();
        let title = format!("{} ({version})", workload.title);
        println!("{}", table::table(&title, &peers, &found));
    }
    if SERVER.contains(&arguments.only) {
        server(arguments.rounds)?;
    }
    Ok(())
}

/// What the work itself needs that is not there.
fn missing_for(runs: Runs) -> Option<String> {
    match runs {
        Runs::Workload(["roots", ..]) if !roots::are_installed() => {
            Some(format!("{:?} (Debian: ca-certificates)", roots::FILE))
        }
        Runs::Python if !python::is_installed() => {
            Some(format!("{} with its module ssl (Debian: python3)", python::INTERPRETER))
        }
        _ => None,
    }
}

/// The ways to record the server.
const OF_SERVER: [Peer; 3] = [Peer::Linked, Peer::Preloaded, Peer::Sampled { every: 65_536 }];

/// The server is multi-threaded and links its OpenSSL: recorded by all ways, and no peer.
fn server(rounds: usize) -> Result<(), String> {
    if !echo_server::is_built() {
        println!("missing: the program tlsheap beside this one: cargo build --release -p tlsheap");
        return Ok(());
    }
    let mut ratios = OF_SERVER.map(|_| Vec::new());
    let mut bare_times = Vec::new();
    for round in 0..rounds {
        eprintln!("{SERVER}: round {}", round + 1);
        let bare = echo_server::microseconds(Peer::Bare, 2)?;
        bare_times.push(bare);
        for (peer, ratios) in OF_SERVER.into_iter().zip(&mut ratios) {
            ratios.push(echo_server::microseconds(peer, 2)? / bare);
        }
    }
    println!("\n{SERVER}: {:.0} us bare\n", table::quantile(&bare_times, 0.5));
    println!("| | over bare | rounds |\n|---|---|---|");
    for (peer, ratios) in OF_SERVER.into_iter().zip(&ratios) {
        println!("| {} | {} | {rounds} |", peer.name(), table::spread(ratios));
    }
    Ok(())
}
