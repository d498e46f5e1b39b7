//! Stacks of the recorder's own, for what takes more than a hook may take of somebody else's.
//!
//! A thread may have a stack of 16 KB and a coroutine one of 4 KB: what the program needs without
//! the recorder. So a hook does there what it does mostly, and goes to one of these stacks for what
//! happens once: to make the ledger, to give a thread its desk, to look a new instruction up in the
//! unwind tables.
//!
//! A signal that comes meanwhile is handled there too, unless its handler has a stack of its own;
//! there is more room than on most. A handler that does not come back, but jumps out of it, takes
//! the stack along; when all are gone, callers have to do without. Who unwinds from there comes
//! through [`switch`], which has a frame pointer, to the program's own frames.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};

use crate::current;
use crate::frame_pointer::frame_pointer;
use crate::memory::{self, Table};
use crate::valgrind;

/// Bytes of a stack, committed page by page. The recorder takes some pages; the rest is for signal
/// handlers.
const BYTES: usize = 256 << 10;
/// As many threads can be there at one time. Each is there for microseconds, but for the one that
/// makes the ledger.
const MOST: usize = 16;
/// How often a thread looks for a free one.
const LOOKS: u32 = 100;

struct Place {
    /// The lowest byte, once it is mapped.
    low: AtomicPtr<u8>,
    taken: AtomicBool,
    /// The frame from which somebody has come here.
    from: AtomicPtr<u8>,
}

impl Place {
    fn holds(&self, frame: usize) -> bool {
        let low = self.low.load(Ordering::Acquire) as usize;
        low != 0 && (low..low + BYTES).contains(&frame)
    }
}

static PLACES: [Place; MOST] = [const {
    Place {
        low: AtomicPtr::new(std::ptr::null_mut()),
        taken: AtomicBool::new(false),
        from: AtomicPtr::new(std::ptr::null_mut()),
    }
}; MOST];

/// Calls `work` on a stack of the recorder's own, or else gives it back: all are taken, and stay
/// so.
#[inline(never)]
pub(crate) fn call<R, F: FnOnce() -> R>(work: F) -> Result<R, F> {
    let Some(stack) = Taken::any() else { return Err(work) };
    let mut call = Call::Work(work);
    // SAFETY: the top of a mapped stack that nobody else is on, aligned to a page; `call` outlives
    // the call, and `run` is made for its type.
    unsafe { switch(stack.top(), run(&call), (&raw mut call).cast()) };
    drop(stack);
    match call {
        Call::Answer(Ok(answer)) => Ok(answer),
        // A panic of the host's does not unwind from one stack to another, but goes on here.
        Call::Answer(Err(panic)) => resume_unwind(panic),
        Call::Work(work) => Err(work),
        Call::Running => unreachable!("it has returned"),
    }
}

/// The frame on the program's own stack that the calling function was called from, however deep:
/// its own, unless it is on a stack of the recorder's.
#[inline(always)]
pub(crate) fn frame_outside() -> usize {
    let here = frame_pointer();
    let place = PLACES.iter().find(|place| place.holds(here));
    place.map_or(here, |place| place.from.load(Ordering::Relaxed) as usize)
}

/// The stacks that have been needed so far.
pub(crate) fn tables() -> impl Iterator<Item = Table> {
    let lows = PLACES.iter().map(|place| place.low.load(Ordering::Acquire) as usize);
    lows.filter(|low| *low != 0).map(|start| Table { start, bytes: BYTES })
}

/// In a child: the threads that were on the other stacks are not there.
pub(crate) fn begin_anew() {
    let here = frame_pointer();
    for place in PLACES.iter().filter(|place| !place.holds(here)) {
        place.taken.store(false, Ordering::Release);
    }
}

enum Call<F, R> {
    Work(F),
    Running,
    Answer(std::thread::Result<R>),
}

type Run = unsafe extern "C" fn(*mut u8);

/// The function that makes a call of this type.
fn run<F: FnOnce() -> R, R>(_: &Call<F, R>) -> Run {
    /// # Safety
    ///
    /// `call` is one of this type, and nobody else's.
    unsafe extern "C" fn run<F: FnOnce() -> R, R>(call: *mut u8) {
        // SAFETY: the caller's promise.
        let call = unsafe { &mut *call.cast::<Call<F, R>>() };
        if let Call::Work(work) = std::mem::replace(call, Call::Running) {
            *call = Call::Answer(catch_unwind(AssertUnwindSafe(work)));
        }
    }
    run::<F, R>
}

