//! Memory that a program maps from the kernel itself: what stands in for the C library's `mmap`,
//! `munmap`, `mremap` and `mprotect` where the whole process is recorded.
//!
//! Counted is memory without a file behind it, in whole pages, as long as it may be touched:
//! addresses that are reserved (`PROT_NONE`) are nobody's memory, and become that of whoever makes
//! them usable. A mapping is one block until its last byte is unmapped.
//!
//! What the allocator maps for the blocks that it gives is no memory beside theirs: calls out of its
//! code are passed on uncounted, and so are this library's own; and those of further allocators in
//! the process whose blocks are counted. What the C library and the loader map for themselves does
//! not come by here.

use std::ffi::{c_int, c_void};
use std::num::NonZeroU32;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};

use contract::{Domain, Source};
use ledger_writer::{Cell, SiteId};

use crate::caller::Caller;
use crate::family::{self, at_work};
use crate::frame_pointer::frame_pointer;
use crate::lock::Lock;
use crate::memory::Table;
use crate::pieces::{Cut, Piece, Pieces, Whose};
use crate::recorder::Recorder;
use crate::threads::{Inside, Seat, is_at_own_work};

/// The C library's functions of these names, or whatever comes in their place.
#[derive(Clone, Copy, Debug)]
#[expect(missing_docs, reason = "named as the functions are")]
pub struct MappingFamily {
    pub mmap: Mmap,
    pub mmap64: Mmap,
    pub munmap: unsafe extern "C" fn(*mut c_void, usize) -> c_int,
    pub mprotect: unsafe extern "C" fn(*mut c_void, usize, c_int) -> c_int,
    /// The last argument need not be there for the caller. C's calling conventions for 64-bit
    /// processors of these kinds pass an argument that may be left out where they pass any other;
    /// the number of vector registers, which x86-64 has callers of such functions tell, only has
    /// more of them saved.
    pub mremap: unsafe extern "C" fn(*mut c_void, usize, usize, c_int, *mut c_void) -> *mut c_void,
}

type Mmap =
    unsafe extern "C" fn(*mut c_void, usize, c_int, c_int, c_int, libc::off_t) -> *mut c_void;

/// What the counting functions go by.
struct Below {
    real: MappingFamily,
    /// Code whose calls are not counted: the allocator's, and this library's.
    uncounted: [Range<usize>; 2],
}

static BELOW: AtomicPtr<Below> = AtomicPtr::new(std::ptr::null_mut());

/// Takes the functions that [`counted_mappings`] calls, and the code whose calls it does not count:
/// the allocator's and that of whoever records. Whoever calls those has called this before.
///
/// # Safety
///
/// They are what the type says, for as long as the process lives, and none of
/// [`counted_mappings`]'s.
pub unsafe fn count_mappings_above(real: MappingFamily, uncounted: [Range<usize>; 2]) {
    // As for the malloc family: other threads may be calling them.
    if BELOW.load(Ordering::Acquire).is_null() {
        BELOW.store(Box::leak(Box::new(Below { real, uncounted })), Ordering::Release);
    }
}

/// Code whose calls are not counted either, from a moment on.
#[derive(Debug)]
pub struct LeftOut {
    code: Vec<Range<usize>>,
    /// They are counted again.
    ended: AtomicBool,
    /// What was left out before it.
    before: Option<&'static LeftOut>,
}

static LEFT_OUT: AtomicPtr<LeftOut> = AtomicPtr::new(std::ptr::null_mut());

/// Counts no mappings any more that this code asks for: an allocator's, for blocks that are counted.
/// It is kept for good, and is one more thing to look at at each mapping: for a few allocators, each
/// once.
pub fn leave_mappings_of(code: Vec<Range<usize>>) -> &'static LeftOut {
    let ended = AtomicBool::new(false);
    let left_out = Box::leak(Box::new(LeftOut { code, ended, before: None }));
    let mut before = LEFT_OUT.load(Ordering::Acquire);
    loop {
        // SAFETY: NULL, or a leaked box that this function has stored.
        left_out.before = unsafe { before.as_ref() };
        let new = std::ptr::from_mut(left_out);
        match LEFT_OUT.compare_exchange_weak(before, new, Ordering::AcqRel, Ordering::Acquire) {
            // SAFETY: the leaked box, which nobody changes any more.
            Ok(_) => return unsafe { &*new },
            // Another thread has stored its own, which it does seldom.
            Err(now) => before = now,
        }
    }
}

impl LeftOut {
    /// Counts what this code asks for from here on, as ever: its blocks are not.
    pub fn end(&self) {
        self.ended.store(true, Ordering::Relaxed);
    }
}

