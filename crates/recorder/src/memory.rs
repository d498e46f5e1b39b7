//! Memory for the recorder's own tables: anonymous mappings, outside every allocator.

use std::ptr::NonNull;
use std::sync::atomic::{AtomicUsize, Ordering};

use ledger_writer::Permit;

/// A table of the recorder's, for the ledger to list.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Table {
    pub start: usize,
    pub bytes: usize,
}

/// Has the processor fetch the cache line at `place`, which is soon needed.
#[inline]
pub(crate) fn prefetch<T>(place: *const T) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a hint; an address that is not mapped has no effect.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(place.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = place;
}

/// Room before and behind a table that nobody may touch. It keeps the kernel from joining a table
/// with a neighbour's memory, so that /proc/PID/smaps has each table on its own and the tool can
/// tell the recorder's resident pages from the program's.
const GUARD: usize = PAGE;

/// The bytes of a page, or of a part of one where pages are larger.
pub(crate) const PAGE: usize = 4096;

/// Maps `bytes` of zeroed memory that is committed page by page as it is touched. `None` when the
/// kernel refuses. The mapping is for good; tables that lose a race are given back with
/// [`unmap`].
pub(crate) fn map(bytes: usize) -> Option<NonNull<u8>> {
    let table = reserve(whole(bytes))?;
    if make_usable(table, whole(bytes) - 2 * GUARD) {
        return Some(table);
    }
    // SAFETY: reserved above and not used.
    unsafe { unmap(table, bytes) };
    None
}

/// Reserves addresses, `whole` bytes of them, and returns where the table begins in them.
fn reserve(whole: usize) -> Option<NonNull<u8>> {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    // SAFETY: a new anonymous mapping at an address of the kernel's choice.
    let address = unsafe { libc::mmap(std::ptr::null_mut(), whole, libc::PROT_NONE, flags, -1, 0) };
    if address == libc::MAP_FAILED {
        return None;
    }
    NonNull::new(address.wrapping_byte_add(GUARD).cast())
}

/// Makes memory of a part of what was reserved.
fn make_usable(table: NonNull<u8>, length: usize) -> bool {
    let table = table.as_ptr().cast::<libc::c_void>();
    let access = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: a part of a mapping of ours that nobody uses yet, or that is memory already.
    if unsafe { libc::mprotect(table, length, access) } != 0 {
        return false;
    }
    // Where the kernel knows names of anonymous memory (Linux 5.17, if it is built so), a reader of
    // smaps sees whose it is. Elsewhere nothing is lost: the ledger lists the tables.
    if let Some(_permit) = Permit::ask() {
        let name = c"tlsheap tables".as_ptr();
        // SAFETY: names a part of the mapping just made; the name is a C string.
        unsafe { libc::prctl(libc::PR_SET_VMA, libc::PR_SET_VMA_ANON_NAME, table, length, name) };
    }
    true
}

/// Gives back what [`map`] returned.
///
/// # Safety
///
/// `address` and `bytes` are those of one call of [`map`], and nothing uses the memory any more.
pub(crate) unsafe fn unmap(address: NonNull<u8>, bytes: usize) {
    // SAFETY: the caller's promise; `map` put a guard before the address and one behind the table.
    unsafe { libc::munmap(address.as_ptr().wrapping_sub(GUARD).cast(), whole(bytes)) };
}

impl Table {
    /// Gives back a table that [`map`] returned.
    ///
    /// # Safety
    ///
    /// It is one, and nothing uses the memory any more.
    pub(crate) unsafe fn unmap(self) {
        if let Some(start) = NonNull::new(self.start as *mut u8) {
            // SAFETY: the caller's promise.
            unsafe { unmap(start, self.bytes) };
        }
    }
}

/// A table that grows in place: addresses are reserved for the whole of it, and become memory from
/// the start on. What is not memory yet counts for nothing, not even where the kernel promises no
/// more memory than there is.
pub(crate) struct Growing {
    start: NonNull<u8>,
    /// How long it may become.
    bytes: usize,
    /// Becomes memory at once.
    step: usize,
    /// Is memory.
    ready: AtomicUsize,
    /// Whose the addresses are.
    addresses: Addresses,
}

/// Whose the addresses of a table are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Addresses {
    /// Its own: it gives them back.
    Own,
    /// A part of a [`Reservation`], which does.
    Shared,
}

/// Addresses for several tables of one size, each with guards of its own.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reservation {
    start: NonNull<u8>,
    rooms: usize,
    /// How long a table may become.
    bytes: usize,
}

impl Reservation {
    /// Reserves addresses for so many tables of at most `bytes`. `None` when the kernel refuses.
    pub(crate) fn new(rooms: usize, bytes: usize) -> Option<Reservation> {
        let first = reserve(rooms.checked_mul(whole(bytes))?)?;
        // SAFETY: one guard before it is where the reservation begins.
        let start = unsafe { first.sub(GUARD) };
        Some(Reservation::at(start, rooms, bytes))
    }

    /// The one that begins there, which [`Reservation::new`] made for as many tables as large.
    pub(crate) fn at(start: NonNull<u8>, rooms: usize, bytes: usize) -> Reservation {
        Reservation { start, rooms, bytes }
    }

    /// The first address.
    pub(crate) fn start(&self) -> NonNull<u8> {
        self.start
    }

    /// All that it has reserved.
    pub(crate) fn bytes(&self) -> usize {
        self.rooms * whole(self.bytes)
    }

