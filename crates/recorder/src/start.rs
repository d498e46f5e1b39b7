//! Where the ledger of a process begins: at once, or when OpenSSL allocates for the first time, so
//! that programs which never do leave nothing behind; and what a forked child begins with.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use ledger::{Capacities, Statistic};
use ledger_writer::{Ledger, Permit};

use crate::error::InstallError;
use crate::options::{Children, LedgerPlace, Options};
use crate::recorder::Recorder;
use crate::threads::{self, Inside};
use crate::{current, heritage, sampling};

/// What [`install()`](crate::install()) was told; NULL before that.
static OPTIONS: AtomicPtr<Options> = AtomicPtr::new(std::ptr::null_mut());
/// One thread is in `start`.
static STARTING: AtomicBool = AtomicBool::new(false);
/// There can be no ledger in this process.
static FAILED: AtomicBool = AtomicBool::new(false);

/// The options of this process for good, or until [`withdraw`].
pub(crate) fn publish(options: Options) -> &'static Options {
    let options: &'static Options = Box::leak(Box::new(options));
    FAILED.store(false, Ordering::Release);
    OPTIONS.store(std::ptr::from_ref(options).cast_mut(), Ordering::Release);
    options
}

/// There are no options any more: no ledger begins by itself.
pub(crate) fn withdraw() {
    OPTIONS.store(std::ptr::null_mut(), Ordering::Release);
}

fn options() -> Option<&'static Options> {
    let options = OPTIONS.load(Ordering::Acquire);
    // SAFETY: NULL, or a leaked box that `publish` stored.
    unsafe { options.as_ref() }
}

/// Has forked children begin as the options say.
pub(crate) fn handle_forks() -> Result<(), InstallError> {
    // SAFETY: the handler only stores atomics and the calling thread's own words.
    match unsafe { libc::pthread_atfork(None, None, Some(in_child)) } {
        0 => Ok(()),
        _ => Err(InstallError::Exhausted("fork handler")),
    }
}

/// The first allocation: makes the ledger and starts counting. `None` when no recorder is
/// installed, when the process is in a sandbox, and when no ledger can be made.
#[cold]
pub(crate) fn start() -> Option<&'static Recorder> {
    let options = options()?;
    let Some(_permit) = Permit::ask() else {
        fail();
        return None;
    };
    // A signal handler that interrupts the start must not wait for its end.
    let _inside = Inside::enter()?;
    loop {
        if let Some(recorder) = current::current() {
            return Some(recorder);
        }
        if FAILED.load(Ordering::Acquire) {
            return None;
        }
        if !STARTING.swap(true, Ordering::AcqRel) {
            break;
        }
        std::thread::yield_now();
    }
    let started = current::current().map_or_else(|| begin(options), Ok);
    let started = match started {
        Ok(recorder) => Some(recorder),
        Err(error) => {
            fail();
            (options.begun)(Err(error));
            None
        }
    };
    STARTING.store(false, Ordering::Release);
    started
}

/// There is no ledger in this process, and will be none. Its parent's says so, if it has a parent
/// that is recorded: this one may not be able to write anything else.
fn fail() {
    if !FAILED.swap(true, Ordering::AcqRel)
        && let Some(parent) = heritage::retired()
    {
        parent.ledger.add(Statistic::UnrecordedChildren, 1);
    }
}

fn begin(options: &Options) -> Result<&'static Recorder, InstallError> {
    let path = new_path(&options.ledger);
    let recorder = make(&path, options)?;
    (options.begun)(Ok(&path));
    Ok(current::publish(recorder))
}

/// A recorder with a ledger at `path`.
pub(crate) fn make(path: &Path, options: &Options) -> Result<Box<Recorder>, InstallError> {
    let ledger = Ledger::create(path, Capacities::for_sites(options.sites))?;
    let recorder = Recorder::new(ledger, options, heritage::retired()).inspect_err(|_| {
        let _ = std::fs::remove_file(path);
    })?;
    recorder.report_inherited();
    Ok(recorder)
}

/// A file that no process has had: a process that calls exec keeps its id, and a container may
/// have the ids of another.
fn new_path(place: &LedgerPlace) -> PathBuf {
    let folder = match place {
        LedgerPlace::Folder(folder) => folder,
        // The file is the parent's.
        LedgerPlace::File(file) => file.parent().unwrap_or(Path::new("/")),
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_nanos());
    let pid = std::process::id();
    let mut path = PathBuf::new();
    for sequence in 0..100 {
        path = folder.join(format!("{pid}-{now}-{sequence}.ledger"));
        if !path.exists() {
            break;
        }
    }
    path
}

/// In a forked child: the ledger goes on belonging to the parent. The next allocation makes one of
/// the child's own, or the child runs unrecorded.
unsafe extern "C" fn in_child() {
    let recorded = options().is_some_and(|options| options.children == Children::Recorded);
    if recorded {
        heritage::retire();
        sampling::begin_anew();
    } else if let Some(recorder) = current::current() {
        recorder.detached.store(true, Ordering::Relaxed);
    }
    ledger_writer::forget_permits();
    // At its desk the thread would go on counting for the parent.
    threads::stand_up();
    // The thread that was starting, or the file that could not be made, was the parent's.
    STARTING.store(false, Ordering::Release);
    FAILED.store(!recorded, Ordering::Release);
}