/// A stack that the calling thread alone is on.
struct Taken(&'static Place, NonNull<u8>);

impl Taken {
    fn any() -> Option<Taken> {
        for _ in 0..LOOKS {
            if let Some(taken) = PLACES.iter().find_map(Taken::one) {
                return Some(taken);
            }
            std::thread::yield_now();
        }
        None
    }

    fn one(place: &'static Place) -> Option<Taken> {
        if place.taken.load(Ordering::Relaxed) || place.taken.swap(true, Ordering::Acquire) {
            return None;
        }
        let mapped = NonNull::new(place.low.load(Ordering::Relaxed));
        let Some(low) = mapped.or_else(|| memory::map(BYTES)) else {
            place.taken.store(false, Ordering::Release);
            return None;
        };
        place.low.store(low.as_ptr(), Ordering::Release);
        if mapped.is_none()
            && let Some(recorder) = current::published()
        {
            recorder.ledger.add_table(low.as_ptr() as usize, BYTES);
        }
        if mapped.is_none() {
            valgrind::register_stack(low.as_ptr() as usize, low.as_ptr() as usize + BYTES);
        }
        place.from.store(frame_pointer() as *mut u8, Ordering::Relaxed);
        Some(Taken(place, low))
    }

    fn top(&self) -> *mut u8 {
        self.1.as_ptr().wrapping_add(BYTES)
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        self.0.taken.store(false, Ordering::Release);
    }
}

/// Calls `run` with `argument` on the stack with this top.
///
/// # Safety
///
/// Below `top`, which is aligned to 16, lies memory that nobody uses, enough for the call; and the
/// call may be made.
#[cfg(target_arch = "x86_64")]
#[inline(never)]
unsafe fn switch(top: *mut u8, run: Run, argument: *mut u8) {
    // SAFETY: the callee keeps r12 by the calling convention, and so the stack pointer is what it
    // was; what else it may change is said. The rest is the caller's promise.
    unsafe {
        std::arch::asm!(
            "xchg rsp, r12",
            "call {run}",
            "mov rsp, r12",
            run = in(reg) run,
            inout("r12") top => _,
            in("rdi") argument,
            clobber_abi("C"),
        );
    }
}

/// As above.
///
/// # Safety
///
/// As above.
#[cfg(target_arch = "aarch64")]
#[inline(never)]
unsafe fn switch(top: *mut u8, run: Run, argument: *mut u8) {
    // SAFETY: as above; the callee keeps x20.
    unsafe {
        std::arch::asm!(
            "mov x9, sp",
            "mov sp, x20",
            "mov x20, x9",
            "blr {run}",
            "mov sp, x20",
            run = in(reg) run,
            inout("x20") top => _,
            in("x0") argument,
            out("x9") _,
            clobber_abi("C"),
        );
    }
}

/// On other processors it is called where one is.
///
/// # Safety
///
/// The call may be made.
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
unsafe fn switch(_top: *mut u8, run: Run, argument: *mut u8) {
    // SAFETY: the caller's promise.
    unsafe { run(argument) };
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `work` answers on a stack of the recorder's own.
    fn deep<R>(work: impl FnOnce() -> R) -> R {
        call(work).unwrap_or_else(|_| panic!("none is free"))
    }

    #[test]
    fn what_is_called_deep_lies_elsewhere_and_knows_where_it_came_from() {
        let here = frame_pointer();
        let (inside, outside) = deep(|| (frame_pointer(), frame_outside()));
        assert!(inside.abs_diff(here) > BYTES, "{inside:#x} is near {here:#x}");
        assert!(outside.abs_diff(here) < 4096, "{outside:#x} is far from {here:#x}");
        assert!(frame_outside().abs_diff(here) < 4096);
        assert_eq!(deep(|| deep(|| 7)), 7);
    }

    #[test]
    fn a_panic_goes_on_where_it_was_called_from() {
        for _ in 0..2 * MOST {
            let caught = catch_unwind(|| deep(|| -> i32 { panic!("on purpose") }));
            assert!(caught.is_err());
        }
        assert_eq!(deep(|| 7), 7, "their stacks are free");
    }

    #[test]
    fn who_unwinds_from_there_comes_to_the_callers_frames() {
        #[inline(never)]
        fn marked() -> String {
            deep(|| std::backtrace::Backtrace::force_capture().to_string())
        }
        let told = std::hint::black_box(marked as fn() -> String)();
        let who = "who_unwinds_from_there_comes_to_the_callers_frames";
        assert!(told.matches(who).count() >= 3, "{told}");
    }

    #[test]
    fn a_stack_is_free_again_and_many_threads_find_one() {
        let threads = [(); 8].map(|()| {
            let sum = |at| call(move || at).unwrap_or_else(|work| work());
            std::thread::spawn(move || (0..1_000).map(sum).sum::<i32>())
        });
        for thread in threads {
            assert_eq!(thread.join().expect("it ends well"), 499_500);
        }
    }
}
