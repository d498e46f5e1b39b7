//! What each thread has for itself: its cells, and its guess where it will allocate next.
//!
//! A thread claims a [`Desk`] at its first event and leaves it when it ends; the next thread that
//! comes takes it over, cells and all, since only their sums matter. So the memory is bounded by
//! the largest number of threads at one time.

use std::cell::{Cell as Slot, UnsafeCell};
use std::ffi::c_void;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicPtr, AtomicU32, Ordering};

use ledger::{Cell, Ledger, SiteId};

use crate::memory;
use crate::stack::Stack;

/// Threads that can record at one time.
const DESKS: usize = 4096;

/// Guesses kept by each thread. 2,800 allocations of a handshake come from about 3,400 stacks.
const GUESSES: usize = 4096;

thread_local! {
    // Constant and without destructors: using them never allocates and never fails, not even
    // while the thread is being torn down.
    static CURRENT: Slot<Option<NonNull<Desk>>> = const { Slot::new(None) };
    static INSIDE: Slot<bool> = const { Slot::new(false) };
}

/// In a forked child: its one thread sits at no desk of its own recorder yet.
pub(crate) fn stand_up() {
    CURRENT.set(None);
}

/// Proof that the calling thread is in the hook, and for the first time.
///
/// Everything that touches a thread's own tables asks for it, so that a signal handler that
/// interrupts the hook and allocates cannot reach them.
pub(crate) struct Inside(());

impl Inside {
    /// `None` when the calling thread is in the hook already.
    #[inline]
    pub(crate) fn enter() -> Option<Inside> {
        if INSIDE.replace(true) { None } else { Some(Inside(())) }
    }
}

impl Drop for Inside {
    #[inline]
    fn drop(&mut self) {
        INSIDE.set(false);
    }
}

/// One thread's tables.
pub(crate) struct Desk {
    /// The thread's kernel id; 0 when nobody sits here.
    owner: AtomicU32,
    own: UnsafeCell<Own>,
}

/// What only the owner touches.
struct Own {
    /// The ledger's peak word as last seen.
    peak_guess: u128,
    previous_site: SiteId,
    guesses: [u32; GUESSES],
    /// By site number; as many as there can be sites, and one.
    cells: NonNull<Option<Cell>>,
}

/// All desks of the process.
pub(crate) struct Threads {
    desks: Box<[AtomicPtr<Desk>]>,
    /// Its destructor tells that a thread ends.
    key: libc::pthread_key_t,
    sites: usize,
}

impl Threads {
    /// Desks for a ledger with room for `sites` sites. `None` when the C library has no key left.
    pub(crate) fn new(sites: u32) -> Option<Threads> {
        let mut key = 0;
        // SAFETY: `key` is a place for the new key; the destructor only stores atomics.
        let made = unsafe { libc::pthread_key_create(&raw mut key, Some(leave)) };
        let desks = (0..DESKS).map(|_| AtomicPtr::default()).collect();
        (made == 0).then_some(Threads { desks, key, sites: sites as usize })
    }

    /// Desks for a forked child, whose ledger has room for as many sites as its parent's.
    pub(crate) fn after_fork(&self) -> Threads {
        let desks = (0..DESKS).map(|_| AtomicPtr::default()).collect();
        Threads { desks, key: self.key, sites: self.sites }
    }

