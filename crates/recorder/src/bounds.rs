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

/// Remembers where the main thread's stack is, as the process's memory map says: the C library would
/// read that itself.
pub(crate) fn main_stack_is_in(map: &[u8]) {
    // SAFETY: all-zero bytes are a record of numbers.
    let mut limit: libc::rlimit = unsafe { std::mem::zeroed() };
    // SAFETY: a place for the answer.
    if unsafe { libc::getrlimit(libc::RLIMIT_STACK, &raw mut limit) } != 0 {
        return;
    }
    let most = usize::try_from(limit.rlim_cur).unwrap_or(usize::MAX);
    if let Some(bounds) = main_stack(&String::from_utf8_lossy(map), most) {
        MAIN_STACK.get_or_init(|| MainStack { bounds, process: std::process::id() });
    }
}

/// The stack grows down to what lies below it, and to no more than `most` bytes.
fn main_stack(map: &str, most: usize) -> Option<Bounds> {
    let mut below = 0;
    for line in map.lines() {
        let (start, rest) = line.split_once('-')?;
        let number = |text: &str| usize::from_str_radix(text, 16).ok();
        let (start, end) = (number(start)?, number(rest.split(' ').next()?)?);
        if line.ends_with("[stack]") {
            let low = below.max(end.saturating_sub(most)).min(start);
            return Some(Bounds { low, high: end - size_of::<usize>() });
        }
        below = end;
    }
    None
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_stack_is_what_the_map_says_of_it_and_what_it_may_grow_to() {
        let map = "1000-2000 r-xp 00000000 fe:00 7    /bin/program\n\
                   7000-9000 rw-p 00000000 00:00 0    [stack]\n\
                   a000-b000 r-xp 00000000 00:00 0    [vdso]\n";
        let stack = |most| main_stack(map, most).map(|bounds| (bounds.low, bounds.high));
        assert_eq!(stack(0x4000), Some((0x5000, 0x8ff8)));
        assert_eq!(stack(usize::MAX), Some((0x2000, 0x8ff8)));
        assert_eq!(stack(0), Some((0x7000, 0x8ff8)));
        assert!(main_stack("1000-2000 r-xp 00000000 fe:00 7    /bin/program\n", 0).is_none());
        assert!(main_stack("nothing of the kind\n", 0).is_none());
        // What the C library says of this process, if this is its first thread.
        let map = std::fs::read_to_string("/proc/self/maps").expect("a mounted /proc");
        assert!(main_stack(&map, 8 << 20).is_some_and(|it| it.low < it.high));
    }
}
