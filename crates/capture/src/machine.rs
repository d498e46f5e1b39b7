//! The machine and the versions behind a figure.

use std::fs;

use serde::{Deserialize, Serialize};

/// What a figure was measured on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    /// The processor's name, as the kernel gives it.
    pub cpu: String,
    /// Processors that this process may use.
    pub cpus: usize,
    /// Memory of the machine.
    pub memory_bytes: u64,
    /// The kernel's release.
    pub kernel: String,
    /// The processor's architecture.
    pub architecture: String,
}

impl Machine {
    /// This machine. What the kernel does not say is empty or zero.
    pub fn this() -> Machine {
        let line = |path: &str, name: &str| {
            let text = fs::read_to_string(path).unwrap_or_default();
            let value = text.lines().find_map(|line| line.strip_prefix(name)?.split_once(':'));
            value.map(|(_, value)| value.trim().to_owned()).unwrap_or_default()
        };
        let memory = line("/proc/meminfo", "MemTotal");
        let kilobytes: u64 =
            memory.split_whitespace().next().and_then(|n| n.parse().ok()).unwrap_or_default();
        let uname = rustix::system::uname();
        Machine {
            cpu: line("/proc/cpuinfo", "model name"),
            cpus: std::thread::available_parallelism().map_or(0, usize::from),
            memory_bytes: kilobytes * 1024,
            kernel: uname.release().to_string_lossy().into_owned(),
            architecture: uname.machine().to_string_lossy().into_owned(),
        }
    }
}

/// The program that made a capture.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MadeBy {
    /// The program's version.
    pub version: String,
    /// The commit it was built from, where it is known.
    pub commit: Option<String>,
}

impl MadeBy {
    /// This version of tlsheap, built from this commit.
    pub fn this(commit: Option<&str>) -> MadeBy {
        let version = env!("CARGO_PKG_VERSION").to_owned();
        MadeBy { version, commit: commit.map(str::to_owned) }
    }
}
