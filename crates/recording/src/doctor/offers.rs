//! What this machine offers for recording.

use std::fs;

use capture::machine::Machine;
use finder::Elf;
use rustix::process::{Resource, getrlimit};
use serde::Serialize;

use crate::Place;

/// What `tlsheap doctor --json` prints.
#[derive(Debug, Serialize)]
pub struct Offers {
    /// The version of this shape.
    pub schema: u32,
    /// The folder in which recordings have the library to preload; `null` when none is fit.
    pub library: Option<String>,
    /// Why none is.
    pub library_missing: Option<String>,
    /// The folder that TMPDIR names and why it is not fit; `null` when it is, or names none.
    pub tmpdir_refused: Option<String>,
    /// The C library's version; `null` when it does not say it.
    pub c_library: Option<String>,
    /// How stacks are read: `unwind-tables` or `frame-pointers`.
    pub stacks: &'static str,
    /// The kernel's release.
    pub kernel: String,
    /// The processor's architecture.
    pub architecture: String,
    /// OpenSSLs without symbols can be found by their code on this processor.
    pub reads_code: bool,
    /// Processes of other users can be looked into.
    pub other_users: bool,
    /// Files that a process may have open; `null` for any number.
    pub open_files: Option<u64>,
    /// Up to what limit it may raise that itself.
    pub most_open_files: Option<u64>,
    /// The folder for maps of code that programs make while they run, `perf-PID.map`, is there.
    pub perf_maps: bool,
}

const PERF_MAPS: &str = "/tmp";

impl Offers {
    /// Looks at this machine.
    pub fn of_this_machine() -> Offers {
        let (library, library_missing) = match Place::parent() {
            Ok(path) => (Some(path.display().to_string()), None),
            Err(error) => (None, Some(error.to_string())),
        };
        let libc = c_library();
        let machine = Machine::this();
        let files = getrlimit(Resource::Nofile);
        Offers {
            schema: 1,
            library,
            library_missing,
            tmpdir_refused: Place::refused(),
            c_library: libc.as_deref().and_then(version),
            stacks: match libc.as_deref().map(has_fast_lookup) {
                Some(true) => "unwind-tables",
                _ => "frame-pointers",
            },
            kernel: machine.kernel,
            reads_code: machine.architecture == "x86_64",
            architecture: machine.architecture,
            other_users: rustix::process::geteuid().is_root(),
            open_files: files.current,
            most_open_files: files.maximum,
            perf_maps: fs::metadata(PERF_MAPS).is_ok_and(|data| data.is_dir()),
        }
    }
}

/// The C library of this process.
fn c_library() -> Option<Vec<u8>> {
    let maps = fs::read_to_string("/proc/self/maps").ok()?;
    let name = |word: &&str| word.ends_with("/libc.so.6");
    fs::read(maps.split_whitespace().find(name)?).ok()
}

/// The number in `GNU C Library (…) stable release version 2.36.`
fn version(libc: &[u8]) -> Option<String> {
    const BEFORE: &[u8] = b"release version ";
    let at = libc.windows(BEFORE.len()).position(|window| window == BEFORE)? + BEFORE.len();
    let text: String = libc[at..]
        .iter()
        .map(|byte| char::from(*byte))
        .take_while(|c| c.is_ascii_digit() || *c == '.')
        .collect();
    Some(text.trim_end_matches('.').to_owned())
}

/// Whether a C library has the function through which unwind tables are found without a lock.
fn has_fast_lookup(libc: &[u8]) -> bool {
    Elf::parse(libc).is_ok_and(|elf| elf.exports("_dl_find_object"))
}
