//! Workload (a) once more, driven from Python: what a profiler of Python programs is compared on.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::handshakes;

/// The Python that the distribution's OpenSSL belongs to.
pub const INTERPRETER: &str = "/usr/bin/python3";

const SCRIPT: &str = include_str!("python/handshakes.py");

/// Whether Debian's Python is there, with its module for TLS.
pub fn is_installed() -> bool {
    let import = Command::new(INTERPRETER).args(["-c", "import ssl"]).output();
    import.is_ok_and(|output| output.status.success())
}

/// Writes the script, and the identity that it needs, into `folder`, and returns its path.
pub fn write_script(folder: &Path) -> io::Result<PathBuf> {
    handshakes::write_identity(folder)?;
    let script = folder.join("handshakes.py");
    std::fs::write(&script, SCRIPT)?;
    Ok(script)
}