/// Whether calls are not counted that return to this address.
fn is_left_out(returns_to: usize) -> bool {
    // SAFETY: NULL, or a leaked box that `leave_mappings_of` has stored and nobody changes.
    let last = unsafe { LEFT_OUT.load(Ordering::Acquire).as_ref() };
    std::iter::successors(last, |it| it.before)
        .filter(|it| !it.ended.load(Ordering::Relaxed))
        .any(|it| it.code.iter().any(|code| code.contains(&returns_to)))
}

/// The functions that count: to be called by the program in place of the real ones, directly or
/// through a jump, so that the frame above theirs is the program's.
pub fn counted_mappings() -> MappingFamily {
    MappingFamily { mmap, mmap64: mmap, munmap, mprotect, mremap }
}

fn below() -> &'static Below {
    let below = BELOW.load(Ordering::Relaxed);
    // SAFETY: `count_mappings_above` has stored a leaked box before anybody could call what asks
    // for it; its content came to the other threads with whatever had them call.
    unsafe { &*below }
}

const MAPPING: Source = Source { domain: Domain::Mapping, instance: 0 };

/// The caller of the function with this frame pointer, and the recorder, if what it does is counted.
#[inline(always)]
fn counted(below: &Below, frame: usize) -> Option<(&'static Recorder, Caller)> {
    // SAFETY: the frame is that of the function that this is inlined into, which has a frame
    // pointer, as this library is built: its return address lies above it.
    let caller = unsafe { Caller::in_family(MAPPING, frame) };
    let returns_to = caller.file as usize;
    if below.uncounted.iter().any(|code| code.contains(&returns_to)) || is_left_out(returns_to) {
        return None;
    }
    let recorder = at_work()?;
    (recorder.mappings.is_some() && !recorder.is_detached()).then_some((recorder, caller))
}

/// Leaves the calling thread's error number as it is.
fn with_errno_kept<R>(work: impl FnOnce() -> R) -> R {
    // SAFETY: the C library's own cell for the calling thread.
    let place = unsafe { libc::__errno_location() };
    // SAFETY: as above.
    let error = unsafe { place.read() };
    let result = work();
    // SAFETY: as above.
    unsafe { place.write(error) };
    result
}

/// The pages of a range: the kernel maps whole ones. `None` for what it refuses.
fn pages(start: *mut c_void, length: usize) -> Option<Range<usize>> {
    let start = start as usize;
    let end = start.checked_add(length)?.checked_next_multiple_of(page())?;
    (start.is_multiple_of(page()) && start < end).then_some(start..end)
}

fn page() -> usize {
    // SAFETY: asks for a figure, which the C library has in memory.
    usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(4096)
}

/// # Safety
///
/// As the C library's.
unsafe extern "C" fn mmap(
    address: *mut c_void,
    length: usize,
    protection: c_int,
    flags: c_int,
    file: c_int,
    offset: libc::off_t,
) -> *mut c_void {
    let below = below();
    // SAFETY: the caller's call, passed on.
    let place = unsafe { (below.real.mmap)(address, length, protection, flags, file, offset) };
    let frame = frame_pointer();
    if place != libc::MAP_FAILED {
        with_errno_kept(|| {
            let Some((recorder, caller)) = counted(below, frame) else { return };
            let Some(range) = pages(place, length) else { return };
            // What an allocator maps while it is asked for a block that is counted is where that
            // block lies, and is not counted beside it.
            let is_counted = flags & libc::MAP_ANONYMOUS != 0 && !is_at_own_work();
            let of = is_counted.then(|| Access::of(protection));
            recorder.mapped(&range, of, caller);
        });
    }
    place
}

/// # Safety
///
/// As the C library's.
unsafe extern "C" fn munmap(address: *mut c_void, length: usize) -> c_int {
    let below = below();
    let frame = frame_pointer();
    let taken = with_errno_kept(|| {
        let (recorder, _) = counted(below, frame)?;
        recorder.about_to_unmap(&pages(address, length)?)
    });
    // SAFETY: the caller's call, passed on.
    let result = unsafe { (below.real.munmap)(address, length) };
    if let Some(taken) = taken {
        with_errno_kept(|| taken.end(result == 0));
    }
    result
}

/// # Safety
///
/// As the C library's.
unsafe extern "C" fn mprotect(address: *mut c_void, length: usize, protection: c_int) -> c_int {
    let below = below();
    // SAFETY: the caller's call, passed on.
    let result = unsafe { (below.real.mprotect)(address, length, protection) };
    let frame = frame_pointer();
    if result == 0 {
        with_errno_kept(|| {
            let Some((recorder, caller)) = counted(below, frame) else { return };
            let Some(range) = pages(address, length) else { return };
            match Access::of(protection) {
                Access::Some if is_at_own_work() => {}
                Access::Some => recorder.made_usable(&range, caller),
                Access::None => recorder.made_useless(&range),
            }
        });
    }
    result
}

