//! What each thread has for itself: its cells, and its guess where it will allocate next.
//!
//! A thread claims a [`Desk`] at its first event and leaves it when it ends; the next thread that
//! comes takes it over, cells and all, since only their sums matter. So the memory is bounded by
//! the largest number of threads at one time.

mod inside;
mod rooms;
mod seat;

use std::cell::UnsafeCell;
use std::ffi::c_void;
use std::ptr::NonNull;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicPtr, AtomicU8, AtomicU32, AtomicUsize, Ordering};

use ledger_writer::{Account, Accounts, Cell, Lease, Permit};

use crate::bounds::Bounds;
use crate::deep;
use crate::habits::Habits;
use crate::memory::Growing;
use crate::process;
use crate::recorder::Recorder;
use crate::segments::Source;
use crate::stack::StackSource;
use crate::thread_word;
use crate::threads::inside::{INSIDE, MARKS};
use crate::threads::rooms::Rooms;
use crate::trace::Trace;

pub(crate) use inside::{Inside, Seated, stand_up};
pub use inside::{is_at_own_work, own_work};
pub(crate) use seat::Seat;

/// Threads that can record at one time.
const DESKS: usize = 4096;

/// One thread's tables.
#[repr(C, align(64))]
pub(crate) struct Desk {
    /// The thread that sits here, as [`own_id`] has it; 0 when nobody does.
    owner: AtomicU32,
    /// The thread's share of how far the process is below its peak. Others may freeze it.
    account: Account,
    own: UnsafeCell<Own>,
}

/// What only the owner touches.
#[repr(C, align(64))]
struct Own {
    recorder: &'static Recorder,
    /// The desk's number, by which cells know their owner. It begins at 1.
    number: u32,
    /// What is known of the account.
    lease: Lease,
    /// By site number, as far as `memory` reaches.
    places: NonNull<Place>,
    /// The desk itself, and its places.
    memory: Growing,
    habits: Habits,
    /// Where its stack is walked to: too large for somebody else's stack.
    trace: Trace,
}

/// What a thread has at one site. Zeroed memory is nothing.
#[derive(Clone, Copy)]
struct Place {
    cell: Option<Cell>,
    /// The first of its habits, in the round in which it was learnt.
    habit: u32,
    round: u32,
}

/// All desks of the process.
pub(crate) struct Threads {
    desks: Box<[AtomicPtr<Desk>]>,
    /// Places from which on there is no desk.
    built: AtomicUsize,
    /// The C library's word that there is one thread.
    single: &'static AtomicU8,
    /// How stacks are read.
    stacks: StackSource,
    /// The thread-specific key whose destructor tells that a thread ends.
    key: libc::pthread_key_t,
    /// Where desks are built.
    rooms: Rooms,
    /// What tells the words of threads that sit here from those that have sat elsewhere.
    tag: usize,
}

impl Threads {
    /// Desks for a ledger with room for `sites` sites. `None` when the C library has no key left.
    pub(crate) fn new(sites: u32, stacks: StackSource) -> Option<Threads> {
        let key = key()?;
        let desks = (0..DESKS).map(|_| AtomicPtr::default()).collect();
        let (built, single) = (AtomicUsize::new(0), single_threaded());
        let bytes = PLACES_OFFSET + (sites as usize + 1) * size_of::<Place>();
        let (rooms, tag) = (Rooms::new(DESKS, bytes, BYTES_AT_ONCE), process::tag());
        Some(Threads { desks, built, single, stacks, key, rooms, tag })
    }

    /// Gives every desk back.
    ///
    /// # Safety
    ///
    /// Nobody sits at one any more, and the tag is another.
    pub(crate) unsafe fn unmap(&self) {
        for place in &self.desks {
            if let Some(desk) = NonNull::new(place.load(Ordering::Acquire)) {
                // SAFETY: the caller's promise; what is in the desk is moved out first.
                unsafe { (&raw const (*desk.as_ref().own.get()).memory).read().give_back() };
            }
        }
        // SAFETY: the caller's promise.
        unsafe { self.rooms.unmap() };
    }

    /// Desks for a forked child, whose ledger has room for as many sites as its parent's.
    pub(crate) fn after_fork(&self) -> Threads {
        let desks = (0..DESKS).map(|_| AtomicPtr::default()).collect();
        let built = AtomicUsize::new(0);
        Threads { desks, built, rooms: self.rooms.anew(), ..*self }
    }

