//! Whether this is still the process that the recorder's memory speaks of.
//!
//! A child has its parent's memory, and with it the parent's ledger. One that is made by `fork` is
//! told so by the C library's handler; one that is made by `_Fork`, or by the system call itself,
//! is not. So there is a word in a page that the kernel clears in every child with a memory of its
//! own (`MADV_WIPEONFORK`, Linux 4.14), and each event looks at it on its way in.
//!
//! A child that shares its parent's memory (`vfork`, `clone` with `CLONE_VM`) has the word as it
//! is. What it allocates is its parent's, who goes on with the same heap, and is counted there.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};

use ledger_writer::{Permit, is_sandboxed};

/// A page of its own, so that nothing else is cleared with the words.
#[repr(C, align(4096))]
struct Page {
    /// The tag of what threads remember (see [`OWN_TAG`]): 0 in a process whose memory this is not.
    own: AtomicUsize,
    /// A thread is taking the memory over.
    moving: AtomicBool,
    rest: [u8; PAGE - WORDS],
}

const PAGE: usize = 4096;
const WORDS: usize = size_of::<AtomicUsize>() + size_of::<AtomicBool>();
const _: () = assert!(size_of::<Page>() == PAGE);

static MARK: Page =
    Page { own: AtomicUsize::new(OTHER), moving: AtomicBool::new(false), rest: [0; PAGE - WORDS] };

/// Another process's memory, or nobody has prepared it. What the kernel leaves in a child.
const OTHER: usize = 0;

/// The tag that stands in `own` in the process whose memory this is. What a thread remembers, an
/// address with [`TAGS`] free, carries the tag of the recorder that it is of: where the recorder of
/// a process is followed by another ([`renew_tag`]), threads that are not told find that theirs is
/// not the present one, in the same two instructions in which a child finds that it is one.
static OWN_TAG: AtomicUsize = AtomicUsize::new(TAG_STEP);

/// The lowest tag, and the distance to the next: above the bits that a thread's word has for itself.
const TAG_STEP: usize = 4;
/// The bits of a tag, and of what else is no part of an address.
pub(crate) const TAGS: usize = PAGE - 1;

/// The tag has been stored in this process or in one that it descends from.
static PREPARED: AtomicBool = AtomicBool::new(false);
/// The process, where the kernel does not clear the tag and it has to be asked; else 0.
static ASKED: AtomicU32 = AtomicU32::new(0);

/// How often it is looked whether another thread has taken the memory over, which takes it some
/// stores.
const LOOKS: u32 = 10_000;

/// Gets ready, before the first event. The caller sees to it that nobody else does at that time.
pub(crate) fn prepare() {
    if PREPARED.load(Ordering::Acquire) {
        return;
    }
    if !is_cleared_in_children() {
        ASKED.store(std::process::id(), Ordering::Release);
    }
    MARK.own.store(tag(), Ordering::Release);
    PREPARED.store(true, Ordering::Release);
}

/// What the recorder that is made next has its threads remember.
pub(crate) fn tag() -> usize {
    OWN_TAG.load(Ordering::Relaxed)
}

/// What threads remember is nothing from now on. For one thread at a time.
pub(crate) fn renew_tag() {
    let next = tag() + TAG_STEP;
    OWN_TAG.store(next.min(LAST_TAG), Ordering::Relaxed);
    MARK.own.store(tag(), Ordering::Release);
}

/// There have been as many recorders as there are tags.
pub(crate) fn is_worn_out() -> bool {
    tag() == LAST_TAG
}

/// No recorder has it.
const LAST_TAG: usize = PAGE - TAG_STEP;

/// Has the kernel clear the words in children. `false` where it does not know how.
fn is_cleared_in_children() -> bool {
    let page = (&raw const MARK).cast_mut().cast();
    let access = libc::PROT_READ | libc::PROT_WRITE;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED;
    // SAFETY: asks for a figure. Where pages are larger, others' data would lie in this one.
    if unsafe { libc::sysconf(libc::_SC_PAGESIZE) } != PAGE as libc::c_long {
        return false;
    }
    // SAFETY: `MARK` is this page and nothing else, as its type says, and holds zeros, as it does
    // after the call: what changes is that no file lies behind it, which the advice asks for.
    // `prepare` comes here before anybody stores there.
    let anonymous = unsafe { libc::mmap(page, PAGE, access, flags, -1, 0) };
    // SAFETY: advice for the page just mapped.
    anonymous == page && unsafe { libc::madvise(page, PAGE, libc::MADV_WIPEONFORK) } == 0
}

/// The address that a thread remembers, if the recorder's memory speaks of this process and the word
/// is of its present recorder; else, and before [`prepare`], something with bits of [`TAGS`] in it.
#[inline(always)] // two instructions, and a comparison tells which of the two it is
pub(crate) fn if_own(remembered: usize) -> usize {
    remembered ^ own_tag()
}

/// The tag. In a library, Rust would look up first where it lies, though that never changes.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
fn own_tag() -> usize {
    let tag;
    // SAFETY: reads the first word of `MARK`, as a relaxed load does. Nobody outside of the library
    // or program that this is part of can put another in its place.
    unsafe {
        std::arch::asm!(
            "mov {tag}, qword ptr [rip + {mark}]",
            tag = lateout(reg) tag,
            mark = sym MARK,
            options(nostack, preserves_flags, readonly),
        );
    }
    tag
}

