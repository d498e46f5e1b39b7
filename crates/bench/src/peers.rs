//! What is compared: the recorder in its two ways, and other people's profilers.

use std::path::{Path, PathBuf};
use std::process::Command;

use contract::environment;

/// One way to run a workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// Without any profiler.
    Bare,
    /// With hooks that call malloc.
    NoOp,
    /// With the recorder linked.
    Linked,
    /// With the recorder preloaded.
    Preloaded,
    /// With the recorder preloaded, counting a part of the blocks.
    Sampled {
        /// Bytes between samples, on average.
        every: u32,
    },
    /// Under heaptrack.
    Heaptrack,
    /// With jemalloc in place of the C library's malloc.
    Jemalloc,
    /// With jemalloc and its profiler, on every allocation (2^0 bytes) or each 512 KiB (2^19).
    JemallocProfiler {
        /// Bytes between samples, on average, as a power of two.
        lg_sample: u32,
    },
    /// With gperftools' tcmalloc.
    Tcmalloc,
    /// With gperftools' tcmalloc and its heap profiler.
    TcmallocProfiler,
    /// Under valgrind's DHAT.
    Dhat,
    /// Under valgrind's massif.
    Massif,
    /// Under memray, with native stacks: only what Python runs.
    Memray,
}

/// What a peer is put to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Runs {
    /// The program `workload` of this build, with these arguments.
    Workload(&'static [&'static str]),
    /// A script in Debian's Python.
    Python,
}

/// How much slower than bare it may be: slow ones run less often and for shorter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// Like bare, more or less.
    Near,
    /// Some times slower.
    Slow,
    /// Tens of times slower.
    VerySlow,
}

const JEMALLOC: &str = "/usr/lib/x86_64-linux-gnu/libjemalloc.so.2";
const TCMALLOC: &str = "/usr/lib/x86_64-linux-gnu/libtcmalloc.so.4";
const PRELOAD: &str = "libtlsheap_preload.so";

impl Peer {
    /// All of them, bare first.
    pub const ALL: [Peer; 14] = [
        Peer::Bare,
        Peer::NoOp,
        Peer::Linked,
        Peer::Preloaded,
        Peer::Sampled { every: 65_536 },
        Peer::Heaptrack,
        Peer::Jemalloc,
        Peer::JemallocProfiler { lg_sample: 19 },
        Peer::JemallocProfiler { lg_sample: 0 },
        Peer::Tcmalloc,
        Peer::TcmallocProfiler,
        Peer::Dhat,
        Peer::Massif,
        Peer::Memray,
    ];

    /// Its name in tables.
    pub fn name(self) -> String {
        match self {
            Peer::Bare => "bare".to_owned(),
            Peer::NoOp => "no-op hooks".to_owned(),
            Peer::Linked => "recorder, linked".to_owned(),
            Peer::Preloaded => "recorder, preloaded".to_owned(),
            Peer::Sampled { every } => {
                format!("recorder, preloaded, sampled every {} KiB", every / 1024)
            }
            Peer::Heaptrack => "heaptrack".to_owned(),
            Peer::Jemalloc => "jemalloc".to_owned(),
            Peer::JemallocProfiler { lg_sample } => format!("jemalloc, prof 2^{lg_sample}"),
            Peer::Tcmalloc => "tcmalloc".to_owned(),
            Peer::TcmallocProfiler => "tcmalloc, HEAPPROFILE".to_owned(),
            Peer::Dhat => "valgrind DHAT".to_owned(),
            Peer::Massif => "valgrind massif".to_owned(),
            Peer::Memray => "memray, native".to_owned(),
        }
    }

    /// How slow it is.
    pub fn pace(self) -> Pace {
        match self {
            Peer::Heaptrack | Peer::Memray => Pace::Slow,
            Peer::JemallocProfiler { lg_sample: 0 }
            | Peer::TcmallocProfiler
            | Peer::Dhat
            | Peer::Massif => Pace::VerySlow,
            _ => Pace::Near,
        }
    }

