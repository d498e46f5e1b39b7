//! The library's entries for who puts it into a process that runs: begin, and put everything back.
//!
//! ```text
//! tlsheap_attach ─┬─► recorder::attach: a ledger in the file that the process was handed
//!                 ├─► scan ─► put_in: the hooks, into every OpenSSL that is loaded
//!                 └─► slots: what has to be noticed from now on (see there)
//! tlsheap_detach ───► all of it back: the hooks first
//! tlsheap_sweep ────► the memory too, once no thread is on its way through the hooks
//! ```
//!
//! Both are called by a thread that has been brought to a point at which it is in no allocator and
//! not in the loader, on a stack of its own, with signals blocked; others run on. There is one copy
//! of the library in a process for ever, which is entered again at the next time.

mod families;
mod slots;

use std::ffi::{CStr, OsStr};
use std::os::fd::{AsFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::panic::catch_unwind;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use contract::attach::{Answer, Request, State};
use contract::{NO_HEAP, NO_LEDGER, Scope};
use recorder::{Handed, Options, StackSource, own_work};

use self::families::{Families, UNSEEN};
use crate::object::{self, Object};
use crate::report::Report;
use crate::{linked_allocators, malloc_family, scan, start, whole_process};

/// What the library is doing, for others to look at from outside.
#[cfg_attr(not(test), unsafe(no_mangle))]
#[allow(non_upper_case_globals, reason = "named as it is looked for")]
static tlsheap_state: AtomicU64 = AtomicU64::new(State::Idle.word());

/// Begins to record. See [`Request`] and [`Answer`].
///
/// # Safety
///
/// `words` is the address of a request whose addresses are what it says, and nobody else calls this
/// or [`tlsheap_detach`] meanwhile.
#[cfg_attr(not(test), unsafe(no_mangle))]
#[cfg_attr(test, allow(dead_code))]
unsafe extern "C" fn tlsheap_attach(words: *const [u64; Request::WORDS]) -> i64 {
    // SAFETY: the caller's promise.
    unsafe { answer(words, begin) }
}

/// Puts everything back. See [`Request`] and [`Answer`].
///
/// # Safety
///
/// As for [`tlsheap_attach`].
#[cfg_attr(not(test), unsafe(no_mangle))]
#[cfg_attr(test, allow(dead_code))]
unsafe extern "C" fn tlsheap_detach(words: *const [u64; Request::WORDS]) -> i64 {
    // SAFETY: the caller's promise.
    unsafe { answer(words, end) }
}

/// Gives back what memory recording has taken. See [`Request`] and [`Answer`].
///
/// # Safety
///
/// As for [`tlsheap_attach`]; and since [`tlsheap_detach`] has returned, each thread has been seen
/// outside of this library.
#[cfg_attr(not(test), unsafe(no_mangle))]
#[cfg_attr(test, allow(dead_code))]
unsafe extern "C" fn tlsheap_sweep(words: *const [u64; Request::WORDS]) -> i64 {
    // SAFETY: the caller's promise.
    unsafe { answer(words, sweep) }
}

/// The thread that is in one of the entries; 0 for none.
static VISITOR: AtomicUsize = AtomicUsize::new(0);

/// Whether the calling thread is in one of the entries: there, no filter is in force for it.
pub(crate) fn is_visitor() -> bool {
    // SAFETY: no argument, no effect, and no system call.
    VISITOR.load(Ordering::Acquire) == unsafe { libc::pthread_self() } as usize
}

/// The process has been let go: nothing of the library's need be done any more.
pub(crate) fn is_let_go() -> bool {
    state() == State::LetGo
}

/// The library has begun with its process.
pub(crate) fn is_preloaded() {
    tlsheap_state.store(State::Preloaded.word(), Ordering::Release);
}

/// Has what has to be noticed lead here in objects that were not looked at before, if this process
/// was attached to. One thread at a time may call it.
pub(crate) fn reach(objects: &[Object]) {
    if state() == State::Recording {
        slots::lead(objects);
    }
}

fn state() -> State {
    State::from_word(tlsheap_state.load(Ordering::Acquire)).unwrap_or(State::Idle)
}

/// # Safety
///
/// As for [`tlsheap_attach`].
unsafe fn answer(
    words: *const [u64; Request::WORDS],
    act: fn(&Request) -> Result<String, String>,
) -> i64 {
    // SAFETY: the caller's promise.
    let Some(request) = Request::from_words(unsafe { words.read() }) else {
        return Answer::Refused(0).to_word();
    };
    // SAFETY: no argument, no effect.
    VISITOR.store(unsafe { libc::pthread_self() } as usize, Ordering::Release);
    let said = catch_unwind(|| own_work(|| act(&request)));
    VISITOR.store(0, Ordering::Release);
    let said = said.unwrap_or_else(|_| Err("tlsheap's library has failed".to_owned()));
    let (Ok(text) | Err(text)) = &said;
    let bytes = text.len().min(request.room as usize);
    // SAFETY: there is so much room at that place: the caller's promise.
    unsafe { std::ptr::copy_nonoverlapping(text.as_ptr(), request.text as *mut u8, bytes) };
    match said {
        Ok(_) => Answer::Done(bytes as u64).to_word(),
        Err(_) => Answer::Refused(bytes as u64).to_word(),
    }
}

fn begin(request: &Request) -> Result<String, String> {
    // SAFETY: the caller has given the descriptor to this call.
    let file = unsafe { OwnedFd::from_raw_fd(request.ledger) };
    match state() {
        State::Preloaded => {
            return Err("the program was started with the recorder in it".to_owned());
        }
        // By somebody who has not put it back, and is not there any more.
        State::Recording => drop(end(request)?),
        State::Idle | State::LetGo => {}
    }
    // Now, for it takes the loader's lock: in the midst of a list of objects, for which the loader
    // holds another, the first block would do so, and another thread may hold the two in the other
    // order.
    if malloc_family::real().is_none() {
        return Err("nobody knows its malloc".to_owned());
    }
    // SAFETY: a C string: the caller's promise.
    let folder = unsafe { CStr::from_ptr(request.folder as *const _) };
    let folder = Path::new(OsStr::from_bytes(folder.to_bytes()));
    if request.filtered {
        // Of an earlier time: nobody is in the recorder now.
        recorder::lift_filter();
    }
    let families = match request.scope {
        Scope::Openssl => None,
        // Before there is a recorder: it has a table of mappings then.
        Scope::Everything | Scope::WithOpenssl | Scope::FromOpenssl => {
            recorder::note_late();
            Some(Families::begin(&object::loaded().0))
        }
    };
    let mut options = Options::in_folder(folder, StackSource::best());
    options.begun = start::begun;
    options.peak_of = request.scope.peak_of();
    // SAFETY: so many bytes at that place: the caller's promise.
    let map = (request.map_bytes > 0).then(|| unsafe {
        std::slice::from_raw_parts(request.map as *const u8, request.map_bytes as usize)
    });
    let handed = Handed { file: file.as_fd(), pid: request.pid, map };
    // SAFETY: the process's allocator keeps its contract, and is what OpenSSL uses by itself; one
    // thread at a time is here, in no hook; and none is in an OpenSSL, for there was no recorder, or
    // `end` has taken them out.
    unsafe { recorder::attach(options, handed, malloc_family::heap()) }
        .map_err(|error| format!("{NO_LEDGER}{error}"))?;
    if request.filtered {
        // Before the first event: for other threads the filter is in force.
        recorder::prepare_behind_filter();
    }
    handle_forks();
    scan::begin_attached(Report::told(folder, request.pid));
    let unseen = match &families {
        None => Vec::new(),
        Some(Err(why)) => vec![format!("{NO_HEAP}{why}")],
        Some(Ok(_)) => {
            let operators = malloc_family::has_operators_of_its_own();
            let operators = operators.then(|| whole_process::OPERATORS.to_owned());
            let linked_in = linked_allocators::unseen_of(&object::loaded().0);
            [UNSEEN.to_owned()].into_iter().chain(operators).chain(linked_in).collect()
        }
    };
    scan::with_report(|report| unseen.into_iter().for_each(|it| report.problem(it)));
    slots::begin(families.and_then(Result::ok));
    tlsheap_state.store(State::Recording.word(), Ordering::Release);
    // Only now: as long as nothing was recorded, nothing need be noticed.
    scan::look_again();
    let mut report = (false, String::new());
    scan::with_report(|it| report = (it.has_anything_recorded(), it.text()));
    if !report.0 {
        let _ = end(request);
        return Err(
            "no OpenSSL in it takes the recorder's functions: one that has allocated is got \
                    into by its variables, which are looked for in its file, and that has to be \
                    there where the process lives (it may live behind another root directory)"
                .to_owned(),
        );
    }
    Ok(report.1)
}

fn end(_request: &Request) -> Result<String, String> {
    if state() != State::Recording {
        return Err("tlsheap is not attached to it".to_owned());
    }
    // First: a look of another thread would lead slots here after they were put back.
    scan::end_looking();
    // Then the hooks: without slots, a block of the heap's is given back unseen, and one of
    // OpenSSL's that comes to its place would be counted beside it.
    scan::end_attached();
    slots::put_back();
    // SAFETY: one thread at a time is here, in no hook. Should a hook be left in an OpenSSL, it
    // counts nothing.
    unsafe { recorder::detach() };
    recorder::count_no_family();
    tlsheap_state.store(State::LetGo.word(), Ordering::Release);
    let mut text = String::new();
    scan::with_report(|report| text = report.text());
    Ok(text)
}

fn sweep(_request: &Request) -> Result<String, String> {
    if state() != State::LetGo {
        return Err("it is recorded".to_owned());
    }
    // SAFETY: no recorder is at work, and no thread is in a hook: the caller's promise.
    unsafe { recorder::sweep() };
    Ok(String::new())
}

/// Once a process: the C library has no way to take it back.
fn handle_forks() {
    static DONE: AtomicBool = AtomicBool::new(false);
    if !DONE.swap(true, Ordering::AcqRel) {
        // SAFETY: the handler only stores atomics.
        unsafe { libc::pthread_atfork(None, None, Some(scan::after_fork)) };
    }
}