    /// The calling thread's desk. `None` when all are taken.
    #[inline]
    pub(crate) fn desk<'a>(
        &self,
        recorder: &'static Recorder,
        inside: &'a mut Inside,
    ) -> Option<Seat<'a>> {
        let desk = match inside.desk {
            Some(desk) => desk,
            None => *inside.desk.insert(self.claim_deep(recorder)?),
        };
        // SAFETY: a thread's word names a desk whose owner it is; `Inside`, borrowed for as long as
        // the seat, says that no other reference to it exists on this thread.
        Some(unsafe { Seat::at(desk) })
    }

    /// Whether the calling thread is the process's only one.
    #[inline(always)]
    pub(crate) fn count(&self) -> ledger_writer::Threads {
        // The C library clears it before it starts a thread.
        match self.single.load(Ordering::Relaxed) {
            0 => ledger_writer::Threads::Several,
            _ => ledger_writer::Threads::One,
        }
    }

    #[cold]
    #[inline(never)]
    fn claim_deep(&self, recorder: &'static Recorder) -> Option<NonNull<Desk>> {
        own_work(|| {
            let bounds = Bounds::of_this_thread();
            deep::call(|| self.claim(recorder, bounds)).unwrap_or_else(|claim| claim())
        })
    }

    fn claim(&self, recorder: &'static Recorder, bounds: Bounds) -> Option<NonNull<Desk>> {
        let thread = own_id();
        let desk = self
            .desks
            .iter()
            .enumerate()
            .find_map(|(number, desk)| self.sit(number, desk, thread, recorder))
            .or_else(|| self.desks.iter().find_map(|desk| take_over(desk, thread)))?;
        // SAFETY: nobody but this thread touches what is its own from here on, and it is in the
        // hook for the first time.
        let habits = unsafe { &mut (*desk.as_ref().own.get()).habits };
        habits.move_to(bounds);
        let marks = thread_word::get() & MARKS;
        thread_word::set(desk.as_ptr() as usize | self.tag | marks | INSIDE);
        // SAFETY: a key of ours. Should it fail, the desk is found ownerless by `take_over`.
        unsafe { libc::pthread_setspecific(self.key, desk.as_ptr().cast()) };
        Some(desk)
    }

    /// Sits down at a free desk, or builds one where there is none.
    fn sit(
        &self,
        number: usize,
        place: &AtomicPtr<Desk>,
        thread: u32,
        recorder: &'static Recorder,
    ) -> Option<NonNull<Desk>> {
        if let Some(desk) = NonNull::new(place.load(Ordering::Acquire)) {
            // SAFETY: desks are never unmapped.
            let owner = unsafe { &desk.as_ref().owner };
            // A desk with our own id is that of a thread which ended without leaving.
            let free = [0, thread].into_iter().any(|id| {
                owner.compare_exchange(id, thread, Ordering::AcqRel, Ordering::Relaxed).is_ok()
            });
            return free.then_some(desk);
        }
        let memory = self.rooms.another(&recorder.ledger)?;
        if !memory.reach(PLACES_OFFSET, &|_| {}) {
            // SAFETY: nobody has seen it.
            unsafe { memory.give_back() };
            return None;
        }
        let (start, table) = (memory.start(), memory.table());
        let desk = start.cast::<Desk>();
        // SAFETY: fresh zeroed memory of at least this size, aligned to a page. Zero is a valid
        // Desk but for what is set here, `places` to the zeroed rest of its memory: Option<Cell>
        // of a non-null pointer is None when zero.
        unsafe {
            let own = desk.as_ref().own.get();
            (&raw mut (*own).recorder).write(recorder);
            (&raw mut (*own).number).write(number as u32 + 1);
            (&raw mut (*own).lease).write(Lease::default());
            (&raw mut (*desk.as_ptr()).account).write(Account::default());
            (&raw mut (*own).places).write(start.add(PLACES_OFFSET).cast());
            (&raw mut (*own).memory).write(memory);
            (&raw mut (*own).trace).write(Trace::new());
            let source = Source::new(self.stacks, &recorder.segments);
            Habits::begin(&raw mut (*own).habits, source, recorder.ledger.cells());
            desk.as_ref().owner.store(thread, Ordering::Relaxed);
        }
        // Whoever gathers accounts from here on sees this one, or changes the peak's state before
        // this thread looks at it.
        self.built.fetch_max(number + 1, Ordering::SeqCst);
        let null = std::ptr::null_mut();
        if place.compare_exchange(null, desk.as_ptr(), Ordering::SeqCst, Ordering::Relaxed).is_err()
        {
            // SAFETY: nobody has seen it; what is in it is moved out first.
            unsafe { (&raw const (*desk.as_ref().own.get()).memory).read().give_back() };
            return None;
        }
        recorder.report_memory(table);
        Some(desk)
    }
}

