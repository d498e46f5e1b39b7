//! Putting the recorder into OpenSSL.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use ledger::Capacities;
use ledger_writer::{CreateError, Ledger};

use crate::blocks::Blocks;
use crate::heap::{self, Heap, MemoryFunctions, OpensslFunctions};
use crate::openssls;
use crate::recorder::{self, Recorder};
use crate::sampling::{self, SampleOptions};
use crate::segments::Segments;
use crate::sites::Sites;
use crate::stack::{self, StackSource};
use crate::threads::{self, Threads};

/// Where to count, and how much memory that may take.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Options {
    /// The ledger's path. The file must not exist.
    pub ledger: PathBuf,
    /// Sites that can be told apart; further ones are counted together as dropped.
    pub sites: u32,
    /// Blocks that can be live at once; further ones are counted as untracked.
    pub blocks: u64,
    /// Count a part of the blocks only; `None` counts every one.
    pub sample: Option<SampleOptions>,
}

impl Options {
    /// The usual sizes: 65,536 sites (about a tenth of it is used by a TLS server), 100 million
    /// live blocks. Memory is taken as it is needed, not ahead.
    pub fn at(ledger: impl Into<PathBuf>) -> Options {
        let sites = Capacities::default().sites;
        Options { ledger: ledger.into(), sites, blocks: 100_000_000, sample: None }
    }
}

/// The recorder cannot be installed. The program can go on without it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InstallError {
    /// There is a recorder in this process.
    #[error("a recorder is installed in this process already")]
    AlreadyInstalled,
    /// OpenSSL takes no functions after its first allocation.
    #[error(
        "OpenSSL refused the recorder's functions because it has allocated memory already: \
         install the recorder before the first call into OpenSSL"
    )]
    Refused,
    /// There are more OpenSSLs in the process than can be told apart.
    #[error("the recorder can tell {0} OpenSSLs in one process apart, and this is a further one")]
    TooMany(usize),
    /// The ledger's file cannot be made.
    #[error(transparent)]
    Ledger(#[from] CreateError),
    /// Stacks cannot be read in the way that was asked for.
    #[error(
        "this processor or C library gives no unwind tables to read stacks through: \
         take StackSource::best() instead"
    )]
    NoUnwindTables,
    /// [`crate::prepare`] comes first.
    #[error("the process is not prepared for recording")]
    NotPrepared,
    /// The kernel or the C library gave no memory, key or handler.
    #[error("no {0} left for the recorder in this process")]
    Exhausted(&'static str),
}

static CLAIMED: AtomicBool = AtomicBool::new(false);

/// Installs the recorder: from here on every allocation of this OpenSSL is counted.
///
/// # Safety
///
/// * `functions` are those of one OpenSSL (1.1.0 or newer) of this process.
/// * `heap` is an allocator that keeps its contract until the process ends.
/// * No other thread is calling `CRYPTO_set_mem_functions` or allocating in this OpenSSL for the
///   first time.
pub unsafe fn install(
    options: &Options,
    heap: Heap,
    functions: OpensslFunctions,
) -> Result<(), InstallError> {
    claim()?;
    // SAFETY: the caller's promises, passed on.
    let installed = unsafe { install_once(options, heap, functions) };
    if installed.is_err() {
        CLAIMED.store(false, Ordering::Release);
    }
    installed
}

/// Makes sure that there is one recorder in the process.
pub(crate) fn claim() -> Result<(), InstallError> {
    if CLAIMED.swap(true, Ordering::AcqRel) {
        return Err(InstallError::AlreadyInstalled);
    }
    stack::remember_main_stack();
    Ok(())
}

unsafe fn install_once(
    options: &Options,
    heap: Heap,
    functions: OpensslFunctions,
) -> Result<(), InstallError> {
    let ledger = Ledger::create(&options.ledger, Capacities::for_sites(options.sites))?;
    sampling::begin(options.sample);
    let parts =
        Parts { blocks: options.blocks, stacks: StackSource::FramePointers, inherited: None };
    let recorder = assemble(ledger, &parts)?;
    // SAFETY: the handler only stores an atomic and the calling thread's own word.
    if unsafe { libc::pthread_atfork(None, None, Some(detach)) } != 0 {
        return Err(InstallError::Exhausted("fork handler"));
    }
    // The hooks may be called from the moment the setter stores them.
    heap::publish(heap);
    recorder::publish(recorder);
    let number = openssls::add_openssl(Some(functions.get), MemoryFunctions::default())?;
    // SAFETY: the caller's promises, passed on; the heap is published.
    let hooked = unsafe { number.put_into(functions.set) };
    if hooked.is_err() {
        number.give_back();
        // Nobody calls the hooks, so the tables that stay behind are empty.
        let _ = std::fs::remove_file(&options.ledger);
    }
    hooked
}