    /// The calling thread's desk. `None` when all are taken.
    #[inline]
    pub(crate) fn desk<'a>(&self, ledger: &Ledger, _inside: &'a mut Inside) -> Option<Seat<'a>> {
        let desk = match CURRENT.get() {
            Some(desk) => desk,
            None => self.claim(ledger)?,
        };
        // SAFETY: a desk is never unmapped, and CURRENT names one whose owner is this thread;
        // `Inside`, borrowed for as long as the reference, says that no other reference to it
        // exists on this thread.
        Some(Seat(unsafe { &mut *desk.as_ref().own.get() }))
    }

    #[cold]
    fn claim(&self, ledger: &Ledger) -> Option<NonNull<Desk>> {
        // SAFETY: no argument, no effect.
        let thread = unsafe { libc::gettid() } as u32;
        let desk = self
            .desks
            .iter()
            .find_map(|desk| self.sit(desk, thread, ledger))
            .or_else(|| self.desks.iter().find_map(|desk| take_over(desk, thread)))?;
        CURRENT.set(Some(desk));
        // SAFETY: a key of ours. Should it fail, the desk is found ownerless by `take_over`.
        unsafe { libc::pthread_setspecific(self.key, desk.as_ptr().cast()) };
        Some(desk)
    }

    /// Sits down at a free desk, or builds one where there is none.
    fn sit(&self, place: &AtomicPtr<Desk>, thread: u32, ledger: &Ledger) -> Option<NonNull<Desk>> {
        if let Some(desk) = NonNull::new(place.load(Ordering::Acquire)) {
            // SAFETY: desks are never unmapped.
            let owner = unsafe { &desk.as_ref().owner };
            // A desk with our own id is that of a thread which ended without leaving.
            let free = [0, thread].into_iter().any(|id| {
                owner.compare_exchange(id, thread, Ordering::AcqRel, Ordering::Relaxed).is_ok()
            });
            return free.then_some(desk);
        }
        let bytes = self.desk_bytes();
        let memory = memory::map(bytes)?;
        let desk = memory.cast::<Desk>();
        // SAFETY: fresh zeroed memory of at least this size, aligned to a page. Zero is a valid
        // Desk but for `cells`, which is set here to the zeroed rest of the mapping: Option<Cell>
        // of a non-null pointer is None when zero.
        unsafe {
            let own = desk.as_ref().own.get();
            (&raw mut (*own).cells).write(memory.add(CELLS_OFFSET).cast());
            desk.as_ref().owner.store(thread, Ordering::Relaxed);
        }
        let null = std::ptr::null_mut();
        if place.compare_exchange(null, desk.as_ptr(), Ordering::AcqRel, Ordering::Relaxed).is_err()
        {
            // SAFETY: mapped above with this length and never shown to anybody.
            unsafe { memory::unmap(memory, bytes) };
            return None;
        }
        ledger.add_table(desk.as_ptr() as usize, bytes);
        Some(desk)
    }

    fn desk_bytes(&self) -> usize {
        CELLS_OFFSET + (self.sites + 1) * size_of::<Option<Cell>>()
    }
}

const CELLS_OFFSET: usize = size_of::<Desk>().next_multiple_of(64);

/// Takes the desk of a thread that ended without leaving it: its last events came after its
/// destructors.
fn take_over(place: &AtomicPtr<Desk>, thread: u32) -> Option<NonNull<Desk>> {
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
    CURRENT.set(None);
    if let Some(desk) = NonNull::new(desk.cast::<Desk>()) {
        // SAFETY: the value is the desk that `claim` set for this thread.
        unsafe { desk.as_ref() }.owner.store(0, Ordering::Release);
    }
}

/// The calling thread at its desk.
pub(crate) struct Seat<'a>(&'a mut Own);

impl Seat<'_> {
    /// The thread's cell at `site`. `None` when the ledger has no cell left.
    #[inline]
    pub(crate) fn cell(&mut self, ledger: &Ledger, site: SiteId) -> Option<Cell> {
        // SAFETY: the array has one entry for each number up to the ledger's capacity, and `site`
        // comes from that ledger.
        let slot = unsafe { self.0.cells.add(site.number() as usize).as_mut() };
        if slot.is_none() {
            *slot = ledger.claim_cell(site);
        }
        *slot
    }

    /// The ledger's peak word as this thread last saw it.
    #[inline]
    pub(crate) fn peak_guess(&mut self) -> &mut u128 {
        &mut self.0.peak_guess
    }

    /// Where a guess for this allocation is kept: programs repeat themselves, so the innermost
    /// return address together with the thread's previous site nearly always tells the next one.
    #[inline]
    pub(crate) fn guess(&mut self, stack: Stack) -> &mut u32 {
        let address = stack.frames().first().copied().unwrap_or(0) as u64;
        let caller = stack.frames().get(1).copied().unwrap_or(0) as u64;
        let previous = u64::from(self.0.previous_site.number());
        let mixed = (address ^ caller.rotate_left(17) ^ previous.rotate_left(40))
            .wrapping_mul(0x9e37_79b9_7f4a_7c15);
        &mut self.0.guesses[(mixed >> 52) as usize % GUESSES]
    }

    /// Remembers where the thread allocated last.
    #[inline]
    pub(crate) fn set_previous(&mut self, site: SiteId) {
        self.0.previous_site = site;
    }
}
