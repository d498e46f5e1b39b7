//! A process that nobody prepared for recording: its ledger is made when OpenSSL allocates for
//! the first time, so that programs which never do leave nothing behind; and each process that it
//! forks gets a ledger of its own in the same way.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use ledger::{Capacities, Statistic};
use ledger_writer::{Ledger, Permit};

use crate::heap::{self, Heap};
use crate::install::InstallError;
use crate::recorder::{self, Recorder};
use crate::sampling::{self, SampleOptions};
use crate::stack::StackSource;
use crate::threads::{self, Inside};
use crate::{install, openssls, unwind};

/// Where to make ledgers, and what to tell of it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Preparation {
    /// The folder. Each ledger gets a name of its own that ends in `.ledger`.
    pub folder: PathBuf,
    /// Sites that can be told apart in each; further ones are counted together as dropped.
    pub sites: u32,
    /// Blocks that can be live at once; further ones are counted as untracked.
    pub blocks: u64,
    /// Count a part of the blocks only; `None` counts every one.
    pub sample: Option<SampleOptions>,
    /// How stacks are read.
    pub stacks: StackSource,
    /// Called once for each ledger, with its path, before anything is counted in it; or with the
    /// reason why there is none. It must not call OpenSSL.
    pub begun: fn(Result<&Path, InstallError>),
}

impl Preparation {
    /// The usual sizes; `begun` does nothing.
    pub fn in_folder(folder: impl Into<PathBuf>, stacks: StackSource) -> Preparation {
        Preparation {
            folder: folder.into(),
            sites: Capacities::default().sites,
            blocks: 100_000_000,
            sample: None,
            stacks,
            begun: |_| {},
        }
    }
}

static PREPARATION: AtomicPtr<Preparation> = AtomicPtr::new(std::ptr::null_mut());
/// One thread is in `start`.
static STARTING: AtomicBool = AtomicBool::new(false);
/// There can be no ledger in this process.
static FAILED: AtomicBool = AtomicBool::new(false);

/// Prepares the process: from now on OpenSSLs may be added with
/// [`crate::add_openssl`].
///
/// # Safety
///
/// `heap` is an allocator that keeps its contract until the process ends.
pub unsafe fn prepare(preparation: Preparation, heap: Heap) -> Result<(), InstallError> {
    // Without that, each stack would end after its first frame.
    if !preparation.stacks.prepare() {
        return Err(InstallError::NoUnwindTables);
    }
    install::claim()?;
    // SAFETY: the handler only stores atomics and the calling thread's own cells.
    if unsafe { libc::pthread_atfork(None, None, Some(begin_anew)) } != 0 {
        return Err(InstallError::Exhausted("fork handler"));
    }
    sampling::begin(preparation.sample);
    heap::publish(heap);
    PREPARATION.store(Box::leak(Box::new(preparation)), Ordering::Release);
    Ok(())
}

/// Adds the files that were mapped into the process since its ledger was made, so that addresses
/// in them get names. One thread at a time may call it.
pub fn note_new_modules() {
    if let Some(_permit) = Permit::ask()
        && let Some(recorder) = recorder::current()
        && let Ok(map) = std::fs::read("/proc/self/maps")
    {
        recorder.ledger.add_modules(&map);
    }
}

/// Forgets what is known of code: a library has been unloaded, and another may come to its place.
pub fn note_unloading() {
    unwind::forget();
}

/// The first allocation: makes the ledger and starts counting. `None` when the process was not
/// prepared, is in a sandbox, or no ledger can be made.
#[cold]
pub(crate) fn start() -> Option<&'static Recorder> {
    let preparation = PREPARATION.load(Ordering::Acquire);
    // SAFETY: NULL, or a leaked box that `prepare` stored.
    let preparation = unsafe { preparation.as_ref() }?;
    let Some(_permit) = Permit::ask() else {
        fail();
        return None;
    };
    // A signal handler that interrupts the start must not wait for its end.
    let _inside = Inside::enter()?;
    loop {
        if let Some(recorder) = recorder::current() {
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
    let started = recorder::current().map_or_else(|| begin(preparation), Ok);
    let started = match started {
        Ok(recorder) => Some(recorder),
        Err(error) => {
            fail();
            (preparation.begun)(Err(error));
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
        && let Some(parent) = recorder::retired()
    {
        parent.ledger.add(Statistic::UnrecordedChildren, 1);
    }
}

/// Makes the ledger if there is none, although nothing has been allocated: later that may not be
/// possible. Nothing is done in a process without OpenSSL.
pub fn begin_early() {
    if recorder::current().is_none() && openssls::is_any() {
        start();
    }
}

fn begin(preparation: &Preparation) -> Result<&'static Recorder, InstallError> {
    let (ledger, path) = new_ledger(preparation)?;
    let made = install::Parts {
        blocks: preparation.blocks,
        stacks: preparation.stacks,
        inherited: recorder::retired(),
    };
    let recorder = install::assemble(ledger, &made).inspect_err(|_| {
        let _ = std::fs::remove_file(&path);
    })?;
    recorder.report_inherited();
    (preparation.begun)(Ok(&path));
    Ok(recorder::publish(recorder))
}

/// A file that no process has had: a process that calls exec keeps its id, and a container may
/// have the ids of another.
fn new_ledger(preparation: &Preparation) -> Result<(Ledger, PathBuf), InstallError> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_nanos());
    let pid = std::process::id();
    let mut path = PathBuf::new();
    for sequence in 0..100 {
        path = preparation.folder.join(format!("{pid}-{now}-{sequence}.ledger"));
        if !path.exists() {
            break;
        }
    }
    let ledger = Ledger::create(&path, Capacities::for_sites(preparation.sites))?;
    Ok((ledger, path))
}

/// In a forked child: the ledger goes on belonging to the parent, and the next allocation makes
/// one of the child's own.
unsafe extern "C" fn begin_anew() {
    recorder::retire();
    ledger_writer::forget_permits();
    threads::stand_up();
    sampling::begin_anew();
    // The thread that was starting, or the file that could not be made, was the parent's.
    STARTING.store(false, Ordering::Release);
    FAILED.store(false, Ordering::Release);
}
