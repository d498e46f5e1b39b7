//! Runs of all peers, in turns.

use std::io;
use std::path::Path;
use std::process::Stdio;

use crate::peers::{Pace, Peer, Runs, beside};
use crate::python;
use crate::took::Each;

/// A workload, and how it is run.
#[derive(Clone, Copy, Debug)]
pub struct Workload {
    /// What tables call it.
    pub title: &'static str,
    /// What does the work.
    pub runs: Runs,
    /// How often a bare run does the work.
    pub count: u32,
}

/// What a peer took, beside bare runs of the same rounds.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// Processor time over that of the bare run.
    pub processor: Vec<f64>,
    /// Wall time over that of the bare run.
    pub wall: Vec<f64>,
    /// Microseconds of processor time each time.
    pub microseconds: Vec<f64>,
    /// The most resident memory of a run, in KiB.
    pub peak_kib: u64,
    /// Bytes that a run has left in files.
    pub output_bytes: u64,
    /// Which OpenSSL.
    pub version: String,
}

/// Rounds of each pace.
#[derive(Clone, Copy, Debug)]
pub struct Rounds {
    /// Of those that are near.
    pub near: usize,
    /// Of the others.
    pub slow: usize,
}

/// Runs each peer beside a bare run, round by round. An error names the peer that failed.
pub fn run(workload: Workload, peers: &[Peer], rounds: Rounds) -> Result<Vec<Found>, String> {
    let mut found = vec![Found::default(); peers.len()];
    for round in 0..rounds.near.max(rounds.slow) {
        eprintln!("{}: round {}", workload.title, round + 1);
        let bare = once(workload, Peer::Bare, workload.count)?.0;
        for (peer, found) in peers.iter().zip(&mut found) {
            let (rounds, count) = match peer.pace() {
                Pace::Near => (rounds.near, workload.count),
                Pace::Slow => (rounds.near, workload.count / 2),
                Pace::VerySlow => (rounds.slow, workload.count / 10),
            };
            if round >= rounds {
                continue;
            }
            let (each, output_bytes) = if *peer == Peer::Bare {
                (once(workload, Peer::Bare, count)?.0, 0)
            } else {
                once(workload, *peer, count.max(1))?
            };
            found.processor.push(each.processor_us / bare.processor_us);
            found.wall.push(each.wall_us / bare.wall_us);
            found.microseconds.push(each.processor_us);
            found.peak_kib = found.peak_kib.max(each.peak_kib);
            found.output_bytes = found.output_bytes.max(output_bytes);
            found.version = each.version;
        }
    }
    Ok(found)
}

fn once(workload: Workload, peer: Peer, count: u32) -> Result<(Each, u64), String> {
    let failed = |why: String| format!("{} under {}: {why}", workload.title, peer.name());
    let temporary = || tempfile::tempdir().map_err(|error| failed(error.to_string()));
    let (folder, inputs) = (temporary()?, temporary()?);
    let mut command = match workload.runs {
        Runs::Workload(arguments) => {
            let program = beside("workload")
                .ok_or_else(|| failed("no program `workload` beside this one".to_owned()))?;
            let mut command = peer.command(&program, folder.path());
            command
                .args(arguments)
                .arg(format!("--hooks={}", peer.hooks()))
                .arg(format!("--count={count}"));
            if peer == Peer::Linked {
                command.arg("--folder").arg(folder.path());
            }
            command
        }
        Runs::Python => {
            let inputs = inputs.path();
            let script = python::write_script(inputs).map_err(|error| failed(error.to_string()))?;
            let mut command = peer.command(Path::new(python::INTERPRETER), folder.path());
            command.arg(script).arg(inputs).arg(count.to_string());
            command
        }
    };
    command.stdin(Stdio::null()).stderr(Stdio::piped());
    let output = command.output().map_err(|error| failed(error.to_string()))?;
    let text = String::from_utf8_lossy(&output.stdout);
    // Some tools talk on standard output.
    let line = text.lines().find(|line| line.starts_with('{'));
    let each = line.and_then(|line| serde_json::from_str(line).ok()).ok_or_else(|| {
        let error = String::from_utf8_lossy(&output.stderr);
        failed(error.lines().last().unwrap_or("it printed nothing").to_owned())
    })?;
    let bytes = bytes_in(folder.path()).map_err(|error| failed(error.to_string()))?;
    Ok((each, bytes))
}

/// Bytes on the disk of the files in a folder: a ledger has holes.
fn bytes_in(folder: &Path) -> io::Result<u64> {
    use std::os::unix::fs::MetadataExt;
    let mut bytes = 0;
    for entry in std::fs::read_dir(folder)? {
        bytes += entry?.metadata()?.blocks() * 512;
    }
    Ok(bytes)
}
