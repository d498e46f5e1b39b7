//! What lies where in a ledger. Both halves compute every place from this file alone.

use std::sync::atomic::{AtomicI64, AtomicU32, AtomicU64};

use crate::peak::Peak;

/// The first eight bytes of every ledger.
pub(crate) const MAGIC: [u8; 8] = *b"tlsheap\0";

/// Changes with every change of the layout; a reader reads its own version only.
pub(crate) const VERSION: u32 = 5;

/// Frames kept of one stack. Most have 32 to 45; parsing a certificate on a tokio task takes up to
/// about 80, through OpenSSL 4.0's decoders. Unused room costs nothing: stacks lie end to end.
pub const FRAMES_PER_SITE: usize = 128;

/// Regions begin at multiples of this, so that each can be populated on its own.
pub(crate) const PAGE: u64 = 4096;

/// Bytes kept of the process's memory map.
pub(crate) const MODULES_BYTES: u64 = 256 * 1024;

/// Bytes for file names; OpenSSL has about 520 files that allocate.
pub(crate) const STRINGS_BYTES: u64 = 256 * 1024;

/// `SiteRecord::state` of a site that readers may use.
pub(crate) const SITE_READY: u32 = 1;

/// `SiteRecord::flags`: the stack is cut.
pub(crate) const SITE_TRUNCATED: u32 = 1;

/// `SiteRecord::flags`: the number of the OpenSSL lies this many bits up, and takes eight.
pub(crate) const SITE_OPENSSL_SHIFT: u32 = 8;

/// `SiteRecord::file` when OpenSSL passed NULL.
pub(crate) const FILE_NULL: u32 = u32::MAX;

/// How much fits. What does not is counted as dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capacities {
    /// Sites: distinct pairs of file:line and call stack. At most 2^24 - 2.
    pub sites: u32,
    /// Return addresses over all stacks.
    pub frames: u32,
    /// Pairs of a thread and a site it allocated or freed at. At most 2^24 - 1.
    pub cells: u32,
}

impl Capacities {
    /// The most sites a ledger can have.
    pub const MOST_SITES: u32 = (1 << 24) - 2;

    /// The most cells a ledger can have: a live block keeps its cell's number in 24 bits.
    pub const MOST_CELLS: u32 = (1 << 24) - 1;

    /// Room for `sites` sites with stacks of 48 frames on average (TLS servers on tokio have 32
    /// to 45) on about eight threads each.
    pub fn for_sites(sites: u32) -> Capacities {
        let sites = sites.clamp(1, Self::MOST_SITES);
        let cells = sites.saturating_mul(8).min(Self::MOST_CELLS);
        Capacities { sites, frames: sites.saturating_mul(48), cells }
    }
}

impl Capacities {
    /// Fewer sites are not worth a ledger.
    const LEAST_SITES: u32 = 256;

    /// The same, or as much of it as a file of `bytes` has room for. `None` when that is next to
    /// nothing.
    pub(crate) fn within(self, bytes: u64) -> Option<Capacities> {
        let mut capacities = self;
        while Regions::of(&capacities).end > bytes {
            if capacities.sites / 2 < Capacities::LEAST_SITES {
                return None;
            }
            capacities = Capacities::for_sites(capacities.sites / 2);
        }
        Some(capacities)
    }
}

impl Default for Capacities {
    fn default() -> Self {
        Capacities::for_sites(65_536)
    }
}

/// The first page.
#[repr(C)]
pub(crate) struct Header {
    pub magic: [u8; 8],
    pub version: u32,
    pub frames_per_site: u32,
    pub file_bytes: u64,
    pub pid: u64,
    pub started_nanos: u64,
    pub site_capacity: u32,
    pub frame_capacity: u32,
    pub cell_capacity: u32,
    /// [`Sampling::interval`](crate::Sampling::interval); 0 when every block is counted.
    pub sample_interval: AtomicU32,
    /// Bytes of /proc/self/maps stored.
    pub modules_used: AtomicU64,
    /// Entries handed out, used or not; never beyond the capacity once a reader clamps them.
    pub strings_used: AtomicU64,
    pub sites_used: AtomicU64,
    pub frames_used: AtomicU64,
    pub cells_used: AtomicU64,
    /// By index `Statistic as usize`.
    pub statistics: [AtomicU64; STATISTICS],
    /// On cache lines of its own: every event of every thread changes it.
    pub peak: Peak,
    /// Entries of `tables` handed out.
    pub tables_used: AtomicU64,
    pub tables: [TableRecord; TABLES],
}

/// Tables of the recorder that the header can list: a TLS server has three and one for each thread.
pub(crate) const TABLES: usize = 128;

/// Where a private table of the recorder lies. 0 and 0 until it is written.
#[repr(C)]
pub(crate) struct TableRecord {
    pub start: AtomicU64,
    pub bytes: AtomicU64,
}

/// Room for statistics in the header; a multiple of eight keeps `peak` on its own line.
pub(crate) const STATISTICS: usize = 24;

/// One site. Written once, then `state` is set, then nothing but the spilled frees changes.
#[repr(C)]
pub(crate) struct SiteRecord {
    pub state: AtomicU32,
    pub line: u32,
    /// OpenSSL's pointer to the file name: tells sites apart, means nothing to a reader.
    pub file_pointer: u64,
    /// Offset into the strings region, or `FILE_NULL`.
    pub file: u32,
    /// Index of the first frame in the frames region.
    pub frames_start: u32,
    pub depth: u32,
    pub flags: u32,
    /// Frees by threads for which no cell was left.
    pub spilled_free_blocks: AtomicU64,
    pub spilled_free_bytes: AtomicU64,
    /// In a sampled ledger the size of each block; otherwise 0.
    pub block_bytes: u64,
}

/// One thread's counts at one site. In a sampled ledger bytes are [weights](crate::Sampling::weight).
#[repr(C, align(64))]
pub(crate) struct CellRecord {
    /// The site's number.
    pub site: AtomicU32,
    /// Tells the writer's threads apart; nothing for a reader.
    pub owner: AtomicU32,
    pub alloc_blocks: AtomicU64,
    pub alloc_bytes: AtomicU64,
    pub free_blocks: AtomicU64,
    pub free_bytes: AtomicU64,
    /// The epoch in which the peak below was saved; older than the header's epoch means that the
    /// cell has not changed since the highest total, so its peak is what it holds now.
    pub epoch: AtomicU64,
    pub peak_blocks: AtomicI64,
    pub peak_bytes: AtomicI64,
}

const _: () = assert!(size_of::<Header>() <= PAGE as usize);
const _: () = assert!(size_of::<SiteRecord>() == 56);
const _: () = assert!(size_of::<CellRecord>() == 64);

/// Offsets of the regions, in bytes from the start of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Regions {
    pub modules: u64,
    pub strings: u64,
    pub sites: u64,
    pub frames: u64,
    pub cells: u64,
    pub end: u64,
}

impl Regions {
    pub(crate) fn of(capacities: &Capacities) -> Regions {
        let page = |bytes: u64| bytes.next_multiple_of(PAGE);
        let modules = PAGE;
        let strings = modules + MODULES_BYTES;
        let sites = strings + STRINGS_BYTES;
        let frames = sites + page(u64::from(capacities.sites) * size_of::<SiteRecord>() as u64);
        let cells = frames + page(u64::from(capacities.frames) * 8);
        let end = cells + page(u64::from(capacities.cells) * size_of::<CellRecord>() as u64);
        Regions { modules, strings, sites, frames, cells, end }
    }
}
