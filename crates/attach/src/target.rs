//! The process, and what speaks against attaching to it: known before anything is done.

use std::ffi::CString;
use std::fs;
use std::io::{self, Read};
use std::path::PathBuf;

use contract::attach::{self, State};
use finder::Elf;

use crate::areas::Areas;
use crate::error::AttachError;
use crate::memory::Memory;
use crate::placed::Place;

/// A process that can be attached to, as it was when it was looked at.
#[derive(Debug)]
pub struct Target {
    pub(crate) pid: u32,
    pub(crate) memory: Memory,
    /// The file of its C library, and where that lies in memory.
    pub(crate) libc: (Vec<u8>, u64),
    /// Where the library lies, if it has been in the process before.
    pub(crate) library: Option<u64>,
    /// It finds `/proc` where it lives.
    pub(crate) has_proc: bool,
    /// Where the library can be put, if it has to be.
    pub(crate) place: Option<Place>,
    pub(crate) filtered: bool,
    prospect: Prospect,
}

/// What a process is ready for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prospect {
    /// It can be attached to.
    Ready,
    /// Somebody is attached to it, or was and has not let it go.
    Attached,
    /// It was attached to, and let go: the library is in it and does nothing.
    LetGo,
}

/// Capabilities, by their numbers.
const DAC_OVERRIDE: u32 = 1;
const SYS_PTRACE: u32 = 19;
const SYS_ADMIN: u32 = 21;

/// The name of the library that comes with a program from its start.
const PRELOADED: &str = "libtlsheap_preload.so";

/// As much of a mapped file is compared: headers, and what identifies a build.
const COMPARED: usize = 4096;

impl Target {
    /// Looks at the process. `library` is the file that would be put into it.
    pub fn of(pid: u32, library: &[u8]) -> Result<Target, AttachError> {
        if !cfg!(target_arch = "x86_64") {
            return Err(AttachError::Processor);
        }
        let status = Status::of(pid).ok_or(AttachError::NoProcess(pid))?;
        status.check(pid)?;
        let own = Status::own();
        let not_allowed = |error| not_allowed(pid, &status, own.as_ref(), &error);
        let memory = Memory::of(pid).map_err(not_allowed)?;
        let areas = Areas::of(pid).map_err(not_allowed)?;
        let mut beginning = [0; 20];
        let program = fs::File::open(format!("/proc/{pid}/exe")).map_err(not_allowed)?;
        let read = (&program).read_exact(&mut beginning);
        if read.is_err() || !is_for_x86_64(&beginning) {
            return Err(AttachError::OtherProcessor(pid));
        }
        let libc = c_library(pid, &areas, &memory)?;
        if areas.first_of(|name| name == PRELOADED).is_some() {
            return Err(AttachError::Preloaded(pid));
        }
        let filtered = status.number("Seccomp").is_some_and(|mode| mode != 0);
        let may_suspend = |own: &Status| {
            // The kernel lets nobody suspend a filter who lives behind one.
            own.is_capable(SYS_ADMIN) && own.number("Seccomp") == Some(0)
        };
        if filtered && !own.as_ref().is_some_and(may_suspend) {
            return Err(AttachError::Filter(pid));
        }
        let copy = areas.first_of(|name| name == attach::LIBRARY).map(|area| area.start);
        let prospect = match copy {
            None => Prospect::Ready,
            Some(base) => state(pid, base, &memory, library)?,
        };
        let has_proc = has_proc(pid);
        let place = match copy {
            None if !has_proc => Some(
                Place::of(pid, &status.numbers("Uid"))
                    .map_err(|why| AttachError::NoProc { pid, why })?,
            ),
            _ => None,
        };
        Ok(Target { pid, memory, libc, library: copy, has_proc, place, filtered, prospect })
    }

    /// What it is ready for.
    pub fn prospect(&self) -> Prospect {
        self.prospect
    }

    /// It lives behind a system-call filter, which is suspended while we are in it.
    pub fn is_filtered(&self) -> bool {
        self.filtered
    }
}

/// Whether the process finds `/proc` where it lives: its loader takes the library from there, and the
/// library reads its memory map.
fn has_proc(pid: u32) -> bool {
    let Ok(path) = CString::new(format!("/proc/{pid}/root/proc")) else { return false };
    // SAFETY: all-zero bytes are a record of numbers.
    let mut found: libc::statfs = unsafe { std::mem::zeroed() };
    // SAFETY: a C string, and a place for the answer.
    let known = unsafe { libc::statfs(path.as_ptr(), &raw mut found) } == 0;
    known && found.f_type == libc::PROC_SUPER_MAGIC
}

