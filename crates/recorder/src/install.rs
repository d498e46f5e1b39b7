//! Putting the recorder into a process.

use std::sync::atomic::{AtomicBool, Ordering};

use crate::error::InstallError;
use crate::heap::{self, Heap, MemoryFunctions, OpensslFunctions};
use crate::openssls;
use crate::options::{LedgerPlace, Options};
use crate::{bounds, current, process, sampling, start, threads};

static CLAIMED: AtomicBool = AtomicBool::new(false);

/// Installs the recorder in this process.
///
/// With `linked`, the functions of the OpenSSL that the program is linked with, every allocation of
/// that OpenSSL is counted from here on. Any other OpenSSL of the process comes with
/// [`add_openssl`](crate::add_openssl), now or later.
///
/// # Errors
///
/// When the process has a recorder already; when stacks cannot be read as the options say, or the
/// ledger cannot be made in the file that they name; when OpenSSL refuses the functions, having
/// allocated before. Then nothing is recorded, and the call may be made again.
///
/// # Safety
///
/// * `heap` is an allocator that keeps its contract until the process ends.
/// * `linked` are the functions of one OpenSSL (1.1.0 or newer) of this process, and no other
///   thread is calling `CRYPTO_set_mem_functions` or allocating in it for the first time.
/// * With [`StackSource::FramePointers`](crate::StackSource::FramePointers), stacks of programs and
///   OpenSSLs without frame pointers end early; nothing worse.
pub unsafe fn install(
    options: Options,
    heap: Heap,
    linked: Option<OpensslFunctions>,
) -> Result<(), InstallError> {
    check_stacks(&options)?;
    if CLAIMED.swap(true, Ordering::AcqRel) {
        return Err(InstallError::AlreadyInstalled);
    }
    prepare();
    // SAFETY: the caller's promises, passed on.
    let installed = unsafe { install_once(options.absolute(), heap, linked) };
    if installed.is_err() {
        CLAIMED.store(false, Ordering::Release);
    }
    installed
}

/// Without that, each stack would end after its first frame.
fn check_stacks(options: &Options) -> Result<(), InstallError> {
    options.stacks.prepare().then_some(()).ok_or(InstallError::NoUnwindTables)
}

/// What a process needs once.
fn prepare() {
    process::prepare();
    // A child cannot ask the loader, whose lock another thread may have held.
    threads::single_threaded();
    bounds::remember_main_stack();
}

/// The right to put a recorder into the process by [`attach`](crate::attach()), where none is at
/// work. At the first time, what a process needs once is done.
pub(crate) fn claim(options: &Options, heap: Heap) -> Result<(), InstallError> {
    check_stacks(options)?;
    if CLAIMED.swap(true, Ordering::AcqRel) {
        return match current::published() {
            Some(_) => Err(InstallError::AlreadyInstalled),
            None if heap::current().is_none() => Err(InstallError::AlreadyInstalled),
            None => Ok(()),
        };
    }
    prepare();
    start::handle_forks().inspect_err(|_| CLAIMED.store(false, Ordering::Release))?;
    heap::publish(heap);
    Ok(())
}

unsafe fn install_once(
    options: Options,
    heap: Heap,
    linked: Option<OpensslFunctions>,
) -> Result<(), InstallError> {
    sampling::begin(options.sample);
    let recorder = match &options.ledger {
        LedgerPlace::File(path) => Some(start::make(path, &options)?),
        LedgerPlace::Folder(_) => None,
    };
    start::handle_forks()?;
    // The hooks may be called from the moment the setter stores them.
    heap::publish(heap);
    let options = start::publish(options);
    if let Some(recorder) = recorder {
        current::publish(recorder);
    }
    let Some(functions) = linked else { return Ok(()) };
    // SAFETY: the caller's promises, passed on; the heap is published.
    let hooked = unsafe { hook(functions) };
    if hooked.is_err() {
        // Nobody calls the hooks, so the tables that stay behind are empty.
        start::withdraw();
        current::take();
        if let LedgerPlace::File(path) = &options.ledger {
            let _ = std::fs::remove_file(path);
        }
    }
    hooked
}

/// Puts the hooks into the OpenSSL with these functions.
///
/// # Safety
///
/// As for [`install`]; the heap is published.
unsafe fn hook(functions: OpensslFunctions) -> Result<(), InstallError> {
    let number = openssls::add_openssl(Some(functions.get), MemoryFunctions::default())?;
    // SAFETY: the caller's promises, passed on.
    unsafe { number.put_into(functions.set) }.inspect_err(|_| number.give_back())
}

/// Asks OpenSSL whether it still calls the recorder, and notes in the ledger when it does not:
/// while somebody's functions are installed, OpenSSL lets anybody replace them at any time.
///
/// `true` also when no recorder is installed.
pub fn check_in_place() -> bool {
    let Some(recorder) = current::current() else { return true };
    let in_place = openssls::all_in_place();
    if !in_place {
        recorder.report_replaced();
    }
    in_place
}

/// Notes in the ledger that somebody has replaced the recorder's functions in an OpenSSL.
pub fn note_replaced() {
    if let Some(recorder) = current::current() {
        recorder.report_replaced();
    }
}
