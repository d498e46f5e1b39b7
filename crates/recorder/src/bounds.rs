//! Where the calling thread's stack lies.

use std::sync::OnceLock;

use ledger_writer::Permit;

use crate::deep;

/// The part of memory that is the calling thread's stack.
#[derive(Clone, Copy)]
pub(crate) struct Bounds {
    pub low: usize,
    pub high: usize,
}

impl Bounds {
    /// The bounds of no stack: they hold no frame.
    pub(crate) const NOWHERE: Bounds = Bounds { low: 1, high: 1 };

    /// The bounds of the calling thread's stack. They never change.
    #[cold]
    #[inline(never)]
    pub(crate) fn of_this_thread() -> Bounds {
        let here = deep::frame_outside();
        let main = MAIN_STACK.get();
        let is_here = |bounds: &Bounds| bounds.holds(here);
        if let Some(MainStack { bounds, .. }) = main.filter(|main| is_here(&main.bounds)) {
            return *bounds;
        }
        // On a stack that is not the thread's own (a coroutine's, say) nothing is followed.
        find_bounds(main).filter(is_here).unwrap_or(Bounds::NOWHERE)
    }

    /// Whether a frame record (two words) lies within, aligned.
    #[inline]
    pub(crate) fn holds(self, frame: usize) -> bool {
        frame >= self.low && frame < self.high && frame.is_multiple_of(size_of::<usize>())
    }

    /// Whether every word from the frame record at `frame` to `reach` bytes further out lies
    /// within, of the frame of a function that keeps to its calling convention, so that it is
    /// aligned.
    #[inline(always)]
    pub(crate) fn hold_from(self, frame: usize, reach: usize) -> bool {
        debug_assert!(frame.is_multiple_of(size_of::<usize>()));
        frame >= self.low && frame.wrapping_add(reach) <= self.high
    }
}

/// Where the main thread's stack lies, and in which process that is so.
struct MainStack {
    bounds: Bounds,
    process: u32,
}

/// Of the process that the recorder came into: later /proc, where the C library looks for it, may be
/// out of reach.
static MAIN_STACK: OnceLock<MainStack> = OnceLock::new();

/// Remembers where the main thread's stack is, if that is the calling thread.
pub(crate) fn remember_main_stack() {
    if is_first_thread()
        && let Some(bounds) = ask()
    {
        MAIN_STACK.get_or_init(|| MainStack { bounds, process: std::process::id() });
    }
}

/// The thread that came with the process. In a forked child it has the stack of any thread.
fn is_first_thread() -> bool {
    // SAFETY: no arguments, no effect.
    unsafe { libc::gettid() == libc::getpid() }
}

/// `None` where it cannot be known: on another stack than the thread's own, and in a sandbox.
fn find_bounds(main: Option<&MainStack>) -> Option<Bounds> {
    let _permit = Permit::ask()?;
    if !is_first_thread() {
        // Here: whoever jumps away from one of the recorder's stacks must not take a lock of the C
        // library's along. Its malloc has just been called on this stack.
        return ask();
    }
    // The main thread's own stack was tried.
    if main.is_some_and(|main| main.process == std::process::id()) {
        return None;
    }
    // For the first thread's the C library may read a file, which takes 3 KB of a stack.
    deep::call(ask).unwrap_or_else(|ask| ask())
}

/// Asks the C library, which allocates with the C library's malloc: once a thread.
fn ask() -> Option<Bounds> {
    let mut low = std::ptr::null_mut();
    let mut size = 0;
    // SAFETY: an all-zero pthread_attr_t is only storage for pthread_getattr_np to fill.
    let mut attributes: libc::pthread_attr_t = unsafe { std::mem::zeroed() };
    // SAFETY: the calling thread exists; the attributes are initialised before they are asked and
    // destroyed once.
    unsafe {
        if libc::pthread_getattr_np(libc::pthread_self(), &raw mut attributes) == 0 {
            libc::pthread_attr_getstack(&raw const attributes, &raw mut low, &raw mut size);
            libc::pthread_attr_destroy(&raw mut attributes);
        }
    }
    let (low, high) = (low as usize, (low as usize).saturating_add(size));
    // The last word of the stack cannot begin a frame record.
    (low != 0).then(|| Bounds { low, high: high - size_of::<usize>() })
}
