//! A visit in a process: the library is loaded, if it is not there, and one of its functions called.

use std::ffi::CStr;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Instant;

use contract::Scope;
use contract::attach::{self as words, Answer, Request};
use finder::Elf;

use crate::areas::Areas;
use crate::error::AttachError;
use crate::hand_over::{close, hand_over};
use crate::injection::Injection;
use crate::outside;
use crate::placed::Place;
use crate::safe_point::SafePoint;
use crate::target::{Prospect, Target};
use crate::{Done, PATIENCE};

/// Places in our memory there, behind those of `hand_over`.
const PATH: u64 = 0x1000;
const FOLDER: u64 = 0x2000;
const REQUEST: u64 = 0x4000;
const TEXT: u64 = 0x8000;
const TEXT_BYTES: u64 = 0x8_0000;
const MAP: u64 = TEXT + TEXT_BYTES;
/// What a ledger keeps.
const MAP_BYTES: usize = 0x4_0000;

/// Puts the library into the process, if it is not in it, and has it begin to count what `scope`
/// says in `ledger`, an empty file. Processes that this one forks make their ledgers in `folder`, if
/// they can reach it. A process that somebody has attached to and not let go is let go first.
pub fn attach(
    pid: u32,
    library: &[u8],
    scope: Scope,
    ledger: BorrowedFd,
    folder: &Path,
) -> Result<Done, AttachError> {
    in_a_thread(|| {
        let target = Target::of(pid, library)?;
        let loadable = loadable(library).map_err(|source| {
            let step = "to make a file of tlsheap's library";
            AttachError::Step { pid, step, source }
        })?;
        visit(&target, library, Order::Begin { scope, ledger, loadable: loadable.as_fd(), folder })
    })
}

/// Has the library put everything back, and then, if no thread is on its way through it within a
/// second or two, give back the memory that it has taken.
pub fn detach(pid: u32, library: &[u8]) -> Result<Done, AttachError> {
    in_a_thread(|| {
        let target = Target::of(pid, library)?;
        if target.prospect() != Prospect::Attached {
            return Err(AttachError::NotAttached(pid));
        }
        let done = visit(&target, library, Order::End)?;
        if outside::all(&target) {
            // Another time is as good: it is some megabytes that nobody uses.
            let _ = visit(&target, library, Order::Sweep);
        }
        Ok(done)
    })
}