impl Accounts for Threads {
    fn threads(&self) -> ledger_writer::Threads {
        self.count()
    }

    fn each(&self, visit: &mut dyn FnMut(&Account)) {
        for place in &self.desks[..self.built.load(Ordering::SeqCst)] {
            if let Some(desk) = NonNull::new(place.load(Ordering::SeqCst)) {
                // SAFETY: desks are never unmapped.
                visit(unsafe { &desk.as_ref().account });
            }
        }
    }
}

/// The key, which all recorders of a process have in common: there are no more than 1,024.
fn key() -> Option<libc::pthread_key_t> {
    static KEY: OnceLock<Option<libc::pthread_key_t>> = OnceLock::new();
    *KEY.get_or_init(|| {
        let mut key = 0;
        // SAFETY: `key` is a place for the new key; the destructor only stores atomics.
        let made = unsafe { libc::pthread_key_create(&raw mut key, Some(leave)) };
        (made == 0).then_some(key)
    })
}

/// Whether the process has one thread, as far as the C library says so.
pub(crate) fn is_single_threaded() -> bool {
    single_threaded().load(Ordering::Relaxed) != 0
}

/// Where the C library says whether the process has one thread; it does since 2.32. The first call
/// asks the loader, which takes its lock.
pub(crate) fn single_threaded() -> &'static AtomicU8 {
    static PLACE: OnceLock<&AtomicU8> = OnceLock::new();
    PLACE.get_or_init(find_single_threaded)
}

fn find_single_threaded() -> &'static AtomicU8 {
    static UNKNOWN: AtomicU8 = AtomicU8::new(0);
    // SAFETY: a C string; the answer is NULL when there is no such variable.
    let found = unsafe { libc::dlsym(libc::RTLD_DEFAULT, c"__libc_single_threaded".as_ptr()) };
    // SAFETY: the C library's variable of this name, a char that is never unmapped.
    unsafe { found.cast::<AtomicU8>().as_ref() }.unwrap_or(&UNKNOWN)
}

/// A desk gets memory in steps of so many bytes: 65,536 places.
const BYTES_AT_ONCE: usize = 1 << 20;

const PLACES_OFFSET: usize = size_of::<Desk>().next_multiple_of(64);

/// What tells the calling thread from others at work: its kernel id, or in a sandbox a number that
/// is none.
fn own_id() -> u32 {
    static NEXT: AtomicU32 = AtomicU32::new(1 << 31);
    match Permit::ask() {
        // SAFETY: no argument, no effect.
        Some(_permit) => unsafe { libc::gettid() as u32 },
        None => NEXT.fetch_add(1, Ordering::Relaxed),
    }
}

/// Has the calling thread sit down before its first event, unless it is in one.
pub(crate) fn sit_down(recorder: &'static Recorder) {
    if let Some(mut inside) = Inside::enter() {
        let _ = recorder.threads.desk(recorder, &mut inside);
    }
}

/// Takes the desk of a thread that ended without leaving it: its last events came after its
/// destructors.
fn take_over(place: &AtomicPtr<Desk>, thread: u32) -> Option<NonNull<Desk>> {
    let _permit = Permit::ask()?;
    let desk = NonNull::new(place.load(Ordering::Acquire))?;
    // SAFETY: desks are never unmapped.
    let owner = unsafe { &desk.as_ref().owner };
    let old = owner.load(Ordering::Relaxed);
    // SAFETY: signal 0 is not sent; the call only asks whether the thread exists.
    let gone = unsafe { libc::syscall(libc::SYS_tgkill, libc::getpid(), old, 0) } != 0;
    let taken =
        gone && owner.compare_exchange(old, thread, Ordering::AcqRel, Ordering::Relaxed).is_ok();
    taken.then_some(desk)
}

/// The destructor of the key: the thread ends.
unsafe extern "C" fn leave(desk: *mut c_void) {
    let own = process::if_own(thread_word::get() & !MARKS);
    stand_up();
    // A desk of a recorder that was let go may be there no more.
    if own == desk as usize
        && let Some(desk) = NonNull::new(desk.cast::<Desk>())
    {
        // SAFETY: the value is the desk that `claim` set for this thread, and that of its word.
        unsafe { desk.as_ref() }.owner.store(0, Ordering::Release);
    }
}