    /// The table in the room with this number, of which the first `step` bytes are memory: nobody
    /// else has it. `None` when there is no such room, or the kernel refuses.
    pub(crate) fn room(&self, number: usize, step: usize) -> Option<Growing> {
        if number >= self.rooms {
            return None;
        }
        // SAFETY: within the reservation.
        let start = unsafe { self.start.add(number * whole(self.bytes) + GUARD) };
        let bytes = whole(self.bytes) - 2 * GUARD;
        let ready = AtomicUsize::new(0);
        let growing = Growing { start, bytes, step, ready, addresses: Addresses::Shared };
        growing.reach(1, &|_| {}).then_some(growing)
    }

    /// Gives the addresses back, with all tables in them.
    ///
    /// # Safety
    ///
    /// Nothing uses their memory any more, or will.
    pub(crate) unsafe fn unmap(self) {
        // SAFETY: the caller's promise; `new` has reserved so much.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.bytes()) };
    }
}

impl Growing {
    /// A table of at most `bytes`, of which the first `step` are memory: whole pages. `None` when
    /// the kernel refuses.
    pub(crate) fn new(bytes: usize, step: usize) -> Option<Growing> {
        debug_assert!(step.is_multiple_of(GUARD));
        let whole = whole(bytes);
        let start = reserve(whole)?;
        let bytes = whole - 2 * GUARD;
        let ready = AtomicUsize::new(0);
        let growing = Growing { start, bytes, step, ready, addresses: Addresses::Own };
        if growing.reach(1, &|_| {}) {
            return Some(growing);
        }
        // SAFETY: reserved above and not used.
        unsafe { growing.give_back() };
        None
    }

    /// Gives all of it back.
    ///
    /// # Safety
    ///
    /// Nothing uses the memory any more.
    pub(crate) unsafe fn give_back(self) {
        // SAFETY: the caller's promise.
        unsafe { self.unmap() };
    }

    /// Gives all of it back, unless a [`Reservation`] does.
    ///
    /// # Safety
    ///
    /// Nothing uses the memory, or this value, any more.
    pub(crate) unsafe fn unmap(&self) {
        if self.addresses == Addresses::Own {
            // SAFETY: the caller's promise; `new` has reserved so much.
            unsafe { unmap(self.start, self.bytes) };
        }
    }

    /// Where it begins.
    #[inline(always)]
    pub(crate) fn start(&self) -> NonNull<u8> {
        self.start
    }

    /// What is memory so far.
    pub(crate) fn table(&self) -> Table {
        Table { start: self.start.as_ptr() as usize, bytes: self.ready.load(Ordering::Acquire) }
    }

    /// Makes memory of all that lies before `end`. `false` when the kernel refuses, or it is beyond
    /// the table. `grown` is told of what has become memory.
    #[inline]
    pub(crate) fn reach(&self, end: usize, grown: &impl Fn(Table)) -> bool {
        let ready = self.ready.load(Ordering::Acquire);
        end <= ready || self.grow(ready, end, grown)
    }

    #[cold]
    fn grow(&self, ready: usize, end: usize, grown: &impl Fn(Table)) -> bool {
        let to = end.next_multiple_of(self.step).min(self.bytes);
        // SAFETY: within what was reserved.
        let from = unsafe { self.start.add(ready) };
        if end > self.bytes || !make_usable(from, to - ready) {
            return false;
        }
        // Of threads that are here at once the others have made the same usable.
        if self.ready.fetch_max(to, Ordering::AcqRel) == ready {
            grown(Table { start: from.as_ptr() as usize, bytes: to - ready });
        }
        true
    }
}

/// Bytes mapped for a table and its guards.
fn whole(bytes: usize) -> usize {
    bytes.next_multiple_of(GUARD) + 2 * GUARD
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rooms_of_a_reservation_are_apart_and_end_with_it() {
        let (bytes, step) = (10 * PAGE, PAGE);
        let all = Reservation::new(3, bytes).expect("some addresses");
        let rooms: Vec<Growing> =
            (0..3).map(|number| all.room(number, step).expect("a page")).collect();
        assert!(all.room(3, step).is_none());
        for room in &rooms {
            assert_eq!(room.table().bytes, PAGE);
            assert!(room.reach(bytes, &|_| {}) && !room.reach(bytes + 1, &|_| {}));
            // SAFETY: so much is memory, and nobody else's.
            unsafe { room.start().as_ptr().write_bytes(1, bytes) };
        }
        let starts: Vec<usize> = rooms.iter().map(|room| room.table().start).collect();
        assert!(starts.windows(2).all(|pair| pair[1] == pair[0] + bytes + 2 * GUARD));
        let range = all.start().as_ptr() as usize..all.start().as_ptr() as usize + all.bytes();
        assert!(range.contains(&(starts[2] + bytes)), "the last one lies in it");
        for room in rooms {
            // SAFETY: not used any more; its addresses stay.
            unsafe { room.give_back() };
        }
        // SAFETY: no room is used any more.
        unsafe { all.unmap() };
    }

    #[test]
    fn a_table_is_a_mapping_of_its_own() {
        let bytes = 3 * GUARD + 1;
        let table = map(bytes).expect("a few pages").as_ptr() as usize;
        let maps = std::fs::read_to_string("/proc/self/maps").expect("a mounted /proc");
        let expected = format!("{table:x}-{:x} rw-p", table + 4 * GUARD);
        assert!(maps.lines().any(|line| line.starts_with(&expected)), "{expected} not in\n{maps}");
    }
}
