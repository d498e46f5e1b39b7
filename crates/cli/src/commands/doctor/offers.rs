//! What this machine offers for recording.

use std::fmt::{self, Display, Formatter};
use std::fs;

use finder::Elf;
use rustix::process::{Resource, getrlimit};
use serde::Serialize;

use crate::commands::record::place::Place;
use crate::failure::Failure;
use crate::machine::Machine;
use crate::output::wrapped;

/// What `tlsheap doctor --json` prints.
#[derive(Debug, Serialize)]
pub struct Offers {
    schema: u32,
    /// The folder in which recordings have the library to preload; `null` when none is fit.
    library: Option<String>,
    /// Why none is.
    library_missing: Option<String>,
    /// The C library's version; `null` when it does not say it.
    c_library: Option<String>,
    /// How stacks are read: `unwind-tables` or `frame-pointers`.
    stacks: &'static str,
    /// The kernel's release.
    kernel: String,
    /// The processor's architecture.
    architecture: String,
    /// OpenSSLs without symbols can be found by their code on this processor.
    reads_code: bool,
    /// Processes of other users can be looked into.
    other_users: bool,
    /// Files that a process may have open; `null` for any number.
    open_files: Option<u64>,
    /// Up to what limit it may raise that itself.
    most_open_files: Option<u64>,
    /// The folder for maps of code that programs make while they run, `perf-PID.map`, is there.
    perf_maps: bool,
}

const PERF_MAPS: &str = "/tmp";

impl Offers {
    /// Looks at this machine.
    pub fn of_this_machine() -> Offers {
        let (library, library_missing) = match Place::parent() {
            Ok(path) => (Some(path.display().to_string()), None),
            Err(Failure::Use(error)) => (None, Some(error.to_string())),
            Err(_) => (None, None),
        };
        let libc = c_library();
        let machine = Machine::this();
        let files = getrlimit(Resource::Nofile);
        Offers {
            schema: 1,
            library,
            library_missing,
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

/// It has the function through which unwind tables are found without a lock.
fn has_fast_lookup(libc: &[u8]) -> bool {
    Elf::parse(libc).is_ok_and(|elf| elf.exports("_dl_find_object"))
}

impl Display for Offers {
    fn fmt(&self, f: &mut Formatter) -> fmt::Result {
        let limit = |limit: Option<u64>| limit.map_or("any number".to_owned(), |n| n.to_string());
        let mut say = |name: &str, text: &str| {
            let text = wrapped(text, 18);
            writeln!(f, "{name:<16}  {}", text.trim_start())
        };
        match (&self.library, &self.library_missing) {
            (Some(path), _) => {
                say("library", &format!("comes with tlsheap, and is put into {path}"))?;
            }
            (None, Some(why)) => say("library", &format!("has no place: {why}"))?,
            (None, None) => say("library", "has no place")?,
        }
        let version = self.c_library.as_deref().unwrap_or("of unknown version");
        say("C library", &format!("GNU {version}"))?;
        say(
            "stacks",
            match self.stacks {
                "unwind-tables" => "read through unwind tables: programs need no frame pointers",
                _ => {
                    "read through frame pointers: this C library has no _dl_find_object (it came \
                     with 2.35), and programs built without frame pointers have short stacks"
                }
            },
        )?;
        say("machine", &format!("{}, Linux {}", self.architecture, self.kernel))?;
        say(
            "without symbols",
            if self.reads_code {
                "OpenSSL is found by its code in programs that were stripped"
            } else {
                "OpenSSL is found by its symbols only: on this processor its code is not read"
            },
        )?;
        say(
            "made code",
            if self.perf_maps {
                "programs can name it in /tmp/perf-PID.map (Node: --perf-basic-prof)"
            } else {
                "has no names: there is no /tmp for perf-PID.map"
            },
        )?;
        say(
            "processes",
            if self.other_users {
                "of every user can be looked into"
            } else {
                "of this user can be looked into; set-user-ID programs are not recorded"
            },
        )?;
        let (now, most) = (limit(self.open_files), limit(self.most_open_files));
        say("open files", &format!("{now} for each process, which may raise that to {most}"))
    }
}
