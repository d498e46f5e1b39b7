//! The writer half: a ledger mapped into the process that counts in it.
//!
//! Everything here that is reached from an allocation neither allocates nor locks: pools hand out
//! their entries with one atomic addition, and pages are populated before they are touched, so
//! that a full disk turns into dropped sites and not into SIGBUS.

use std::collections::HashSet;
use std::mem::offset_of;
use std::os::fd::BorrowedFd;
use std::path::Path;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use contract::{Domain, PeakOf, Source};
use ledger::layout::{
    CELL_BESIDE_PEAK, CellRecord, DROPPED_CELL, FILE_NULL, Header, MAGIC, MODULES_BYTES, PAGE,
    Regions, SITE_READY, SITE_SOURCE_SHIFT, SITE_TRUNCATED, STRINGS_BYTES, SiteRecord, TABLES,
    VERSION,
};
use ledger::{Capacities, FRAMES_PER_SITE, Sampling, Statistic};

use crate::account::Stored;
use crate::cell::{Cell, Cells, save_peak};
use crate::fences;
use crate::mapping::{CreateError, Mapping, largest_file};
use crate::peak::{Accounts, Change, Peak, Share};
use crate::site_key::{SiteId, SiteKey, StackEnd};

/// A ledger mapped for writing.
#[derive(Debug)]
pub struct Ledger {
    mapping: Mapping,
    regions: Regions,
    capacities: Capacities,
    /// Up to where each growing region is populated, as offsets in the file.
    populated: Populated,
}

#[derive(Debug)]
struct Populated {
    strings: AtomicU64,
    sites: AtomicU64,
    frames: AtomicU64,
    cells: AtomicU64,
}

// SAFETY: the mapping lives as long as the process and is shared by design; all that changes in
// it after creation are atomics, cells (one writer each, see `Cell`), and entries that exactly one
// thread was handed by a pool's atomic addition and that nobody reads before they are published.
unsafe impl Send for Ledger {}
// SAFETY: as for Send.
unsafe impl Sync for Ledger {}

/// Populated at once when a region grows: few system calls, little memory ahead of need.
const STEP: u64 = 64 * 1024;

/// Before no more room can be made, it is made for so many further sites, in 4 MB: a TLS server has
/// about 5,000 sites in all.
const SITES_AHEAD: u32 = 4096;

impl Ledger {
    /// Creates the file, which must not exist, and maps it. Meant for start-up: it allocates. It
    /// has less room where the process may not write a file of that size.
    pub fn create(path: &Path, capacities: Capacities) -> Result<Ledger, CreateError> {
        let map = |bytes| Mapping::create(path, bytes);
        Ledger::made(path, capacities, std::process::id(), map)
    }

    /// Maps the empty file that this descriptor is of, as [`Ledger::create`] does a new one: for a
    /// process that was handed it, and may reach no file. `path` is what errors call it, and `pid`
    /// the number by which whoever reads it knows the process: in a container, the process has
    /// another for itself.
    pub fn of_file(
        file: BorrowedFd,
        path: &Path,
        capacities: Capacities,
        pid: u32,
    ) -> Result<Ledger, CreateError> {
        Ledger::made(path, capacities, pid, |bytes| Mapping::of(file, path, bytes))
    }

    fn made(
        path: &Path,
        capacities: Capacities,
        pid: u32,
        map: impl FnOnce(u64) -> Result<Mapping, CreateError>,
    ) -> Result<Ledger, CreateError> {
        let capacities =
            capacities.within(largest_file()).ok_or_else(|| CreateError::too_large(path))?;
        let regions = Regions::of(&capacities);
        let ledger = Ledger {
            mapping: map(regions.end)?,
            regions,
            capacities,
            populated: Populated {
                strings: AtomicU64::new(regions.strings),
                sites: AtomicU64::new(regions.sites),
                frames: AtomicU64::new(regions.frames),
                cells: AtomicU64::new(regions.cells),
            },
        };
        ledger.write_header(pid);
        fences::prepare();
        Ok(ledger)
    }

