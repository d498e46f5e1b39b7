//! The compiler's own unwinder as the judge of recorded stacks: at each allocation both walk the
//! same stack, and what the recorder has counted the block under is held against what the unwinder
//! saw.
//!
//! The judge stands between OpenSSL and the recorder's hooks, or between the program and the
//! functions that count its malloc ([`judge_one`]). So recorded stacks begin in the judge, and both
//! have everything from its caller on.

use std::collections::HashMap;
use std::ffi::{c_char, c_int, c_void};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use ledger::Snapshot;
use serde::{Deserialize, Serialize};

use crate::hooks::Hooks;

/// Contradictions that are kept as examples.
const EXAMPLES: usize = 3;

/// How the recorder's stacks compare with the unwinder's, in allocations.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// All that were compared: the sum of the next four.
    pub compared: u64,
    /// Both have the same frames.
    pub same: u64,
    /// The recorder has the innermost ones of the unwinder's frames, or all of them, and says that
    /// its stack is cut short.
    pub truncated: u64,
    /// The unwinder ended before the recorder, and up to there both have the same frames.
    pub unwinder_ended: u64,
    /// Anything else.
    pub contradictions: u64,
    /// Allocations that have no site in the ledger, and were not compared.
    pub without_site: u64,
    /// Different stacks that were compared.
    pub stacks: usize,
    /// The first contradictions, in words.
    pub examples: Vec<String>,
}

/// What was seen at allocations.
#[derive(Default)]
struct Seen {
    /// How often an allocation was counted at a site while the unwinder saw a stack.
    stacks: HashMap<(usize, Vec<u64>), u64>,
    without_site: u64,
    compared: u64,
}

static SEEN: Mutex<Option<Seen>> = Mutex::new(None);
static RECORDER: OnceLock<Hooks> = OnceLock::new();
static TOLD: OnceLock<(u64, fn())> = OnceLock::new();

/// How many frames the unwinder sees up to the judge's own; 0 is not known yet.
static FRAMES_OF_MALLOC: AtomicUsize = AtomicUsize::new(0);
static FRAMES_OF_REALLOC: AtomicUsize = AtomicUsize::new(0);

/// Hooks that call the recorder's, and compare. Once a process.
///
/// # Panics
///
/// When there is a judge already.
pub fn above(recorder: Hooks) -> Hooks {
    assert!(RECORDER.set(recorder).is_ok(), "one judge");
    Hooks { malloc, realloc, free }
}

/// From now on, `tell` is called at every so many comparisons, from within an allocation.
pub fn tell_every(comparisons: u64, tell: fn()) {
    let _ = TOLD.set((comparisons, tell));
}

/// The verdict on all allocations up to now, whose sites are in the ledger at this path.
pub fn verdict(ledger: &Path) -> Result<Verdict, ledger::LedgerError> {
    // In this order: every site that was seen is in the ledger.
    let seen = seen();
    let snapshot = Snapshot::read_file(ledger)?;
    let mut verdict = Verdict::default();
    let Some(seen) = seen.as_ref() else { return Ok(verdict) };
    verdict.without_site = seen.without_site;
    verdict.stacks = seen.stacks.len();
    for ((site, unwound), count) in &seen.stacks {
        let site = &snapshot.sites[*site];
        // The first frame is the judge's own.
        let recorded = site.stack.get(1..).unwrap_or_default();
        verdict.compared += count;
        *match judge(recorded, site.truncated, unwound) {
            Finding::Same => &mut verdict.same,
            Finding::Truncated => &mut verdict.truncated,
            Finding::UnwinderEnded => &mut verdict.unwinder_ended,
            Finding::Contradiction => &mut verdict.contradictions,
        } += count;
        if judge(recorded, site.truncated, unwound) == Finding::Contradiction
            && verdict.examples.len() < EXAMPLES
        {
            let (file, line) = (site.file.as_deref().unwrap_or("?"), site.line);
            verdict.examples.push(format!(
                "{count} at {file}:{line}, truncated: {}: {recorded:#x?} is not {unwound:#x?}",
                site.truncated
            ));
        }
    }
    Ok(verdict)
}

/// What a comparison comes to; the words are those of [`Verdict`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Finding {
    Same,
    Truncated,
    UnwinderEnded,
    Contradiction,
}

fn judge(recorded: &[u64], truncated: bool, unwound: &[u64]) -> Finding {
    if truncated && unwound.starts_with(recorded) {
        Finding::Truncated
    } else if recorded == unwound {
        Finding::Same
    } else if recorded.starts_with(unwound) {
        Finding::UnwinderEnded
    } else {
        Finding::Contradiction
    }
}

/// The one ledger in a folder.
pub fn ledger_in(folder: &Path) -> Option<PathBuf> {
    let entries = std::fs::read_dir(folder).ok()?.flatten().map(|entry| entry.path());
    let mut ledgers = entries.filter(|path| path.extension().is_some_and(|it| it == "ledger"));
    let one = ledgers.next();
    one.filter(|_| ledgers.next().is_none())
}

impl Verdict {
    /// The share of stacks that are cut short, of those that were compared.
    pub fn truncated_share(&self) -> f64 {
        self.truncated as f64 / self.compared.max(1) as f64
    }