/// # Safety
///
/// As the C library's, which looks at the last argument only where the flags say that it is there.
unsafe extern "C" fn mremap(
    address: *mut c_void,
    old: usize,
    new: usize,
    flags: c_int,
    to: *mut c_void,
) -> *mut c_void {
    let below = below();
    let frame = frame_pointer();
    let counted = with_errno_kept(|| {
        let (recorder, caller) = counted(below, frame)?;
        Some((recorder, caller, recorder.about_to_unmap(&pages(address, old)?)?))
    });
    // SAFETY: the caller's call, passed on.
    let place = unsafe { (below.real.mremap)(address, old, new, flags, to) };
    let Some((recorder, caller, taken)) = counted else { return place };
    with_errno_kept(|| {
        let of = taken.access();
        let moved = place != libc::MAP_FAILED;
        taken.end(moved && flags & libc::MREMAP_DONTUNMAP == 0);
        if let Some(range) = pages(place, new).filter(|_| moved) {
            recorder.mapped(&range, of, caller);
        }
    });
    place
}

/// Whether memory may be touched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Access {
    None,
    Some,
}

impl Access {
    fn of(protection: c_int) -> Access {
        if protection == libc::PROT_NONE { Access::None } else { Access::Some }
    }
}

/// The mappings of a process that are counted.
pub(crate) struct Mappings(Lock<Pieces>);

impl Mappings {
    /// `None` where none are counted, and where there is no memory.
    pub(crate) fn new() -> Option<Mappings> {
        let is_counted = family::is_counted() && !BELOW.load(Ordering::Relaxed).is_null();
        is_counted.then(Pieces::new)?.map(|pieces| Mappings(Lock::new(pieces)))
    }

    /// Gives its memory back.
    ///
    /// # Safety
    ///
    /// Nobody uses it any more, nor will.
    pub(crate) unsafe fn unmap(&self) {
        if let Some(pieces) = self.0.lock() {
            // SAFETY: the caller's promise.
            unsafe { pieces.unmap() };
        }
    }

    /// For the ledger to list.
    pub(crate) fn table(&self) -> Option<Table> {
        Some(self.0.lock()?.table())
    }
}

/// Pieces that may be unmapped in a moment: they are in the table no more, and counted still.
struct Taken {
    recorder: &'static Recorder,
    cuts: [Option<Cut>; MOST_TAKEN],
}

/// A call that unmaps more pieces than this at once is taken to succeed.
const MOST_TAKEN: usize = 8;

impl Taken {
    /// Whether any of it could be touched; `None` for none at all.
    fn access(&self) -> Option<Access> {
        let mut cuts = self.cuts.iter().flatten().peekable();
        cuts.peek()?;
        let is_used = cuts.any(|cut| cut.piece.of.cell.is_some());
        Some(if is_used { Access::Some } else { Access::None })
    }

    /// Counts it out if it is `gone`; else it is where it was.
    fn end(self, gone: bool) {
        let Some(mut inside) = Inside::enter() else { return };
        let Some(mappings) = &self.recorder.mappings else { return };
        if gone {
            let Some(mut seat) = self.recorder.threads.desk(self.recorder, &mut inside) else {
                return self.cuts.iter().flatten().for_each(|cut| self.recorder.spill(cut));
            };
            self.cuts.iter().flatten().for_each(|cut| seat.again().count_cut(cut));
        } else if let Some(mut pieces) = mappings.0.lock() {
            for cut in self.cuts.iter().flatten() {
                pieces.insert(cut.piece);
            }
        }
    }
}

impl Recorder {
    /// Counts a range that was mapped, in place of whatever was there. `None` is for what is no
    /// memory of the program's: a file.
    fn mapped(&'static self, range: &Range<usize>, access: Option<Access>, caller: Caller) {
        let Some(mut inside) = Inside::enter() else { return self.nested(Domain::Mapping) };
        let Some(mappings) = &self.mappings else { return };
        let bytes = range.len() as u64;
        let Some(mut seat) = self.threads.desk(self, &mut inside) else {
            return self.untracked(bytes);
        };
        let cell = match access {
            Some(Access::Some) => match self.known(&mut seat, caller) {
                Some(known) => Some(known.cell),
                None => return self.untracked(bytes),
            },
            _ => None,
        };
        {
            let Some(mut pieces) = mappings.0.lock() else { return self.untracked(bytes) };
            while let Some(cut) = pieces.take_first(range) {
                seat.again().count_cut(&cut);
            }
            let Some(access) = access else { return };
            let of = cell.map_or(Whose::NOBODYS, |cell| self.whose(cell, &mut pieces));
            let piece = Piece { start: range.start, end: range.end, of, is_cut: false };
            if !pieces.insert(piece) {
                return match access {
                    Access::Some => self.untracked(bytes),
                    Access::None => {}
                };
            }
        }
        if let Some(cell) = cell {
            seat.count_allocation(cell, bytes);
        }
    }