/// What the copy of the library at `base` is doing, if it is the same as ours.
fn state(pid: u32, base: u64, memory: &Memory, library: &[u8]) -> Result<Prospect, AttachError> {
    let other = || AttachError::OtherVersion(pid);
    let elf = Elf::parse(library).map_err(|_| other())?;
    let first = elf.first_segment().ok_or_else(other)?;
    if memory.read_some(base, first.len()) != first {
        return Err(other());
    }
    let [variable] = finder::functions(&elf, [attach::STATE]);
    let word = variable.and_then(|at| memory.word(base + at).ok()).ok_or_else(other)?;
    match State::from_word(word).ok_or_else(other)? {
        State::Preloaded => Err(AttachError::Preloaded(pid)),
        State::Recording => Ok(Prospect::Attached),
        // Loaded, and then something failed.
        State::Idle => Ok(Prospect::Ready),
        State::LetGo => Ok(Prospect::LetGo),
    }
}

/// The C library's file, and where it lies.
fn c_library(pid: u32, areas: &Areas, memory: &Memory) -> Result<(Vec<u8>, u64), AttachError> {
    let is_gnu = |name: &str| name == "libc.so.6" || name.starts_with("libc-2.");
    // musl's loader is its C library, which is linked to under several names.
    let is_other = |name: &str| {
        name == "libc.so" || name.starts_with("ld-musl") || name.starts_with("libc.musl")
    };
    if areas.first_of(is_other).is_some() {
        return Err(AttachError::OtherCLibrary { pid, which: "musl as its C library".to_owned() });
    }
    let area = areas.first_of(is_gnu).ok_or(AttachError::Static(pid))?;
    let replaced = || AttachError::Replaced(pid);
    // The very file, where this process may open it so; else the one of that name, if it is the
    // same.
    let (start, end) = (area.start, area.end);
    let mapped = PathBuf::from(format!("/proc/{pid}/map_files/{start:x}-{end:x}"));
    let named = PathBuf::from(format!("/proc/{pid}/root{}", area.path));
    let file = fs::read(mapped).or_else(|_| fs::read(named)).map_err(|_| replaced())?;
    let compared = COMPARED.min(file.len());
    if memory.read_some(start, compared) != file[..compared] {
        return Err(replaced());
    }
    Ok((file, start))
}

/// Whether an ELF file begins so that holds 64-bit code for x86-64.
fn is_for_x86_64(beginning: &[u8; 20]) -> bool {
    const WIDE: u8 = 2;
    const X86_64: [u8; 2] = [62, 0];
    beginning.starts_with(b"\x7fELF") && beginning[4] == WIDE && beginning[18..] == X86_64
}

/// Why the kernel says no; `tool` is this process's status.
fn not_allowed(pid: u32, status: &Status, tool: Option<&Status>, error: &io::Error) -> AttachError {
    if error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(libc::ESRCH) {
        return AttachError::NoProcess(pid);
    }
    // SAFETY: no argument, no effect.
    let own = unsafe { libc::geteuid() };
    let users = status.numbers("Uid");
    let lacks_but_one =
        |tool: &Status| tool.is_capable(SYS_PTRACE) && !tool.is_capable(DAC_OVERRIDE);
    let scope = fs::read_to_string("/proc/sys/kernel/yama/ptrace_scope").unwrap_or_default();
    let capability =
        "the capability CAP_SYS_PTRACE in this process's user namespace, as root has it";
    let why = match scope.trim() {
        "3" => "the kernel lets nobody trace anything until it is started anew \
                (kernel.yama.ptrace_scope is 3)"
            .to_owned(),
        scope @ ("1" | "2") if users.iter().all(|user| *user == u64::from(own)) => format!(
            "kernel.yama.ptrace_scope is {scope}, and with that it takes {capability} (or \
             sysctl kernel.yama.ptrace_scope=0)"
        ),
        // The kernel's files about a process are its user's.
        _ if users.iter().any(|user| *user != u64::from(own))
            && tool.is_some_and(lacks_but_one) =>
        {
            format!(
                "it is of user {}, and this is user {own}: it takes that user, or the capability \
                 CAP_DAC_OVERRIDE beside CAP_SYS_PTRACE, which is there",
                users.first().copied().unwrap_or_default(),
            )
        }
        _ if users.iter().all(|user| *user == u64::from(own)) => format!(
            "it is this user's, but has changed its user or its file may not be read, or it lives \
             in another user namespace: it takes {capability}"
        ),
        _ => format!(
            "it is of user {}, and this is user {own}: it takes that user, or {capability}",
            users.first().copied().unwrap_or_default(),
        ),
    };
    AttachError::NotAllowed { pid, why }
}