/// What a recorder is made of beside its ledger.
pub(crate) struct Parts {
    /// Blocks that can be live at once.
    pub blocks: u64,
    pub stacks: StackSource,
    /// In a forked child: its parent's.
    pub inherited: Option<&'static Recorder>,
}

/// A recorder that counts in `ledger`.
pub(crate) fn assemble(ledger: Ledger, parts: &Parts) -> Result<Box<Recorder>, InstallError> {
    let sampling = sampling::current();
    if let Some(sampling) = sampling {
        ledger.set_sampling(sampling);
    }
    // The tool needs the map to name addresses, also after the process has gone. A process that
    // may not read its own map is recorded without names.
    if let Ok(map) = std::fs::read("/proc/self/maps") {
        ledger.store_modules(&map);
    }
    let sites = ledger.capacities().sites;
    let threads = match parts.inherited {
        Some(parent) => parent.threads.after_fork(),
        None => Threads::new(sites, parts.stacks)
            .ok_or(InstallError::Exhausted("thread-specific key"))?,
    };
    let recorder = Box::new(Recorder {
        blocks: Blocks::with_capacity(parts.blocks).ok_or(InstallError::Exhausted("memory"))?,
        sites: Sites::with_capacity(sites).ok_or(InstallError::Exhausted("memory"))?,
        segments: Segments::for_sites(sites).ok_or(InstallError::Exhausted("memory"))?,
        threads,
        stacks: parts.stacks,
        sampling,
        detached: AtomicBool::new(false),
        inherited: parts.inherited,
        ledger,
    });
    let tables = [recorder.blocks.first_level()].into_iter();
    for table in tables.chain(recorder.sites.tables()).chain(recorder.segments.tables()) {
        recorder.ledger.add_table(table.start, table.bytes);
    }
    Ok(recorder)
}

/// Asks OpenSSL whether it still calls the recorder, and notes in the ledger when it does not:
/// while somebody's functions are installed, OpenSSL lets anybody replace them at any time.
///
/// `true` also when no recorder is installed.
pub fn check_in_place() -> bool {
    let Some(recorder) = recorder::current() else { return true };
    let in_place = openssls::all_in_place();
    if !in_place {
        recorder.report_replaced();
    }
    in_place
}

/// Notes in the ledger that somebody has replaced the recorder's functions in an OpenSSL.
pub fn note_replaced() {
    if let Some(recorder) = recorder::current() {
        recorder.report_replaced();
    }
}

/// Calls `visit` with the requested size of every live block of OpenSSL's that is counted, and how
/// many blocks it stands for (1 unless a part of them is counted), for sums that the ledger does not
/// have. Blocks that come or go meanwhile may be seen or not. Takes some tens of
/// milliseconds for a million blocks, and does nothing without a recorder.
pub fn for_each_live_block(mut visit: impl FnMut(u64, f64)) {
    if let Some(recorder) = recorder::current() {
        let sampling = recorder.sampling;
        recorder.blocks.for_each_size(|bytes| {
            visit(bytes, sampling.map_or(1.0, |sampling| sampling.estimate(bytes, 1).blocks));
        });
    }
}

/// The site that a live block of OpenSSL's is counted at, by its place in the ledger's
/// [sites](ledger::Snapshot::sites), for whoever wants to hold the recorded stack against another.
/// Only the block's owner may ask. `None` for blocks that are not known, and for those whose site
/// found no room.
pub fn site_of_block(block: *const std::ffi::c_void) -> Option<usize> {
    let recorder = recorder::current()?;
    let block = recorder.blocks.look_at(block as usize)?;
    let number = recorder.ledger.cells().cell(block.cell()).site().number();
    (number as usize).checked_sub(1)
}

/// In a forked child: the ledger goes on belonging to the parent, and the child runs unrecorded.
unsafe extern "C" fn detach() {
    if let Some(recorder) = recorder::current() {
        recorder.detached.store(true, Ordering::Relaxed);
    }
    ledger_writer::forget_permits();
    // At a desk it would go on counting.
    threads::stand_up();
}
