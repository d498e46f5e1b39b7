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
        find_bounds()
            .or_else(|| MAIN_STACK.get().copied())
            .filter(|bounds| bounds.holds(here))
            // On a stack that is not the thread's own (a coroutine's, say) nothing is followed.
            .unwrap_or(Bounds::NOWHERE)
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

/// The main thread's bounds, from when the recorder came: later /proc, where the C library looks
/// for them, may be out of reach.
static MAIN_STACK: OnceLock<Bounds> = OnceLock::new();

/// Remembers where the main thread's stack is, if that is the calling thread.
pub(crate) fn remember_main_stack() {
    // SAFETY: no arguments, no effect.
    let main = unsafe { libc::gettid() == libc::getpid() };
    if let Some(bounds) = find_bounds().filter(|_| main) {
        MAIN_STACK.get_or_init(|| bounds);
    }
}

/// Asks the C library, which may allocate with the C library's malloc and read /proc: never on the
/// recorded path, once a thread. `None` where it does not know, and in a sandbox.
fn find_bounds() -> Option<Bounds> {
    let _permit = Permit::ask()?;
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
