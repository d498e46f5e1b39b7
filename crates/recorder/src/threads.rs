//! What each thread has for itself: its cells, and its guess where it will allocate next.
//!
//! A thread claims a [`Desk`] at its first event and leaves it when it ends; the next thread that
//! comes takes it over, cells and all, since only their sums matter. So the memory is bounded by
//! the largest number of threads at one time.

use std::cell::UnsafeCell;
use std::ffi::c_void;
use std::marker::PhantomData;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicPtr, AtomicU8, AtomicU32, AtomicUsize, Ordering};

use ledger::{Account, Accounts, Cell, Change, Lease, Ledger, Share, SiteId, Stored};

use crate::habits::{Habits, Known};
use crate::memory;
use crate::recorder::{Caller, Recorder};
use crate::segments::{Shape, Source};
use crate::stack::{Bounds, StackSource};
use crate::thread_word;

/// Threads that can record at one time.
const DESKS: usize = 4096;

/// In a thread's word: it is in the hook. The rest is the address of its desk, or 0.
const INSIDE: usize = 1;

/// In a forked child: its one thread sits at no desk of its own recorder yet.
pub(crate) fn stand_up() {
    thread_word::set(thread_word::get() & INSIDE);
}

/// Proof that the calling thread is in the hook, and for the first time.
///
/// Everything that touches a thread's own tables asks for it, so that a signal handler that
/// interrupts the hook and allocates cannot reach them.
pub(crate) struct Inside {
    /// Its desk, if it has one.
    desk: Option<NonNull<Desk>>,
}

impl Inside {
    /// `None` when the calling thread is in the hook already.
    #[inline]
    pub(crate) fn enter() -> Option<Inside> {
        let word = thread_word::get();
        if word & INSIDE != 0 {
            return None;
        }
        thread_word::set(word | INSIDE);
        Some(Inside { desk: NonNull::new(word as *mut Desk) })
    }
}

impl Drop for Inside {
    #[inline]
    fn drop(&mut self) {
        // Only this bit: the thread may have sat down at a desk, or have forked.
        thread_word::clear_lowest_bit();
    }
}

/// The same proof, of a thread that has a desk. It has to be given back by [`Seated::leave`]: a
/// destructor would be one more way out of the hooks.
///
/// A thread with a desk is at work in this process: [`stand_up`] takes the desk of a forked child's
/// thread away.
#[must_use]
pub(crate) struct Seated(NonNull<Desk>);

impl Seated {
    /// `None` when the calling thread has no desk or is in the hook already.
    #[inline(always)]
    #[allow(clippy::inline_always)]
    pub(crate) fn enter() -> Option<Seated> {
        let word = thread_word::get();
        if word & INSIDE != 0 {
            return None;
        }
        let desk = NonNull::new(word as *mut Desk)?;
        thread_word::set(word | INSIDE);
        Some(Seated(desk))
    }

    /// The desk.
    #[inline(always)]
    #[allow(clippy::inline_always)]
    pub(crate) fn seat(&mut self) -> Seat<'_> {
        // SAFETY: a thread's word names a desk whose owner it is; this is the one proof that it is
        // inside, and is borrowed for as long as the seat.
        unsafe { Seat::at(self.0) }
    }

    /// The thread is in the hook no more.
    #[inline(always)]
    #[allow(clippy::inline_always)]
    pub(crate) fn leave(self) {
        let Seated(_) = self;
        thread_word::clear_lowest_bit();
    }
}

/// One thread's tables.
#[repr(C, align(64))]
pub(crate) struct Desk {
    /// The thread's kernel id; 0 when nobody sits here.
    owner: AtomicU32,
    /// Its share of how far the process is below its peak. Others may freeze it.
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
    /// By site number; as many as there can be sites, and one.
    places: NonNull<Place>,
    habits: Habits,
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
    /// Its destructor tells that a thread ends.
    key: libc::pthread_key_t,
    sites: usize,
}

impl Threads {
    /// Desks for a ledger with room for `sites` sites. `None` when the C library has no key left.
    pub(crate) fn new(sites: u32, stacks: StackSource) -> Option<Threads> {
        let mut key = 0;
        // SAFETY: `key` is a place for the new key; the destructor only stores atomics.
        let made = unsafe { libc::pthread_key_create(&raw mut key, Some(leave)) };
        let desks = (0..DESKS).map(|_| AtomicPtr::default()).collect();
        let (built, single) = (AtomicUsize::new(0), single_threaded());
        (made == 0).then_some(Threads { desks, built, single, stacks, key, sites: sites as usize })
    }