/// What begins is a thread of its own, at whose end the kernel lets go of what it has traced.
fn in_a_thread<T: Send>(
    visit: impl FnOnce() -> Result<T, AttachError> + Send,
) -> Result<T, AttachError> {
    std::thread::scope(|scope| {
        let visit = scope.spawn(visit);
        visit.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// What the library is to do.
#[derive(Clone, Copy)]
enum Order<'a> {
    Begin { scope: Scope, ledger: BorrowedFd<'a>, loadable: BorrowedFd<'a>, folder: &'a Path },
    End,
    Sweep,
}

fn visit(target: &Target, library: &[u8], order: Order) -> Result<Done, AttachError> {
    let pid = target.pid;
    let point = SafePoint::find(target, Instant::now() + PATIENCE)?;
    let mut injection = Injection::begin(target, point)?;
    let libc = Functions::of(target)?;
    injection.keep_error(libc.error_place)?;
    let mut request = Request {
        pid,
        text: injection.room(TEXT),
        room: TEXT_BYTES,
        filtered: target.filtered,
        ..Request::default()
    };
    let there = target.library.ok_or(AttachError::NotAttached(pid));
    let (base, function) = match order {
        Order::End => (there?, words::END),
        Order::Sweep => (there?, words::SWEEP),
        Order::Begin { scope, ledger, loadable, folder } => {
            request.scope = scope;
            let handed = hand_over(&mut injection, pid, &[ledger, loadable])?;
            let loaded = match (target.library, &target.place) {
                (Some(base), _) => Ok(base),
                (None, None) => {
                    load(&mut injection, target, &libc, &format!("/proc/self/fd/{}", handed[1]))
                }
                (None, Some(place)) => load_from(place, library, &mut injection, target, &libc),
            };
            close(&mut injection, handed[1]);
            let base = loaded.inspect_err(|_| close(&mut injection, handed[0]))?;
            request.ledger = handed[0];
            if !target.has_proc {
                let map = map(pid).map_err(|it| injection.failed_step("to read its map", it))?;
                request.map = injection.put(MAP, &map)?;
                request.map_bytes = map.len() as u64;
            }
            let mut path = folder.as_os_str().as_bytes().to_vec();
            path.push(0);
            request.folder = injection.put(FOLDER, &path)?;
            (base, words::BEGIN)
        }
    };
    let said = ask(&mut injection, library, base, function, request);
    let (stopped, processor) = injection.end();
    match said? {
        Ok(coverage) => Ok(Done { coverage, stopped, processor }),
        Err(said) => Err(AttachError::Refused { pid, said }),
    }
}

/// Calls the function of the library that lies at `base`.
fn ask(
    injection: &mut Injection,
    library: &[u8],
    base: u64,
    function: &'static str,
    request: Request,
) -> Result<Result<String, String>, AttachError> {
    let elf = Elf::parse(library).ok();
    let [found] = elf.map_or([None], |elf| finder::functions(&elf, [function]));
    let at = base + found.expect("the library has its functions");
    let words: Vec<u8> = request.to_words().iter().flat_map(|word| word.to_le_bytes()).collect();
    let place = injection.put(REQUEST, &words)?;
    let answer = injection.call(at, [place, 0, 0], "tlsheap's library")?;
    let text = |bytes: u64| -> Result<String, AttachError> {
        let bytes = injection.read(request.text, bytes.min(request.room) as usize)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    Ok(match Answer::from_word(answer as i64) {
        Answer::Done(bytes) => Ok(text(bytes)?),
        Answer::Refused(bytes) => Err(text(bytes)?),
    })
}

/// Puts the library where the process finds it for as long as it takes to load it.
fn load_from(
    place: &Place,
    library: &[u8],
    injection: &mut Injection,
    target: &Target,
    libc: &Functions,
) -> Result<u64, AttachError> {
    let step = "to put tlsheap's library where it lives";
    let placed = place.put(library).map_err(|source| injection.failed_step(step, source))?;
    load(injection, target, libc, &placed.path())
}

/// What the process's memory map says of files and of the first stack: as much as a ledger keeps.
fn map(pid: u32) -> io::Result<Vec<u8>> {
    let text = fs::read(format!("/proc/{pid}/maps"))?;
    let lines = text.split_inclusive(|byte| *byte == b'\n');
    let mut map = Vec::new();
    for line in lines.filter(|line| line.contains(&b'/') || line.ends_with(b"[stack]\n")) {
        if map.len() + line.len() <= MAP_BYTES {
            map.extend_from_slice(line);
        }
    }
    Ok(map)
}

/// Has the process load the library from a path, and returns where it lies.
fn load(
    injection: &mut Injection,
    target: &Target,
    libc: &Functions,
    path: &str,
) -> Result<u64, AttachError> {
    let pid = target.pid;
    let path = injection.put(PATH, format!("{path}\0").as_bytes())?;
    let flags = libc.flags | (libc::RTLD_NOW | libc::RTLD_LOCAL) as u64;
    let handle = injection.call(libc.load, [path, flags, 0], "dlopen");
    let said = match (&handle, libc.said) {
        (Ok(0), Some(said)) => injection.call(said, [0; 3], "dlerror").unwrap_or(0),
        _ => 0,
    };
    if handle? == 0 {
        let said = match said {
            0 => "its loader does not say why".to_owned(),
            at => target.memory.text(at),
        };
        return Err(AttachError::NotLoaded { pid, said });
    }
    let areas =
        Areas::of(pid).map_err(|source| injection.failed_step("to read its map", source))?;
    let area = areas.first_of(|name| name == words::LIBRARY);
    let missing = || AttachError::NotLoaded { pid, said: "it is not in its map".to_owned() };
    Ok(area.ok_or_else(missing)?.start)
}

/// Functions of the process's C library.
struct Functions {
    load: u64,
    /// Added to the flags.
    flags: u64,
    said: Option<u64>,
    error_place: u64,
}

/// What the C library's own function for its own libraries has to be told, before 2.34.
const FROM_OUTSIDE: u64 = 0x8000_0000;

impl Functions {
    fn of(target: &Target) -> Result<Functions, AttachError> {
        let (file, base) = &target.libc;
        let replaced = || AttachError::Replaced(target.pid);
        let elf = Elf::parse(file).map_err(|_| replaced())?;
        let names = ["dlopen", "__libc_dlopen_mode", "dlerror", "__errno_location"];
        // One by one: a name that is not exported is looked for elsewhere, and all with it.
        let [open, own, said, error] = names.map(|name| {
            let [at] = finder::functions(&elf, [name]);
            at.filter(|at| {
                let there = target.memory.read_some(base + at, 16);
                elf.at(*at, 16).is_some_and(|code| code == there)
            })
        });
        let (load, flags) = match (open, own) {
            (Some(open), _) => (open, 0),
            (None, Some(own)) => (own, FROM_OUTSIDE),
            (None, None) => return Err(replaced()),
        };
        Ok(Functions {
            load: base + load,
            flags,
            said: said.map(|said| base + said),
            error_place: base + error.ok_or_else(replaced)?,
        })
    }
}

/// A file in memory with the library in it, under its name.
fn loadable(library: &[u8]) -> io::Result<OwnedFd> {
    const NAME: &CStr = c"libtlsheap_attached.so";
    // SAFETY: a C string.
    let made = unsafe { libc::memfd_create(NAME.as_ptr(), libc::MFD_CLOEXEC) };
    if made < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: new, and nobody else's.
    let mut file = File::from(unsafe { OwnedFd::from_raw_fd(made) });
    file.write_all(library)?;
    Ok(file.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_called_as_the_library_is_looked_for() {
        let file = loadable(b"\x7fELF").expect("a memory file");
        let link = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&file));
        let link = fs::read_link(link).expect("it is open");
        assert!(link.display().to_string().contains(words::LIBRARY), "{}", link.display());
    }
}