    /// In a line.
    pub fn describe(&self) -> String {
        format!(
            "{} allocations from {} stacks: {} the same, {} cut short ({:.2} %), {} in which the \
             unwinder ended first, {} contradictions; {} without a site",
            self.compared,
            self.stacks,
            self.same,
            self.truncated,
            100.0 * self.truncated_share(),
            self.unwinder_ended,
            self.contradictions,
            self.without_site,
        )
    }
}

unsafe extern "C" fn malloc(size: usize, file: *const c_char, line: c_int) -> *mut c_void {
    // SAFETY: OpenSSL's call, passed on.
    let block = unsafe { (recorders().malloc)(size, file, line) };
    compare(block, &FRAMES_OF_MALLOC, |frame| {
        std::ptr::eq(frame.symbol_address(), malloc as *const c_void)
    });
    block
}

unsafe extern "C" fn realloc(
    block: *mut c_void,
    size: usize,
    file: *const c_char,
    line: c_int,
) -> *mut c_void {
    // SAFETY: OpenSSL's call, passed on.
    let moved = unsafe { (recorders().realloc)(block, size, file, line) };
    compare(moved, &FRAMES_OF_REALLOC, |frame| {
        std::ptr::eq(frame.symbol_address(), realloc as *const c_void)
    });
    moved
}

unsafe extern "C" fn free(block: *mut c_void, file: *const c_char, line: c_int) {
    // SAFETY: OpenSSL's call, passed on.
    unsafe { (recorders().free)(block, file, line) };
}

fn recorders() -> Hooks {
    *RECORDER.get().expect("`above` has stored them before OpenSSL calls")
}

/// Judges a block that the recorder has just counted, for a function of the malloc family that
/// stands before the recorder's, in one object with this judge; how many frames there are up to its
/// own is kept in `frames_of`, 0 at first. What the judge asks malloc for meanwhile is the
/// recorder's own work.
#[inline(never)]
pub fn judge_one(block: *const c_void, frames_of: &AtomicUsize) {
    // Not by the function's address: a program may have everybody take that of a jump of its own.
    let own = object_of(judge_one as *const c_void);
    recorder::own_work(|| compare(block, frames_of, |frame| object_of(frame.ip()) == own));
}

/// Where the object begins that has this address.
fn object_of(address: *const c_void) -> usize {
    // SAFETY: all-zero bytes are a record without names.
    let mut found: libc::Dl_info = unsafe { std::mem::zeroed() };
    // SAFETY: any address may be asked for, and a place for what is known of it.
    unsafe { libc::dladdr(address, &raw mut found) };
    found.dli_fbase as usize
}

/// Notes where a block was counted, and the stack that called the judge's function, whose frame is
/// the last one that `is_judges` knows.
#[inline(never)]
fn compare(
    block: *const c_void,
    frames_of: &AtomicUsize,
    is_judges: impl Fn(&backtrace::Frame) -> bool,
) {
    if block.is_null() {
        return;
    }
    let site = recorder::site_of_block(block);
    let calibrate = frames_of.load(Ordering::Relaxed) == 0;
    let mut addresses = Vec::with_capacity(128);
    // SAFETY: what must not happen at a time is to look names up; walking is free of locks.
    unsafe {
        backtrace::trace_unsynchronized(|frame| {
            addresses.push(frame.ip() as u64);
            if calibrate && is_judges(frame) {
                frames_of.store(addresses.len(), Ordering::Relaxed);
            }
            true
        });
    }
    addresses.retain(|address| *address != 0); // beyond the root
    let own = frames_of.load(Ordering::Relaxed);
    assert_ne!(own, 0, "the unwinder passes the judge");
    let stack = addresses.split_off(own);
    let mut seen = seen();
    let all = seen.get_or_insert_default();
    match site {
        Some(site) => {
            *all.stacks.entry((site, stack)).or_default() += 1;
            all.compared += 1;
        }
        None => all.without_site += 1,
    }
    let compared = all.compared;
    drop(seen);
    if let Some((every, tell)) = TOLD.get()
        && compared.is_multiple_of(*every)
    {
        tell();
    }
}

fn seen() -> MutexGuard<'static, Option<Seen>> {
    SEEN.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stack_that_ends_early_and_does_not_say_so_is_a_contradiction() {
        assert_eq!(judge(&[1, 2, 3], false, &[1, 2, 3]), Finding::Same);
        assert_eq!(judge(&[1, 2], true, &[1, 2, 3]), Finding::Truncated);
        assert_eq!(judge(&[1, 2, 3], true, &[1, 2, 3]), Finding::Truncated);
        assert_eq!(judge(&[1, 2], false, &[1, 2, 3]), Finding::Contradiction);
    }

    #[test]
    fn other_frames_are_a_contradiction_wherever_they_are() {
        assert_eq!(judge(&[1, 2, 3], false, &[1, 2]), Finding::UnwinderEnded);
        for truncated in [false, true] {
            assert_eq!(judge(&[1, 4, 3], truncated, &[1, 2, 3]), Finding::Contradiction);
            assert_eq!(judge(&[1, 4, 3], truncated, &[1, 2]), Finding::Contradiction);
        }
    }
}