    /// Takes what is mapped in a range out of the table, before the kernel may unmap it. `None`
    /// where nothing of it is counted.
    fn about_to_unmap(&'static self, range: &Range<usize>) -> Option<Taken> {
        let Some(mut inside) = Inside::enter() else {
            self.nested(Domain::Mapping);
            return None;
        };
        let mut seat = self.threads.desk(self, &mut inside)?;
        let mut pieces = self.mappings.as_ref()?.0.lock()?;
        let mut cuts = [None; MOST_TAKEN];
        for place in &mut cuts {
            *place = pieces.take_first(range);
            if place.is_none() {
                break;
            }
        }
        while let Some(cut) = pieces.take_first(range) {
            seat.again().count_cut(&cut);
        }
        cuts[0].is_some().then_some(Taken { recorder: self, cuts })
    }

    /// Counts what was reserved of a range and may be touched from now on: it is the caller's.
    fn made_usable(&'static self, range: &Range<usize>, caller: Caller) {
        let Some(mut inside) = Inside::enter() else { return self.nested(Domain::Mapping) };
        let Some(mappings) = &self.mappings else { return };
        let Some(mut seat) = self.threads.desk(self, &mut inside) else { return };
        let is_reserved = {
            let Some(pieces) = mappings.0.lock() else { return };
            reserved_in(&pieces, range.clone()).is_some()
        };
        if !is_reserved {
            return;
        }
        let Some(known) = self.known(&mut seat, caller) else {
            return self.untracked(range.len() as u64);
        };
        let mut bytes = 0;
        {
            let Some(mut pieces) = mappings.0.lock() else { return };
            let of = self.whose(known.cell, &mut pieces);
            let mut rest = range.clone();
            while let Some(reserved) = reserved_in(&pieces, rest.clone()) {
                rest.start = reserved.end;
                let Some(Cut { piece, .. }) = pieces.take_first(&reserved) else { break };
                // It may become one of several pieces.
                if pieces.insert(Piece { of, is_cut: true, ..piece }) {
                    bytes += piece.bytes();
                } else {
                    self.untracked(piece.bytes());
                }
            }
        }
        if bytes != 0 {
            seat.count_allocation(known.cell, bytes);
        }
    }

    /// Counts what nobody may touch any more of a range out.
    fn made_useless(&'static self, range: &Range<usize>) {
        let Some(mut inside) = Inside::enter() else { return self.nested(Domain::Mapping) };
        let Some(mappings) = &self.mappings else { return };
        let Some(mut seat) = self.threads.desk(self, &mut inside) else { return };
        let Some(mut pieces) = mappings.0.lock() else { return };
        let mut rest = range.clone();
        while let Some(piece) = pieces.first_in(&rest) {
            let part = piece.start.max(rest.start)..piece.end.min(rest.end);
            rest.start = part.end;
            if piece.of.cell.is_none() {
                continue;
            }
            let Some(cut) = pieces.take_first(&part) else { break };
            seat.again().count_cut(&cut);
            pieces.insert(Piece { of: Whose::NOBODYS, is_cut: false, ..cut.piece });
        }
    }

    /// A new mapping that is counted in this cell.
    fn whose(&self, cell: Cell, pieces: &mut Pieces) -> Whose {
        let cell = NonZeroU32::new(self.ledger.cells().number(cell));
        Whose { cell, number: pieces.number() }
    }

    #[cold]
    fn spill(&self, cut: &Cut) {
        let Some(cell) = cut.piece.of.cell else { return };
        let site: SiteId = self.ledger.cells().cell(cell.get()).site();
        self.ledger.spill_free(site, cut.piece.bytes());
        if !cut.is_last {
            self.ledger.take_back_spilled_block(site);
        }
    }
}

impl Seat<'_> {
    /// Counts out what is unmapped of a mapping. It is a block until its last byte is.
    fn count_cut(mut self, cut: &Cut) {
        let Some(cell) = cut.piece.of.cell else { return };
        let cell = self.habits().cell(cell.get());
        match self.own_cell(cell) {
            Some(cell) => {
                self.count_free(cell, cut.piece.bytes());
                if !cut.is_last {
                    cell.take_back_freed_block();
                }
            }
            None => self.recorder().spill(cut),
        }
    }
}

/// The first part of a range that is reserved.
fn reserved_in(pieces: &Pieces, range: Range<usize>) -> Option<Range<usize>> {
    let mut rest = range;
    loop {
        let piece = pieces.first_in(&rest)?;
        let part = piece.start.max(rest.start)..piece.end.min(rest.end);
        if piece.of.cell.is_none() {
            return Some(part);
        }
        rest.start = part.end;
    }
}