/// A process's status file.
struct Status(String);

impl Status {
    fn of(pid: u32) -> Option<Status> {
        fs::read(format!("/proc/{pid}/status"))
            .ok()
            .map(|text| Status(String::from_utf8_lossy(&text).into_owned()))
    }

    fn own() -> Option<Status> {
        Status::of(std::process::id())
    }

    fn check(&self, pid: u32) -> Result<(), AttachError> {
        if pid == std::process::id() {
            return Err(AttachError::Own(pid));
        }
        if let Some(process) = self.number("Tgid").filter(|process| *process != u64::from(pid)) {
            return Err(AttachError::Thread(pid, process as u32));
        }
        if self.field("State").is_some_and(|state| state.starts_with(['Z', 'X'])) {
            return Err(AttachError::Ended(pid));
        }
        if let Some(by) = self.number("TracerPid").filter(|by| *by != 0) {
            let name = fs::read_to_string(format!("/proc/{by}/comm")).unwrap_or_default();
            let (by, name) = (by as u32, name.trim().to_owned());
            return Err(AttachError::Traced { pid, by, name });
        }
        if self.field("State").is_some_and(|state| state.starts_with('T')) {
            return Err(AttachError::Stopped(pid));
        }
        if self.field("x86_Thread_features").is_some_and(|features| features.contains("shstk")) {
            return Err(AttachError::ShadowStack(pid));
        }
        Ok(())
    }

    fn field(&self, name: &str) -> Option<&str> {
        let mut lines = self.0.lines().filter_map(|line| line.split_once(':'));
        lines.find(|(field, _)| *field == name).map(|(_, value)| value.trim())
    }

    fn numbers(&self, name: &str) -> Vec<u64> {
        let words = self.field(name).unwrap_or_default().split_whitespace();
        words.filter_map(|word| word.parse().ok()).collect()
    }

    fn number(&self, name: &str) -> Option<u64> {
        self.numbers(name).first().copied()
    }

    fn is_capable(&self, capability: u32) -> bool {
        let set = self.field("CapEff").and_then(|set| u64::from_str_radix(set, 16).ok());
        set.is_some_and(|set| set >> capability & 1 != 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(text: &str) -> Status {
        Status(text.to_owned())
    }

    #[test]
    fn what_speaks_against_it_is_a_sentence_with_the_way_out() {
        let said = |text: &str| {
            status(text).check(77).map_err(|error| error.to_string()).expect_err("it does")
        };
        assert_eq!(said("Tgid:\t70\n"), "77 is a thread of process 70: name the process");
        assert_eq!(said("State:\tZ (zombie)\nTgid:\t77\n"), "process 77 has ended");
        assert!(said("State:\tT (stopped)\n").ends_with("(kill -CONT 77)"));
        assert!(said("x86_Thread_features:\tshstk wrss\n").contains("shadow stack"));
        assert!(said(&format!("TracerPid:\t{}\n", std::process::id())).contains("is traced by"));
        assert!(status("Tgid:\t77\nState:\tS (sleeping)\nTracerPid:\t0\n").check(77).is_ok());
    }

    #[test]
    fn who_may_is_told() {
        let denied = io::Error::from_raw_os_error(libc::EACCES);
        let users = format!("Uid:\t{0}\t{0}\t{0}\t{0}\n", 4_000_000_000_u32);
        let said =
            |tool: &str| not_allowed(77, &status(&users), Some(&status(tool)), &denied).to_string();
        let said = ["CapEff:\t0000000000000000\n", "CapEff:\t0000000000080000\n"].map(said);
        assert!(
            said[0].contains("user 4000000000") && said[0].contains("or the capability CAP_SYS")
        );
        assert!(said[1].contains("CAP_DAC_OVERRIDE beside CAP_SYS_PTRACE"), "{}", said[1]);
        let own = Status::own().expect("a mounted /proc");
        assert_eq!(own.number("Pid"), Some(u64::from(std::process::id())));
        assert!(status("CapEff:\t0000000000080000\n").is_capable(19));
        assert!(!status("CapEff:\t0000000000080000\n").is_capable(SYS_ADMIN));
    }
}