    /// Takes the file away from below a ledger in which nobody is to count any more, and leaves
    /// memory of zeros in its place, for threads that were about to. `false` when the kernel
    /// refuses.
    pub fn let_go(&self) -> bool {
        self.mapping.let_go()
    }

    /// Takes the ledger out of memory.
    ///
    /// # Safety
    ///
    /// Nobody uses it, or a cell of it, any more.
    pub unsafe fn unmap(&self) {
        // SAFETY: the caller's promise.
        unsafe { self.mapping.unmap() };
    }

    fn write_header(&self, pid: u32) {
        let started =
            SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |t| t.as_nanos() as u64);
        let header = self.mapping.place::<Header>(0);
        // SAFETY: the first page is mapped and populated, aligned to a page, and not yet shared
        // with any thread. The file is new, so all other fields are zero already.
        unsafe {
            (*header).version = VERSION;
            (*header).frames_per_site = FRAMES_PER_SITE as u32;
            (*header).file_bytes = self.regions.end;
            (*header).pid = u64::from(pid);
            (*header).started_nanos = started;
            (*header).site_capacity = self.capacities.sites;
            (*header).frame_capacity = self.capacities.frames;
            (*header).cell_capacity = self.capacities.cells;
            // Site 0 is DROPPED and no name lies at place 0: real entries begin behind them.
            (*header).sites_used = AtomicU64::new(1);
            (*header).strings_used = AtomicU64::new(4);
            // Last, so that a file without it is no ledger.
            (*header).magic = MAGIC;
        }
    }

    #[inline]
    fn header(&self) -> &Header {
        // SAFETY: mapped, aligned and initialised by `create`; from then on all that changes in
        // it are atomics.
        unsafe { &*self.mapping.place::<Header>(0) }
    }

    #[inline]
    fn peak(&self) -> &Peak {
        // SAFETY: mapped and aligned as the header is, of which it is a part; any bytes are a peak,
        // and all that is ever in it is an atomic.
        unsafe { &*self.mapping.place::<Peak>(offset_of!(Header, peak) as u64) }
    }

    /// How much fits.
    pub fn capacities(&self) -> &Capacities {
        &self.capacities
    }

    /// Says that only a part of the blocks is counted. Meant for start-up, before the first one is.
    pub fn set_sampling(&self, sampling: Sampling) {
        self.header().sample_interval.store(sampling.interval() as u32, Ordering::Release);
    }

    /// Says of what the highest total is. Meant for start-up, before the first cell is claimed.
    pub fn set_peak_of(&self, peak_of: PeakOf) {
        self.header().peak_of.store(peak_of as u32, Ordering::Release);
    }

    /// Says that others than OpenSSL are counted, and were not from the process's start on.
    pub fn set_late(&self) {
        self.header().late.store(1, Ordering::Release);
    }

    /// Whether a site's bytes are no part of what the highest total is of. Of dropped sites it is
    /// not known whose they are: they are taken for OpenSSL's, as in the totals.
    fn is_beside_peak(&self, site: SiteId) -> bool {
        let peak_of = PeakOf::from_number(self.header().peak_of.load(Ordering::Relaxed));
        let domain = self.site(site).and_then(|record| {
            let source = u16::try_from(record.flags >> SITE_SOURCE_SHIFT).ok()?;
            Some(Source::from_number(source)?.domain)
        });
        peak_of == PeakOf::Openssl && domain.is_some_and(|domain| domain != Domain::Openssl)
    }

    /// Stores the process's memory map (`text` in the form of /proc/self/maps, cut where it does
    /// not fit). Meant for start-up, before the first allocation is recorded.
    pub fn store_modules(&self, text: &[u8]) {
        let length = text.len().min(MODULES_BYTES as usize);
        if !self.mapping.populate(self.regions.modules, length as u64) {
            return;
        }
        // SAFETY: the region is mapped, populated and as long as MODULES_BYTES; readers look at
        // it only after `modules_used` says how much there is.
        unsafe {
            let to = self.mapping.place::<u8>(self.regions.modules);
            std::ptr::copy_nonoverlapping(text.as_ptr(), to, length);
        }
        self.header().modules_used.store(length as u64, Ordering::Release);
    }

    /// What is stored of the process's memory map.
    pub fn modules(&self) -> &[u8] {
        let used = self.header().modules_used.load(Ordering::Acquire) as usize;
        // SAFETY: the first `used` bytes of the region were written before `modules_used` said so,
        // and do not change any more.
        unsafe {
            std::slice::from_raw_parts(
                self.mapping.place::<u8>(self.regions.modules).cast_const(),
                used,
            )
        }
    }

    /// Adds the lines of `text` (in the form of /proc/self/maps) that are not stored yet, as far as
    /// they fit: files that were mapped since. Memory without a file is left out: its lines change
    /// all the time, and nobody reads them. Lines stored before stay as they are, so that a
    /// reader never sees one half written. It allocates; one thread at a time may call it.
    pub fn add_modules(&self, text: &[u8]) {
        let stored = self.modules();
        let used = stored.len();
        let known: HashSet<&[u8]> = stored.split(|byte| *byte == b'\n').collect();
        let new: Vec<u8> = text
            .split_inclusive(|byte| *byte == b'\n')
            .filter(|line| line.contains(&b'/'))
            .filter(|line| !known.contains(line.strip_suffix(b"\n").unwrap_or(line)))
            .flatten()
            .copied()
            .collect();
        let end = (used + new.len()).min(MODULES_BYTES as usize);
        if used == end || !self.mapping.populate(self.regions.modules, end as u64) {
            return;
        }
        // SAFETY: the places after the first `used` bytes lie in the region, are populated, and
        // readers look at them only after `modules_used` says so.
        unsafe {
            let to = self.mapping.place::<u8>(self.regions.modules + used as u64);
            std::ptr::copy_nonoverlapping(new.as_ptr(), to, end - used);
        }
        self.header().modules_used.store(end as u64, Ordering::Release);
    }

    /// Adds `amount` to a statistic.
    pub fn add(&self, statistic: Statistic, amount: u64) {
        self.header().statistics[statistic as usize].fetch_add(amount, Ordering::Relaxed);
    }

    /// Says where a level of the table of live blocks lies.
    pub fn add_level(&self, number: usize, start: usize) {
        if let Some(place) = self.header().levels.get(number) {
            place.store(start as u64, Ordering::Release);
        }
    }

    /// Says where the table of mappings lies.
    pub fn set_mappings(&self, start: usize) {
        self.header().mappings.store(start as u64, Ordering::Release);
    }

    /// Says where a private table of the recorder lies, for the account of resident memory, or
    /// where one goes on that has grown. One for which the list has no room is in
    /// [`Statistic::PrivateBytes`] all the same.
    pub fn add_table(&self, start: usize, bytes: usize) {
        self.add(Statistic::PrivateBytes, bytes as u64);
        let header = self.header();
        let end = start as u64 + bytes as u64;
        let is_listed = header.tables.iter().any(|table| {
            let known = table.start.load(Ordering::Acquire);
            known <= start as u64 && end <= known + table.bytes.load(Ordering::Relaxed)
        });
        if is_listed {
            return;
        }
        // Its owner alone makes a table grow.
        let grown = header.tables.iter().find(|table| {
            let known = table.start.load(Ordering::Acquire);
            known != 0 && known + table.bytes.load(Ordering::Relaxed) == start as u64
        });
        if let Some(table) = grown {
            table.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
            return;
        }
        self.add_room(start, bytes);
    }

    /// Lists addresses in which tables of the recorder's will be, none of which is listed by itself
    /// then.
    pub fn add_room(&self, start: usize, bytes: usize) {
        let header = self.header();
        if let Some(at) = take(&header.tables_used, 1, TABLES as u64) {
            let table = &header.tables[at as usize];
            table.bytes.store(bytes as u64, Ordering::Relaxed);
            table.start.store(start as u64, Ordering::Release);
        }
    }

    /// Sets a statistic.
    pub fn set(&self, statistic: Statistic, value: u64) {
        self.header().statistics[statistic as usize].store(value, Ordering::Relaxed);
    }

    /// Stores a file name and returns its place, or `None` when there is no room.
    pub fn add_file(&self, name: &[u8]) -> Option<u32> {
        let bytes = (4 + name.len() as u64).next_multiple_of(4);
        let used = &self.header().strings_used;
        let start = take(used, bytes, STRINGS_BYTES)?;
        let offset = self.regions.strings + start;
        if !self.populate_up_to(&self.populated.strings, offset + bytes) {
            return None;
        }
        // SAFETY: [offset, offset + bytes) lies in the strings region, is populated, and was
        // handed to this call alone; `start` is a multiple of 4, so the length is aligned.
        unsafe {
            self.mapping.place::<u32>(offset).write(name.len() as u32);
            let to = self.mapping.place::<u8>(offset + 4);
            std::ptr::copy_nonoverlapping(name.as_ptr(), to, name.len());
        }
        Some(start as u32)
    }

    /// Stores a site and returns its number, or `None` when there is no room. `file` is a place
    /// that [`Ledger::add_file`] gave, or `None` for NULL; `end` tells where its stack ends.
    /// Readers see it at once.
    pub fn add_site(&self, key: SiteKey, file: Option<u32>, end: StackEnd) -> Option<SiteId> {
        let SiteKey { source, file_pointer, line, block_bytes, frames } = key;
        let header = self.header();
        let depth = frames.len().min(FRAMES_PER_SITE);
        // `sites_used` counts number 0, so the highest number is the capacity itself; record n
        // lies at index n - 1.
        let number = take(&header.sites_used, 1, u64::from(self.capacities.sites) + 1)?;
        let start = take(&header.frames_used, depth as u64, u64::from(self.capacities.frames))?;
        let record_offset = self.regions.sites + (number - 1) * size_of::<SiteRecord>() as u64;
        let frames_offset = self.regions.frames + start * 8;
        let record_end = record_offset + size_of::<SiteRecord>() as u64;
        if !self.populate_up_to(&self.populated.sites, record_end)
            || !self.populate_up_to(&self.populated.frames, frames_offset + depth as u64 * 8)
        {
            return None;
        }
        // SAFETY: both places lie in their regions (`take` checked the capacities), are populated
        // and aligned, and were handed to this call alone. Readers wait for `state`.
        unsafe {
            let to = self.mapping.place::<usize>(frames_offset);
            std::ptr::copy_nonoverlapping(frames.as_ptr(), to, depth);
            let record = self.mapping.place::<SiteRecord>(record_offset);
            (*record).line = line;
            (*record).file_pointer = file_pointer as u64;
            (*record).file = file.unwrap_or(FILE_NULL);
            (*record).block_bytes = block_bytes;
            (*record).frames_start = start as u32;
            (*record).depth = depth as u32;
            (*record).flags = u32::from(source.number()) << SITE_SOURCE_SHIFT
                | if end == StackEnd::Root { 0 } else { SITE_TRUNCATED };
            (*record).state.store(SITE_READY, Ordering::Release);
        }
        match end {
            StackEnd::Root => {}
            StackEnd::Cut => self.add(Statistic::TruncatedStacks, 1),
            StackEnd::Lost => self.add(Statistic::BrokenStacks, 1),
        }
        Some(SiteId::from_number(number as u32))
    }

    /// Whether `site` is that of this key.
    #[inline]
    pub fn site_is(&self, site: SiteId, key: SiteKey) -> bool {
        let SiteKey { source, file_pointer, line, block_bytes, frames } = key;
        let Some(record) = self.site(site) else { return false };
        if record.file_pointer != file_pointer as u64
            || record.line != line
            || record.block_bytes != block_bytes
            || record.flags >> SITE_SOURCE_SHIFT != u32::from(source.number())
            || record.depth as usize != frames.len()
        {
            return false;
        }
        let offset = self.regions.frames + u64::from(record.frames_start) * 8;
        // SAFETY: `add_site` wrote `depth` addresses there before it published the number, and
        // they never change.
        let stored = unsafe {
            std::slice::from_raw_parts(self.mapping.place::<usize>(offset), frames.len())
        };
        stored == frames
    }

    /// Who asks at a site; `None` for [`SiteId::DROPPED`].
    pub fn source_of(&self, site: SiteId) -> Option<Source> {
        Source::from_number((self.site(site)?.flags >> SITE_SOURCE_SHIFT) as u16)
    }

    fn site(&self, site: SiteId) -> Option<&SiteRecord> {
        let index = u64::from(site.number().checked_sub(1)?);
        let offset = self.regions.sites + index * size_of::<SiteRecord>() as u64;
        // SAFETY: a number that `add_site` handed out: its record is populated and written.
        Some(unsafe { &*self.mapping.place::<SiteRecord>(offset) })
    }

    /// Claims a cell for the calling thread at `site`, or `None` when there is no room. `owner` is
    /// what the caller calls itself, for [`Cell::owner`].
    pub fn claim_cell(&self, site: SiteId, owner: u32) -> Option<Cell> {
        let capacity = u64::from(self.capacities.cells);
        let index = take(&self.header().cells_used, 1, capacity)?;
        let offset = self.regions.cells + index * size_of::<CellRecord>() as u64;
        let end = offset + size_of::<CellRecord>() as u64;
        if !self.populate_up_to(&self.populated.cells, end) {
            return None;
        }
        let record = self.mapping.place::<CellRecord>(offset);
        // A reader takes a cell of site 0 for unused until the number is there; DROPPED cells
        // are marked with the highest number instead.
        let number = if site == SiteId::DROPPED { DROPPED_CELL } else { site.number() };
        let beside = if self.is_beside_peak(site) { CELL_BESIDE_PEAK } else { 0 };
        // SAFETY: in the cells region, populated, aligned to 64 (pages and 64-byte entries), and
        // handed to this call alone.
        unsafe {
            (*record).owner.store(owner | beside, Ordering::Relaxed);
            (*record).site.store(number, Ordering::Release);
        }
        NonNull::new(record).map(Cell::at)
    }

    /// Where the cells lie.
    #[inline]
    pub fn cells(&self) -> Cells {
        let first = self.mapping.place::<CellRecord>(self.regions.cells);
        Cells::from_first(first)
    }

    /// Counts an allocation of `bytes` in a cell of the calling thread.
    pub fn count_allocation<A: Accounts + ?Sized>(&self, cell: Cell, bytes: u64, share: Share<A>) {
        if let Err(stored) = cell.count_allocation(bytes, share.account, share.lease) {
            self.settle(cell, Change::Rise(bytes), stored, share);
        }
    }

    /// Counts a free of a block of `bytes` in a cell of the calling thread.
    pub fn count_free<A: Accounts + ?Sized>(&self, cell: Cell, bytes: u64, share: Share<A>) {
        if let Err(stored) = cell.count_free(bytes, share.account, share.lease) {
            self.settle(cell, Change::Fall(bytes), stored, share);
        }
    }

    /// What [`Cell::count_allocation`] or [`Cell::count_free`] leaves to do.
    pub fn settle<A: Accounts + ?Sized>(
        &self,
        cell: Cell,
        change: Change,
        stored: Stored,
        share: Share<A>,
    ) {
        let before = |epoch| save_peak(cell.record(), epoch);
        if !self.peak().settle(cell.of_peak(change), stored, share, before) {
            self.add(Statistic::UnsettledEvents, 1);
        }
        cell.add(change);
    }

    /// Counts a free by a thread for which no cell is left. In use stays exact; the site's peak
    /// may come out too high by what was freed this way.
    pub fn spill_free(&self, site: SiteId, bytes: u64) {
        if !self.is_beside_peak(site) && !self.peak().fall_into_pool(bytes) {
            self.add(Statistic::UnsettledEvents, 1);
        }
        if let Some(record) = self.site(site) {
            record.spilled_free_blocks.fetch_add(1, Ordering::Relaxed);
            record.spilled_free_bytes.fetch_add(bytes, Ordering::Relaxed);
        } else {
            self.add(Statistic::SpilledDroppedBlocks, 1);
            self.add(Statistic::SpilledDroppedBytes, bytes);
        }
    }

    /// After [`Ledger::spill_free`] of a part of a block: the block is still there.
    pub fn take_back_spilled_block(&self, site: SiteId) {
        match self.site(site) {
            Some(record) => {
                record.spilled_free_blocks.fetch_sub(1, Ordering::Relaxed);
            }
            None => self.add(Statistic::SpilledDroppedBlocks, u64::MAX),
        }
    }

    /// Makes sure that a region is populated up to `end`.
    fn populate_up_to(&self, populated: &AtomicU64, end: u64) -> bool {
        let have = populated.load(Ordering::Acquire);
        if end <= have {
            return true;
        }
        let to = end.next_multiple_of(STEP).min(self.regions.end);
        let from = have & !(PAGE - 1);
        if !self.mapping.populate(from, to - from) {
            return false;
        }
        populated.fetch_max(to, Ordering::AcqRel);
        true
    }

    /// Populates each region ahead, for [`SITES_AHEAD`].
    pub(crate) fn make_room(&self) {
        let (regions, populated, header) = (self.regions, &self.populated, self.header());
        let (all, more) = (self.capacities, Capacities::for_sites(SITES_AHEAD));
        self.populate_up_to(&populated.strings, regions.strings + STRINGS_BYTES);
        let entries = |used: &AtomicU64, more: u32, all: u32| {
            (used.load(Ordering::Acquire) + u64::from(more)).min(all.into())
        };
        // Where there is no space, that much less fits.
        let sites = entries(&header.sites_used, more.sites, all.sites);
        let sites = regions.sites + sites * size_of::<SiteRecord>() as u64;
        self.populate_up_to(&populated.sites, sites);
        let frames = entries(&header.frames_used, more.frames, all.frames);
        self.populate_up_to(&populated.frames, regions.frames + frames * 8);
        let cells = entries(&header.cells_used, more.cells, all.cells);
        let cells = regions.cells + cells * size_of::<CellRecord>() as u64;
        self.populate_up_to(&populated.cells, cells);
    }
}

/// How often a thread tries to take from a pool, of which each try that fails is another's success.
const TRIES: u32 = 1 << 16;

/// Takes `amount` entries of a pool, or `None` (and leaves the pool as it was) when fewer are
/// left, or it has been tried too often.
fn take(used: &AtomicU64, amount: u64, capacity: u64) -> Option<u64> {
    let mut start = used.load(Ordering::Relaxed);
    for _ in 0..TRIES {
        let end = start.checked_add(amount).filter(|end| *end <= capacity)?;
        let (success, failure) = (Ordering::Relaxed, Ordering::Relaxed);
        match used.compare_exchange_weak(start, end, success, failure) {
            Ok(_) => return Some(start),
            Err(now) => start = now,
        }
    }
    None
}

#[cfg(all(test, not(loom)))]
mod tests;