    /// Desks for a forked child, whose ledger has room for as many sites as its parent's.
    pub(crate) fn after_fork(&self) -> Threads {
        let desks = (0..DESKS).map(|_| AtomicPtr::default()).collect();
        let built = AtomicUsize::new(0);
        Threads { desks, built, ..*self }
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
            None => *inside.desk.insert(self.claim(recorder)?),
        };
        // SAFETY: a thread's word names a desk whose owner it is; `Inside`, borrowed for as long as
        // the seat, says that no other reference to it exists on this thread.
        Some(unsafe { Seat::at(desk) })
    }

    /// Whether the calling thread is the process's only one.
    #[inline(always)]
    #[allow(clippy::inline_always)]
    pub(crate) fn count(&self) -> ledger::Threads {
        // The C library clears it before it starts a thread.
        match self.single.load(Ordering::Relaxed) {
            0 => ledger::Threads::Several,
            _ => ledger::Threads::One,
        }
    }

    #[cold]
    #[inline(never)]
    fn claim(&self, recorder: &'static Recorder) -> Option<NonNull<Desk>> {
        // SAFETY: no argument, no effect.
        let thread = unsafe { libc::gettid() } as u32;
        let desk = self
            .desks
            .iter()
            .enumerate()
            .find_map(|(number, desk)| self.sit(number, desk, thread, recorder))
            .or_else(|| self.desks.iter().find_map(|desk| take_over(desk, thread)))?;
        // SAFETY: nobody but this thread touches what is its own from here on, and it is in the
        // hook for the first time.
        let habits = unsafe { &mut (*desk.as_ref().own.get()).habits };
        habits.move_to(Bounds::of_this_thread());
        thread_word::set(desk.as_ptr() as usize | INSIDE);
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
        let bytes = self.desk_bytes();
        let memory = memory::map(bytes)?;
        let desk = memory.cast::<Desk>();
        // SAFETY: fresh zeroed memory of at least this size, aligned to a page. Zero is a valid
        // Desk but for what is set here, `places` to the zeroed rest of the mapping: Option<Cell>
        // of a non-null pointer is None when zero.
        unsafe {
            let own = desk.as_ref().own.get();
            (&raw mut (*own).recorder).write(recorder);
            (&raw mut (*own).number).write(number as u32 + 1);
            (&raw mut (*own).lease).write(Lease::default());
            (&raw mut (*desk.as_ptr()).account).write(Account::default());
            (&raw mut (*own).places).write(memory.add(PLACES_OFFSET).cast());
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
            // SAFETY: mapped above with this length and never shown to anybody.
            unsafe { memory::unmap(memory, bytes) };
            return None;
        }
        recorder.ledger.add_table(desk.as_ptr() as usize, bytes);
        Some(desk)
    }

    fn desk_bytes(&self) -> usize {
        PLACES_OFFSET + (self.sites + 1) * size_of::<Place>()
    }
}

impl Accounts for Threads {
    fn threads(&self) -> ledger::Threads {
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

/// Where the C library says whether the process has one thread; it does since 2.32.
fn single_threaded() -> &'static AtomicU8 {
    static UNKNOWN: AtomicU8 = AtomicU8::new(0);
    // SAFETY: a C string; the answer is NULL when there is no such variable.
    let found = unsafe { libc::dlsym(libc::RTLD_DEFAULT, c"__libc_single_threaded".as_ptr()) };
    // SAFETY: the C library's variable of this name, a char that is never unmapped.
    unsafe { found.cast::<AtomicU8>().as_ref() }.unwrap_or(&UNKNOWN)
}

const PLACES_OFFSET: usize = size_of::<Desk>().next_multiple_of(64);

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
    stand_up();
    if let Some(desk) = NonNull::new(desk.cast::<Desk>()) {
        // SAFETY: the value is the desk that `claim` set for this thread.
        unsafe { desk.as_ref() }.owner.store(0, Ordering::Release);
    }
}

/// The calling thread at its desk.
pub(crate) struct Seat<'a> {
    /// One pointer for all of it: most events touch it throughout.
    desk: NonNull<Desk>,
    lifetime: PhantomData<&'a mut Own>,
}

