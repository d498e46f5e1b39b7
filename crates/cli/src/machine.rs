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

/// The resident memory of a process in bytes; `None` once it is gone.
pub fn resident_bytes(pid: u32) -> Option<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/statm")).ok()?;
    let pages: u64 = text.split_whitespace().nth(1)?.parse().ok()?;
    Some(pages * rustix::param::page_size() as u64)
}

/// The commit of a figure: that of the checkout the program was built from, if it said so.
pub fn commit() -> Option<&'static str> {
    option_env!("TLSHEAP_COMMIT")
}
