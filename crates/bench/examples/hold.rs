//! Opens TLS connections in memory and keeps them, both ends in this process and without sockets,
//! with the recorder in its OpenSSL: more connections than a process can have descriptors. Says
//! what they took as one line of JSON, and leaves the ledger for `tlsheap top` and `flame`.

use std::error::Error;
use std::fs;
use std::io::IsTerminal;
use std::path::PathBuf;
use std::time::Instant;

use bench::handshakes::{Handshakes, write_identity};
use bench::hooks;
use bench::openssl::Openssl;
use clap::Parser;
use ledger::Snapshot;
use recorder::StackSource;
use serde::Serialize;

/// How often a connection more is worth a word.
const PROGRESS: usize = 5_000;

/// Opens connections in memory, and keeps them.
#[derive(Parser)]
struct Arguments {
    /// How many.
    connections: usize,
    /// The ledger to make.
    ledger: PathBuf,
}

/// What they took.
#[derive(Serialize)]
struct Held {
    openssl: String,
    connections: usize,
    seconds: f64,
    inuse_bytes: u64,
    inuse_blocks: u64,
    sites: u64,
    untracked_blocks: u64,
    dropped_blocks: u64,
    /// The recorder's tables and its ledger, as far as they are resident.
    recorder_bytes: u64,
    recorder_bytes_per_live_block: f64,
    resident_bytes: u64,
}

fn main() -> Result<(), Box<dyn Error>> {
    let Arguments { connections, ledger } = Arguments::parse();
    let folder = tempfile::tempdir()?;
    write_identity(folder.path())?;
    let openssl = Openssl::vendored();
    hooks::recorder(StackSource::FramePointers, &ledger)?.put_into(&openssl)?;

    let handshakes = Handshakes::new(openssl, folder.path());
    let started = Instant::now();
    let mut held = Vec::with_capacity(connections);
    for number in 1..=connections {
        let mut connection = handshakes.connect();
        while connection.go_on() {}
        held.push(connection);
        if number % PROGRESS == 0 && std::io::stderr().is_terminal() {
            eprintln!("{number} of {connections} connections");
        }
    }
    let seconds = started.elapsed().as_secs_f64();

    let snapshot = Snapshot::read_file(&ledger)?;
    let (totals, statistics) = (snapshot.totals(), snapshot.statistics);
    let recorder_bytes = resident_of(&snapshot, &ledger.display().to_string())?;
    let answer = Held {
        openssl: openssl.version(),
        connections: held.len(),
        seconds,
        inuse_bytes: totals.inuse_bytes,
        inuse_blocks: totals.inuse_blocks,
        sites: statistics.sites,
        untracked_blocks: statistics.untracked_blocks,
        dropped_blocks: statistics.dropped.alloc_blocks,
        recorder_bytes,
        recorder_bytes_per_live_block: recorder_bytes as f64 / totals.inuse_blocks as f64,
        resident_bytes: resident_of_all()?,
    };
    println!("{}", serde_json::to_string(&answer)?);
    // The ledger is to show them as they are; taking them down one by one would be of no use.
    std::mem::forget(held);
    std::process::exit(0)
}

/// The resident bytes of the ledger and of the recorder's tables. A table may share an area of
/// the map with others, which then counts as far as the table reaches.
fn resident_of(snapshot: &Snapshot, ledger: &str) -> Result<u64, Box<dyn Error>> {
    let mut sum = 0;
    let mut area = None;
    for line in fs::read_to_string("/proc/self/smaps")?.lines() {
        if let Some(range) = range_of(line) {
            let tables = snapshot
                .tables
                .iter()
                .map(|table| table.end.min(range.1).saturating_sub(table.start.max(range.0)));
            let share = if line.ends_with(ledger) {
                1.0
            } else {
                tables.sum::<u64>() as f64 / (range.1 - range.0) as f64
            };
            area = Some(share);
        } else if let Some((share, resident)) = area.zip(line.strip_prefix("Rss:")) {
            let kilobytes: u64 = resident.trim().trim_end_matches(" kB").parse()?;
            sum += (share * (kilobytes * 1024) as f64) as u64;
        }
    }
    Ok(sum)
}

/// The addresses at the beginning of an area's first line.
fn range_of(line: &str) -> Option<(u64, u64)> {
    let (start, end) = line.split_once(' ')?.0.split_once('-')?;
    Some((u64::from_str_radix(start, 16).ok()?, u64::from_str_radix(end, 16).ok()?))
}

fn resident_of_all() -> Result<u64, Box<dyn Error>> {
    let text = fs::read_to_string("/proc/self/statm")?;
    let pages: u64 = text.split(' ').nth(1).ok_or("no resident pages in statm")?.parse()?;
    Ok(pages * 4096)
}
