//! A recorder in a process that has run for long: it begins in the midst of things, in a ledger that
//! the process was handed, and can be let go and followed by another.
//!
//! Blocks from before are nobody's: their frees are counted as such, and nothing else. A recorder
//! that was let go stays where it is, for a thread may be on its way through the hooks; what it held
//! of memory is given back as far as such a thread would not notice. Threads know by their word's
//! tag which recorder they sit at (`process`), so that none counts in the one before.

use std::os::fd::BorrowedFd;
use std::path::Path;
use std::sync::atomic::{AtomicPtr, Ordering};

use ledger::Capacities;
use ledger_writer::Ledger;

use crate::error::InstallError;
use crate::heap::Heap;
use crate::install;
use crate::options::{LedgerPlace, Options};
use crate::recorder::{Before, Recorder};
use crate::{current, process, start};

/// The recorder that was let go last.
static RETIRED: AtomicPtr<Recorder> = AtomicPtr::new(std::ptr::null_mut());

/// A file that a process was handed to count in.
#[derive(Clone, Copy, Debug)]
pub struct Handed<'a> {
    /// The empty file. Not needed after the call.
    pub file: BorrowedFd<'a>,
    /// The number by which whoever reads the ledger knows this process.
    pub pid: u32,
}

/// Installs a recorder that counts in `handed` at once; `options` say where children begin their
/// ledgers, and which are not told of this one. OpenSSLs come with
/// [`add_openssl`](crate::add_openssl), later.
///
/// # Errors
///
/// When a recorder is at work; when stacks cannot be read as the options say, or the ledger cannot
/// be mapped; when there have been a thousand recorders in the process. Then nothing is recorded,
/// and the call may be made again.
///
/// # Safety
///
/// * `heap` is an allocator that keeps its contract until the process ends, and the same at each
///   call.
/// * One thread at a time calls this and [`detach`], and none while it is in a hook.
/// * No hook of this recorder is in an OpenSSL.
pub unsafe fn attach(options: Options, handed: Handed, heap: Heap) -> Result<(), InstallError> {
    let first = install::claim(&options, heap)?;
    let LedgerPlace::Folder(folder) = &options.ledger else {
        return Err(InstallError::AlreadyInstalled);
    };
    let installed = begin(&options, folder, handed, first);
    match installed {
        Ok(recorder) => {
            start::publish(options);
            current::publish(recorder);
            Ok(())
        }
        Err(error) => Err(error),
    }
}

fn begin(
    options: &Options,
    folder: &Path,
    handed: Handed,
    first: bool,
) -> Result<Box<Recorder>, InstallError> {
    let retired = RETIRED.load(Ordering::Acquire);
    // SAFETY: NULL, or a leaked box that `detach` was given.
    let retired = unsafe { retired.as_ref() };
    if !first && !process::renew_tag() {
        return Err(InstallError::TooMany(MOST_RECORDERS));
    }
    let capacities = Capacities::for_sites(options.sites);
    let ledger = Ledger::of_file(handed.file, folder, capacities, handed.pid)?;
    Recorder::new(ledger, options, retired.map_or(Before::Nobody, Before::Retired))
}

/// As many as there are tags.
const MOST_RECORDERS: usize = 1_023;

/// Lets the process go: nothing is counted from now on, also in children. Whoever calls this has
/// taken the hooks out of each OpenSSL before. Returns whether a recorder was at work.
///
/// # Safety
///
/// As for [`attach`].
pub unsafe fn detach() -> bool {
    // First, so that no event begins a ledger.
    start::withdraw();
    let Some(recorder) = current::take() else { return false };
    RETIRED.store(std::ptr::from_ref(recorder).cast_mut(), Ordering::Release);
    recorder.blocks.let_go();
    recorder.ledger.let_go();
    true
}
