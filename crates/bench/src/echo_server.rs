//! Workload (c): the reference server under a closed loop of full handshakes; what is measured is
//! the server's processor time for each.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::peers::{Peer, beside};

/// The server's configuration: nothing unusual, TLS 1.2.
const CONFIGURATION: &str = "no-compression";

/// Ends the server however the measurement ends.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The program is there.
pub fn is_built() -> bool {
    beside("tlsheap").is_some()
}

/// Microseconds of the server's processor time for each handshake.
pub fn microseconds(peer: Peer, seconds: u32) -> Result<f64, String> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let program = beside("tlsheap").ok_or("no program `tlsheap` beside this one")?;
    let mut command = peer.command(&program, folder.path());
    command.args(["serve", "--json", "--listen=127.0.0.1:0"]);
    command.arg(format!("--config={CONFIGURATION}"));
    if peer == Peer::Linked {
        command.arg("--ledger").arg(folder.path().join("ledger"));
    }
    // The server ends with its standard input.
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut server = Running(command.spawn().map_err(|error| error.to_string())?);
    let lines = BufReader::new(server.0.stdout.take().ok_or("no output of the server")?).lines();
    let mut addresses = lines.map_while(Result::ok).filter_map(|line| {
        let event: serde_json::Value = serde_json::from_str(&line).ok()?;
        event.get("address")?.as_str().map(str::to_owned)
    });
    let address = addresses.next().ok_or("the server does not say where it listens")?;
    handshakes(&program, &address, 1)?;
    let before = processor_ticks(server.0.id()).ok_or("the server has ended")?;
    let handshakes = handshakes(&program, &address, seconds)?;
    let after = processor_ticks(server.0.id()).ok_or("the server has ended")?;
    // SAFETY: asks for a constant of the system.
    let ticks = unsafe { libc::sysconf(libc::_SC_CLK_TCK) } as f64;
    Ok((after - before) / ticks * 1e6 / handshakes)
}

/// How many handshakes a closed loop did.
fn handshakes(program: &Path, address: &str, seconds: u32) -> Result<f64, String> {
    let output = Command::new(program)
        .args(["load", address, "--json", "--tls=1.2"])
        .arg(format!("--closed-loop={seconds}s"))
        .stdin(Stdio::null())
        .output()
        .map_err(|error| error.to_string())?;
    let text = String::from_utf8_lossy(&output.stdout);
    let mut reports = text.lines().rev().filter_map(|line| {
        let event: serde_json::Value = serde_json::from_str(line).ok()?;
        event["report"]["handshakes"].as_f64().or(event["handshakes"].as_f64())
    });
    reports.next().filter(|count| *count > 0.0).ok_or_else(|| "the load failed".to_owned())
}

/// Processor time of a process in clock ticks, of the kernel's and its own.
fn processor_ticks(pid: u32) -> Option<f64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name may hold anything, and ends with the last parenthesis.
    let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
    Some(fields.get(11)?.parse::<f64>().ok()? + fields.get(12)?.parse::<f64>().ok()?)
}