    /// What is missing for it, in words; `None` when it can be run.
    pub fn missing(self) -> Option<String> {
        let file = |path: &str, package: &str| {
            (!Path::new(path).exists()).then(|| format!("{path} (Debian: {package})"))
        };
        let program = |name: &str| {
            let found = Command::new(name).arg("--version").output();
            found.is_err().then(|| format!("{name} ({})", package_of(name)))
        };
        match self {
            Peer::Bare | Peer::NoOp | Peer::Linked => None,
            Peer::Preloaded | Peer::Sampled { .. } => beside(PRELOAD).is_none().then(|| {
                format!("{PRELOAD} beside this program: cargo build --release -p preload")
            }),
            Peer::Heaptrack => program("heaptrack"),
            Peer::Jemalloc | Peer::JemallocProfiler { .. } => file(JEMALLOC, "libjemalloc2"),
            Peer::Tcmalloc | Peer::TcmallocProfiler => file(TCMALLOC, "libgoogle-perftools4"),
            Peer::Dhat | Peer::Massif => program("valgrind"),
            Peer::Memray => program("memray"),
        }
    }

    /// Whether it can be put to this: hooks are the workload's own.
    pub fn can_run(self, what: Runs) -> bool {
        match self {
            Peer::NoOp | Peer::Linked => matches!(what, Runs::Workload(_)),
            Peer::Memray => what == Runs::Python,
            _ => true,
        }
    }

    /// A command that runs `program` this way; what it writes goes to `folder`. The caller adds
    /// the program's arguments.
    pub fn command(self, program: &Path, folder: &Path) -> Command {
        let of = |tool: &str, arguments: &[String]| {
            let mut command = Command::new(tool);
            command.args(arguments).arg(program);
            command
        };
        let output = |name: &str| folder.join(name).display().to_string();
        let mut command = match self {
            Peer::Heaptrack => of("heaptrack", &["-o".to_owned(), output("heaptrack")]),
            Peer::Dhat => of(
                "valgrind",
                &["--tool=dhat".to_owned(), format!("--dhat-out-file={}", output("dhat"))],
            ),
            Peer::Massif => of(
                "valgrind",
                &["--tool=massif".to_owned(), format!("--massif-out-file={}", output("massif"))],
            ),
            // It brings the Python that it was installed for.
            Peer::Memray => {
                let mut command = Command::new("memray");
                command.args(["run", "--native", "--quiet", "--output"]).arg(output("memray"));
                command
            }
            _ => Command::new(program),
        };
        match self {
            Peer::Preloaded => {
                command.env("LD_PRELOAD", beside(PRELOAD).unwrap_or_default());
                command.env(environment::LEDGER_FOLDER, folder);
            }
            Peer::Sampled { every } => {
                command.env("LD_PRELOAD", beside(PRELOAD).unwrap_or_default());
                command.env(environment::LEDGER_FOLDER, folder);
                command.env(environment::SAMPLE, every.to_string());
            }
            Peer::Jemalloc => {
                command.env("LD_PRELOAD", JEMALLOC);
            }
            Peer::JemallocProfiler { lg_sample } => {
                let prefix = output("jemalloc");
                command.env("LD_PRELOAD", JEMALLOC);
                command.env(
                    "MALLOC_CONF",
                    format!(
                        "prof:true,prof_final:true,lg_prof_sample:{lg_sample},prof_prefix:{prefix}"
                    ),
                );
            }
            Peer::Tcmalloc => {
                command.env("LD_PRELOAD", TCMALLOC);
            }
            Peer::TcmallocProfiler => {
                command.env("LD_PRELOAD", TCMALLOC).env("HEAPPROFILE", output("tcmalloc"));
            }
            _ => {}
        }
        command
    }

    /// What the workload has to put into OpenSSL.
    pub fn hooks(self) -> &'static str {
        match self {
            Peer::NoOp => "no-op",
            Peer::Linked => "recorder",
            _ => "none",
        }
    }
}

/// Where a program comes from.
fn package_of(program: &str) -> String {
    match program {
        "memray" => "PyPI: pip install memray, for Debian's Python".to_owned(),
        _ => format!("Debian: {program}"),
    }
}

/// A file of this build: programs are in one folder, examples and libraries in folders below. Of
/// several, the newest: cargo leaves old ones lying.
pub fn beside(name: &str) -> Option<PathBuf> {
    let own = std::env::current_exe().ok()?;
    let folder = own.parent()?;
    let places =
        [folder.join(name), folder.join("..").join(name), folder.join("../deps").join(name)];
    let age = |path: &PathBuf| path.metadata().and_then(|data| data.modified()).ok();
    places.into_iter().filter(|path| path.is_file()).max_by_key(age)?.canonicalize().ok()
}
