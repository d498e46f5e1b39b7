//! Where the ledger of a process begins: at once, or when OpenSSL allocates for the first time, so
//! that programs which never do leave nothing behind; and what a forked child begins with.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use ledger::{Capacities, Statistic};
use ledger_writer::{Ledger, Permit};

use crate::error::InstallError;
use crate::options::{Children, LedgerPlace, Options};
use crate::process::{self, Taken, Told};
use crate::recorder::Recorder;
use crate::threads::{self, Inside, own_work};
use crate::{current, deep, heritage, sampling};

/// What [`install()`](crate::install()) was told; NULL before that.
static OPTIONS: AtomicPtr<Options> = AtomicPtr::new(std::ptr::null_mut());
/// One thread is in `start`.
static STARTING: AtomicBool = AtomicBool::new(false);
/// Allocations of threads that have not waited until the ledger was there.
static MISSED: AtomicU64 = AtomicU64::new(0);
/// As long a thread waits for another that makes the ledger. That takes milliseconds; on a full
/// machine, or a slow disk, longer.
const LONGEST: Duration = Duration::from_secs(2);
/// A thread has waited so long: others go on at once.
static TOO_LONG: AtomicBool = AtomicBool::new(false);
/// There can be no ledger in this process.
static FAILED: AtomicBool = AtomicBool::new(false);

/// The malloc family is counted, and was not from the process's start on.
static LATE: AtomicBool = AtomicBool::new(false);

/// Says in each ledger that is made from here on that others than OpenSSL were not counted from the
/// process's start on.
pub fn note_late() {
    LATE.store(true, Ordering::Release);
}

/// Whether [`note_late`] was called.
pub(crate) fn is_late() -> bool {
    LATE.load(Ordering::Acquire)
}

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
    let began = Instant::now();
    loop {
        if let Some(recorder) = current::published() {
            return Some(recorder);
        }
        if FAILED.load(Ordering::Acquire) {
            return None;
        }
        if let Some(_starting) = Starting::alone() {
            let make = || current::published().or_else(|| begin_or_fail(options));
            return own_work(|| deep::call(make).unwrap_or_else(|make| make()));
        }
        if TOO_LONG.load(Ordering::Relaxed) || began.elapsed() > LONGEST {
            break;
        }
        std::thread::yield_now();
    }
    TOO_LONG.store(true, Ordering::Relaxed);
    MISSED.fetch_add(1, Ordering::SeqCst);
    say_missed();
    None
}

/// The right to make the ledger. It is given back however that ends: a panic in the host's
/// [`Options::begun`] must not have others wait.
struct Starting(());

impl Starting {
    fn alone() -> Option<Starting> {
        // Not `then_some`: a `Starting` that is made and not handed out would end another's.
        (!STARTING.swap(true, Ordering::AcqRel)).then(|| Starting(()))
    }
}

impl Drop for Starting {
    fn drop(&mut self) {
        STARTING.store(false, Ordering::Release);
    }
}

fn begin_or_fail(options: &Options) -> Option<&'static Recorder> {
    match begin(options) {
        Ok(recorder) => {
            say_missed();
            Some(recorder)
        }
        Err(error) => {
            fail();
            (options.begun)(Err(error));
            None
        }
    }
}

/// Counts the allocations that nobody could wait for, if there is a ledger to say it in: who
/// misses one and who makes the ledger both look.
fn say_missed() {
    if let Some(recorder) = current::published() {
        recorder.ledger.add(Statistic::UntrackedBlocks, MISSED.swap(0, Ordering::SeqCst));
    }
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

/// The handler of `fork`, in the child.
unsafe extern "C" fn in_child() {
    // Unless an earlier handler has allocated: then it is done, as if there were no handlers.
    if process::take_over(Told::ByHandler) == Taken::ByCaller {
        begin_in_child(Told::ByHandler);
    }
}

/// In a child that was made without the C library's handlers, at its first event, or before the
/// recorder is installed: the recorder, if the child may count in it.
#[cold]
#[inline(never)]
pub(crate) fn in_unseen_child() -> Option<&'static Recorder> {
    match process::take_over(Told::ByTag) {
        Taken::ByCaller => begin_in_child(Told::ByTag),
        Taken::Before => {}
        Taken::Not => {
            // The parent's ledger may say so, and nothing more.
            if !process::is_own()
                && let Some(parent) = current::published()
                && !UNSEEN.swap(true, Ordering::Relaxed)
            {
                parent.ledger.add(Statistic::UnrecordedChildren, 1);
            }
            return None;
        }
    }
    current::published()
}

/// A thread other than the first has come into OpenSSL in a child that does not know itself yet.
static UNSEEN: AtomicBool = AtomicBool::new(false);

/// In a child: the ledger goes on belonging to the parent. The next allocation makes one of
/// the child's own, or the child runs unrecorded.
fn begin_in_child(told: Told) {
    // Without its handlers, the C library has not made its own locks the child's: one that another
    // thread of the parent held stays locked, and to make a ledger takes some of them.
    let locks = told == Told::ByTag && !threads::is_single_threaded();
    let recorded = options().is_some_and(|options| options.children == Children::Recorded);
    if recorded {
        heritage::retire();
        sampling::begin_anew();
    } else if let Some(recorder) = current::published() {
        recorder.detached.store(true, Ordering::Relaxed);
    }
    ledger_writer::forget_permits();
    deep::begin_anew();
    // At its desk the thread would go on counting for the parent.
    threads::stand_up();
    // The thread that was starting, or the file that could not be made, was the parent's.
    STARTING.store(false, Ordering::Release);
    MISSED.store(0, Ordering::Relaxed);
    TOO_LONG.store(false, Ordering::Relaxed);
    UNSEEN.store(false, Ordering::Relaxed);
    FAILED.store(!recorded, Ordering::Release);
    if recorded && locks {
        fail();
    }
    process::settle_in();
}