impl Seat<'_> {
    /// # Safety
    ///
    /// The calling thread owns the desk, and for as long as the seat there is no other reference to
    /// what is its own.
    #[inline(always)]
    #[allow(clippy::inline_always)]
    unsafe fn at<'a>(desk: NonNull<Desk>) -> Seat<'a> {
        Seat { desk, lifetime: PhantomData }
    }

    #[inline(always)]
    #[allow(clippy::inline_always)]
    fn own(&self) -> &Own {
        // SAFETY: a desk is never unmapped; what `at` was promised.
        unsafe { &*self.desk.as_ref().own.get() }
    }

    #[inline(always)]
    #[allow(clippy::inline_always)]
    fn own_mut(&mut self) -> &mut Own {
        // SAFETY: as for `own`.
        unsafe { &mut *self.desk.as_ref().own.get() }
    }

    /// The account, and what is known of it.
    #[inline(always)]
    #[allow(clippy::inline_always)]
    fn account(&mut self) -> (&Account, &mut Lease) {
        // SAFETY: as for `own`; the account is no part of that.
        let desk = unsafe { self.desk.as_ref() };
        (&desk.account, &mut self.own_mut().lease)
    }

    /// The recorder whose desk it is.
    #[inline(always)]
    #[allow(clippy::inline_always)]
    pub(crate) fn recorder(&self) -> &'static Recorder {
        self.own().recorder
    }

    /// The thread's cell at `site`. `None` when the ledger has no cell left.
    #[inline]
    pub(crate) fn cell(&mut self, ledger: &Ledger, site: SiteId) -> Option<Cell> {
        self.place(site).cell.or_else(|| self.claim_cell(ledger, site))
    }

    #[cold]
    fn claim_cell(&mut self, ledger: &Ledger, site: SiteId) -> Option<Cell> {
        let cell = ledger.claim_cell(site, self.own().number);
        self.place(site).cell = cell;
        cell
    }

    /// Whether the thread may count in this cell.
    #[inline(always)]
    #[allow(clippy::inline_always)]
    pub(crate) fn owns(&self, cell: Cell) -> bool {
        cell.owner() == self.own().number
    }

    /// The thread's cell for the site that `cell` counts. `None` when the ledger has no cell left.
    pub(crate) fn own_cell(&mut self, cell: Cell) -> Option<Cell> {
        if self.owns(cell) {
            return Some(cell);
        }
        self.cell(&self.recorder().ledger, cell.site())
    }

    #[inline]
    fn place(&mut self, site: SiteId) -> &mut Place {
        // SAFETY: the array has one entry for each number up to the ledger's capacity, and `site`
        // comes from that ledger.
        unsafe { self.own().places.add(site.number() as usize).as_mut() }
    }

    /// The same seat, for a while.
    #[inline(always)]
    #[allow(clippy::inline_always)]
    pub(crate) fn again(&mut self) -> Seat<'_> {
        Seat { desk: self.desk, lifetime: PhantomData }
    }

    /// Counts an allocation in a cell of the thread's.
    #[inline(always)]
    #[allow(clippy::inline_always)]
    pub(crate) fn count_allocation(&mut self, cell: Cell, bytes: u64) {
        let (account, lease) = self.account();
        if let Err(stored) = cell.count_allocation(bytes, account, lease) {
            self.settle(cell, Change::Rise(bytes), stored);
        }
    }

    /// Counts a free in a cell of the thread's.
    #[inline(always)]
    #[allow(clippy::inline_always)]
    pub(crate) fn count_free(&mut self, cell: Cell, bytes: u64) {
        let (account, lease) = self.account();
        if let Err(stored) = cell.count_free(bytes, account, lease) {
            self.settle(cell, Change::Fall(bytes), stored);
        }
    }

    #[cold]
    #[inline(never)]
    fn settle(&mut self, cell: Cell, change: Change, stored: Stored) {
        let recorder = self.recorder();
        recorder.ledger.settle(cell, change, stored, self.share());
    }

    fn share(&mut self) -> Share<'_, Threads> {
        let accounts = &self.recorder().threads;
        let (account, lease) = self.account();
        Share { account, lease, accounts }
    }

    /// The part of memory that is the thread's stack.
    pub(crate) fn bounds(&self) -> Bounds {
        self.own().habits.bounds()
    }

    /// What the thread remembers.
    #[inline(always)]
    #[allow(clippy::inline_always)]
    pub(crate) fn habits(&mut self) -> &mut Habits {
        &mut self.own_mut().habits
    }

    /// Remembers an allocation, if its stack has a shape.
    pub(crate) fn learn(&mut self, caller: Caller, known: Known, shape: Option<Shape>) {
        let Some(shape) = shape.filter(|_| known.site != SiteId::DROPPED) else {
            self.own_mut().habits.lose_track();
            return;
        };
        let place = *self.place(known.site);
        let first = if place.round == self.own_mut().habits.round { place.habit } else { 0 };
        let first = self.own_mut().habits.learn(caller, known, shape, first);
        let round = self.own_mut().habits.round;
        *self.place(known.site) = Place { habit: first, round, ..place };
    }
}