/// The tag.
#[cfg(not(target_arch = "x86_64"))]
#[inline(always)]
fn own_tag() -> usize {
    MARK.own.load(Ordering::Relaxed)
}

/// Whether the recorder's memory speaks of this process. `false` also before [`prepare`].
#[inline]
pub(crate) fn is_own() -> bool {
    MARK.own.load(Ordering::Acquire) != OTHER
}

/// Looks who this is where the kernel does not say so by itself. For events that take long anyway:
/// it is a system call.
#[inline]
pub(crate) fn ask_if_needed() {
    if ASKED.load(Ordering::Relaxed) != 0 {
        ask();
    }
}

#[cold]
fn ask() {
    if let Some(_permit) = Permit::ask()
        && ASKED.load(Ordering::Relaxed) != std::process::id()
    {
        MARK.own.store(OTHER, Ordering::Release);
    }
}

/// What comes of [`take_over`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    /// The caller has to begin as a child does, and then call [`settle_in`].
    ByCaller,
    /// It has been done before.
    Before,
    /// Nobody knows, or may know, whose memory it is: nothing can be counted.
    Not,
}

/// How a child has come to know that it is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    /// By the C library's handlers, which are called before anything else.
    ByHandler,
    /// By the tag alone.
    ByTag,
}

/// In a child: makes the memory this process's.
#[cold]
pub(crate) fn take_over(told: Told) -> Taken {
    if told == Told::ByHandler && ASKED.load(Ordering::Relaxed) != 0 {
        MARK.own.store(OTHER, Ordering::Release);
        MARK.moving.store(false, Ordering::Release);
    }
    if !PREPARED.load(Ordering::Acquire) {
        return Taken::Not;
    }
    for _ in 0..LOOKS {
        if is_own() {
            return Taken::Before;
        }
        if !MARK.moving.swap(true, Ordering::AcqRel) {
            if is_own() {
                MARK.moving.store(false, Ordering::Release);
                return Taken::Before;
            }
            if told == Told::ByHandler || is_first_thread() {
                return Taken::ByCaller;
            }
            MARK.moving.store(false, Ordering::Release);
            return Taken::Not;
        }
        std::thread::yield_now();
    }
    Taken::Not
}

/// The memory is this process's from now on.
pub(crate) fn settle_in() {
    if ASKED.load(Ordering::Relaxed) != 0 && !is_sandboxed() {
        ASKED.store(std::process::id(), Ordering::Release);
    }
    MARK.own.store(tag(), Ordering::Release);
    MARK.moving.store(false, Ordering::Release);
}

/// Whether the calling thread is the one that came with the process. A child's has what it had as a
/// thread of the parent, and must not go on with it: so no other may say that all is new. Behind a
/// system-call filter it cannot be asked, and is likely.
fn is_first_thread() -> bool {
    let Some(_permit) = Permit::ask() else { return true };
    // SAFETY: no arguments, no effect.
    unsafe { libc::gettid() == libc::getpid() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Calls `child` in a process that is made without the C library's handlers; its answer is the
    /// child's exit code.
    fn in_a_raw_child(child: impl FnOnce() -> i32) -> i32 {
        // SAFETY: as fork, without handlers: no flag but the signal at its end. The child calls
        // what `child` does, which allocates nothing, and ends.
        let pid = unsafe { libc::syscall(libc::SYS_clone, libc::SIGCHLD, 0, 0, 0, 0) };
        if pid == 0 {
            // SAFETY: ends the child.
            unsafe { libc::_exit(child()) };
        }
        let mut status = 0;
        // SAFETY: a child of ours and a place for its status.
        assert_eq!(unsafe { libc::waitpid(pid as libc::pid_t, &raw mut status, 0) }, pid as i32);
        assert!(libc::WIFEXITED(status), "{status:#x}");
        libc::WEXITSTATUS(status)
    }

    /// An address, and the word of a thread that remembers it.
    const DESK: usize = 3 * PAGE;
    const WORD: usize = DESK | TAG_STEP;

    /// What holds in a child, however it is told.
    fn takes_over_once() -> i32 {
        ask_if_needed();
        let before = is_own() || if_own(WORD) == DESK;
        let taken = take_over(Told::ByHandler);
        settle_in();
        let after = is_own() && if_own(WORD) == DESK && take_over(Told::ByTag) == Taken::Before;
        i32::from(before || taken != Taken::ByCaller || !after)
    }

    #[test]
    fn a_child_is_told_apart_with_the_kernels_help_and_without() {
        prepare();
        assert!(is_own());
        assert_eq!(take_over(Told::ByTag), Taken::Before);
        assert_eq!(in_a_raw_child(takes_over_once), 0);
        assert!(is_own(), "a child's page is its own");
        let asked = ASKED.swap(std::process::id(), Ordering::AcqRel);
        // As on a kernel that clears nothing.
        let child = || {
            MARK.own.store(tag(), Ordering::Relaxed);
            takes_over_once()
        };
        assert_eq!(in_a_raw_child(child), 0);
        ASKED.store(asked, Ordering::Release);
    }
}
