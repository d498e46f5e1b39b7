//! A recorder in a process that has run for long: it begins in the midst of things, in a ledger that
//! the process was handed, and can be let go and followed by another.
//!
//! Blocks from before are nobody's: their frees are counted as such, and nothing else. A recorder
//! that was let go stays where it is, for a thread may be on its way through the hooks, until
//! whoever has let it go knows that there is none. Threads know by their word's tag which recorder
//! they sit at (`process`), so that none counts in the one before.

use std::os::fd::BorrowedFd;
use std::path::Path;
use std::sync::atomic::{AtomicPtr, Ordering};

use ledger::Capacities;
use ledger_writer::Ledger;

use crate::error::InstallError;
use crate::heap::Heap;
use crate::install;
use crate::options::{LedgerPlace, Options};
use crate::recorder::Recorder;
use crate::{bounds, current, heritage, process, start};

/// The recorder that was let go last.
static RETIRED: AtomicPtr<Recorder> = AtomicPtr::new(std::ptr::null_mut());

/// A file that a process was handed to count in.
#[derive(Clone, Copy, Debug)]
pub struct Handed<'a> {
    /// The empty file. Not needed after the call.
    pub file: BorrowedFd<'a>,
    /// The number by which whoever reads the ledger knows this process.
    pub pid: u32,
    /// The process's memory map, in the kernel's form, where it cannot read that itself.
    pub map: Option<&'a [u8]>,
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
    install::claim(&options, heap)?;
    if process::is_worn_out() {
        return Err(InstallError::TooMany(MOST_RECORDERS));
    }
    let LedgerPlace::Folder(folder) = &options.ledger else {
        return Err(InstallError::AlreadyInstalled);
    };
    let recorder = begin(&options, folder, handed)?;
    start::publish(options);
    current::publish(recorder);
    Ok(())
}

/// As many as there are tags.
const MOST_RECORDERS: usize = 1_023;

fn begin(options: &Options, folder: &Path, handed: Handed) -> Result<Box<Recorder>, InstallError> {
    let capacities = Capacities::for_sites(options.sites);
    let ledger = Ledger::of_file(handed.file, folder, capacities, handed.pid)?;
    if let Some(map) = handed.map {
        ledger.store_modules(map);
        bounds::main_stack_is_in(map);
    }
    Recorder::new(ledger, options, None)
}

/// Lets the process go: nothing is counted from now on, also in children. Whoever calls this has
/// taken the hooks out of each OpenSSL before. Returns whether a recorder was at work.
///
/// Its memory stays until [`sweep`], for a thread may be on its way through the hooks, but what it
/// knew of blocks is given back, and the ledger's file.
///
/// # Safety
///
/// As for [`attach`].
pub unsafe fn detach() -> bool {
    // First, so that no event begins a ledger.
    start::withdraw();
    let Some(recorder) = current::take() else { return false };
    // Whoever comes later knows that it sits nowhere. Where there are no tags left, there is no
    // further recorder either.
    process::renew_tag();
    recorder.blocks.let_go();
    recorder.ledger.let_go();
    RETIRED.store(std::ptr::from_ref(recorder).cast_mut(), Ordering::Release);
    true
}

/// Gives back the memory of the recorder that was let go, and of those that the process was forked
/// with.
///
/// # Safety
///
/// As for [`attach`]; and every thread of the process has been outside of the hooks at some time
/// since [`detach`] has returned.
pub unsafe fn sweep() {
    if current::published().is_some() {
        return;
    }
    let retired = RETIRED.swap(std::ptr::null_mut(), Ordering::AcqRel);
    // SAFETY: NULL, or a leaked box that `detach` was given.
    let retired = unsafe { retired.as_ref() };
    let before = |recorder: &&'static Recorder| recorder.inherited;
    let own = std::iter::successors(retired, before);
    let mut all: Vec<&'static Recorder> = Vec::new();
    for recorder in own.chain(std::iter::successors(heritage::forget_parent(), before)) {
        if !all.iter().any(|known| std::ptr::eq(*known, recorder)) {
            all.push(recorder);
        }
    }
    for recorder in all {
        // SAFETY: the caller's promise; it was leaked from a box, and nobody knows it any more.
        unsafe {
            recorder.unmap();
            drop(Box::from_raw(std::ptr::from_ref(recorder).cast_mut()));
        }
    }
}
