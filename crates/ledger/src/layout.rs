//! What lies where in a ledger: the numbers of the format, which the writer and the reader both
//! compute every place from.
//!
//! The records are those of a little-endian machine of 64 bits. Their fields are atomics where the
//! writer changes them while others read; a reader takes the bytes at `offset_of!` a field.

use std::sync::atomic::{AtomicI64, AtomicU32, AtomicU64};

/// The first eight bytes of every ledger.
pub const MAGIC: [u8; 8] = *b"tlsheap\0";

/// What a writer writes. It changes with every change of the layout.
pub const VERSION: u32 = 6;

/// The first version that this reader reads. Version 5 had only OpenSSLs for sources, and zeros
/// where their domain is now, which is OpenSSL's number.
pub const OLDEST_VERSION: u32 = 5;

/// Frames kept of one stack. Most have 32 to 45; parsing a certificate on a tokio task takes up to
/// about 80, through OpenSSL 4.0's decoders, and what an interpreter does may take 180. Unused room
/// costs nothing: stacks lie end to end.
pub const FRAMES_PER_SITE: usize = 512;

/// Regions begin at multiples of this, so that each can be populated on its own.
pub const PAGE: u64 = 4096;

/// Bytes kept of the process's memory map.
pub const MODULES_BYTES: u64 = 256 * 1024;

/// Bytes for file names; OpenSSL has about 520 files that allocate.
pub const STRINGS_BYTES: u64 = 256 * 1024;

/// `SiteRecord::state` of a site that readers may use.
pub const SITE_READY: u32 = 1;

/// `SiteRecord::flags`: the stack is cut.
pub const SITE_TRUNCATED: u32 = 1;

/// `SiteRecord::flags`: the [number](contract::Source::number) of the source lies this many bits
/// up, and takes sixteen.
pub const SITE_SOURCE_SHIFT: u32 = 8;

/// `SiteRecord::file` when OpenSSL passed NULL.
pub const FILE_NULL: u32 = u32::MAX;

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

    /// These capacities, or what a file of `bytes` has room for. `None` when that is next to
    /// nothing.
    pub fn within(self, bytes: u64) -> Option<Capacities> {
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
pub struct Header {
    /// [`MAGIC`], which is written last: a file without it is no ledger yet.
    pub magic: [u8; 8],
    /// [`VERSION`].
    pub version: u32,
    /// [`FRAMES_PER_SITE`].
    pub frames_per_site: u32,
    /// Bytes of the file: [`Regions::end`].
    pub file_bytes: u64,
    /// The process that counts here.
    pub pid: u64,
    /// When it began to, in nanoseconds since 1970.
    pub started_nanos: u64,
    /// [`Capacities::sites`].
    pub site_capacity: u32,
    /// [`Capacities::frames`].
    pub frame_capacity: u32,
    /// [`Capacities::cells`].
    pub cell_capacity: u32,
    /// [`Sampling::interval`](crate::Sampling::interval); 0 when every block is counted.
    pub sample_interval: AtomicU32,
    /// Bytes of /proc/self/maps stored.
    pub modules_used: AtomicU64,
    /// Bytes of the strings region handed out, used or not. Like the next three it is never beyond
    /// the capacity once a reader has clamped it. Place 0 is nobody's.
    pub strings_used: AtomicU64,
    /// Numbers of sites handed out. Number 0 is no site.
    pub sites_used: AtomicU64,
    /// Entries of the frames region handed out.
    pub frames_used: AtomicU64,
    /// Cells handed out.
    pub cells_used: AtomicU64,
    /// By index `Statistic as usize`.
    pub statistics: [AtomicU64; STATISTICS],
    /// On cache lines of its own: every event of every thread changes it.
    pub peak: PeakRecord,
    /// Entries of `tables` handed out.
    pub tables_used: AtomicU64,
    /// Private tables of the recorder.
    pub tables: [TableRecord; TABLES],
    /// Where the levels of the table of live blocks lie in the process's memory, each a
    /// [`LevelRecord`] and its slots; 0 is none.
    pub levels: [AtomicU64; LEVELS],
    /// Where the table of mappings lies, a [`MappingsRecord`] and its pieces; 0 is none.
    pub mappings: AtomicU64,
    /// A [`PeakOf`](contract::PeakOf): of what the highest total is.
    pub peak_of: AtomicU32,
    /// 1 where others than OpenSSL are counted, and were not from the process's start on.
    pub late: AtomicU32,
}

/// Levels that the table of live blocks can have.
pub const LEVELS: usize = 48;

/// What a level of the table of live blocks begins with. Its slots follow.
#[repr(C, align(64))]
pub struct LevelRecord {
    /// Buckets of [`SLOTS_PER_BUCKET`] slots, less one.
    pub mask: u64,
    /// What means nothing to a reader.
    pub rest: [u64; 7],
}

/// Slots of a bucket.
pub const SLOTS_PER_BUCKET: usize = 4;

/// A slot of a level.
#[repr(C)]
pub struct SlotRecord {
    /// The address of a live block; 0 is none.
    pub pointer: u64,
    /// The number of the cell that it is counted in, above its size in [`SIZE_BITS`]; 0 is none.
    pub block: u64,
}

/// Bits of a block's size.
pub const SIZE_BITS: u32 = 40;

/// What the table of mappings begins with. Its pieces follow, in the order of their addresses.
#[repr(C)]
pub struct MappingsRecord {
    /// How many pieces there are.
    pub pieces: AtomicU64,
    /// What means nothing to a reader.
    pub rest: [u64; 3],
}

/// A piece of a mapping.
#[repr(C)]
pub struct PieceRecord {
    /// The first address.
    pub start: u64,
    /// The address after the last byte.
    pub end: u64,
    /// The number of the cell that it is counted in; 0 for addresses that are reserved.
    pub cell: u32,
    /// What means nothing to a reader.
    pub rest: [u32; 3],
}

/// Tables of the recorder that the header can list, as many as there is room for: a TLS server has
/// ten, one for each of its first threads, and one for each 32 others.
pub const TABLES: usize = 200;

/// Where a private table of the recorder lies. 0 and 0 until it is written.
#[repr(C)]
pub struct TableRecord {
    /// The table's first address.
    pub start: AtomicU64,
    /// The table's length in bytes.
    pub bytes: AtomicU64,
}

/// The pool of the margin below the highest total, which the writer changes together with the epoch
/// as one word of 128 bits.
#[repr(C, align(64))]
pub struct PeakRecord {
    /// The pool, which means something to the writer alone.
    pub pool: AtomicU64,
    /// How often the highest total has been raised.
    pub epoch: AtomicU64,
    /// Keeps what follows off this cache line.
    pub padding: [u64; 6],
}

/// Room for statistics in the header; a multiple of eight keeps `peak` on its own line.
pub const STATISTICS: usize = 24;

/// One site. Written once, then `state` is set, then nothing but the spilled frees changes.
#[repr(C)]
pub struct SiteRecord {
    /// [`SITE_READY`] once the record may be read.
    pub state: AtomicU32,
    /// The line as OpenSSL passed it.
    pub line: u32,
    /// OpenSSL's pointer to the file name: tells sites apart, means nothing to a reader.
    pub file_pointer: u64,
    /// Offset into the strings region, or `FILE_NULL`.
    pub file: u32,
    /// Index of the first frame in the frames region.
    pub frames_start: u32,
    /// How many frames there are, at most [`FRAMES_PER_SITE`].
    pub depth: u32,
    /// [`SITE_TRUNCATED`], and the number of the source from [`SITE_SOURCE_SHIFT`] on.
    pub flags: u32,
    /// Frees by threads for which no cell was left.
    pub spilled_free_blocks: AtomicU64,
    /// Bytes in the blocks of these frees.
    pub spilled_free_bytes: AtomicU64,
    /// In a sampled ledger the size of each block; otherwise 0.
    pub block_bytes: u64,
}

/// `CellRecord::site` of a cell that counts dropped sites.
pub const DROPPED_CELL: u32 = u32::MAX;

/// Set in `CellRecord::owner` of a cell whose bytes are no part of what the highest total is of: they
/// are saved at that moment as others are, and do not choose it.
pub const CELL_BESIDE_PEAK: u32 = 1 << 31;

/// One thread's counts at one site. In a sampled ledger bytes are
/// [weights](crate::Sampling::weight).
#[repr(C, align(64))]
pub struct CellRecord {
    /// The site's number.
    pub site: AtomicU32,
    /// Tells the writer's threads apart, with [`CELL_BESIDE_PEAK`]; nothing for a reader.
    pub owner: AtomicU32,
    /// Blocks ever allocated.
    pub alloc_blocks: AtomicU64,
    /// Bytes ever allocated.
    pub alloc_bytes: AtomicU64,
    /// Blocks ever freed.
    pub free_blocks: AtomicU64,
    /// Bytes ever freed.
    pub free_bytes: AtomicU64,
    /// The epoch in which the peak below was saved; older than the header's epoch means that the
    /// cell has not changed since the highest total, so its peak is what it holds now.
    pub epoch: AtomicU64,
    /// Blocks that the cell held at the peak of `epoch`; below 0 where others' were freed.
    pub peak_blocks: AtomicI64,
    /// Bytes that the cell held at the peak of `epoch`.
    pub peak_bytes: AtomicI64,
}

const _: () = assert!(size_of::<Header>() <= PAGE as usize);
const _: () = assert!(size_of::<SiteRecord>() == 56);
const _: () = assert!(size_of::<CellRecord>() == 64);

/// Offsets of the regions, in bytes from the start of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Regions {
    /// The memory map of the process, in the form of /proc/PID/maps.
    pub modules: u64,
    /// File names: the length in four bytes and the name, from a multiple of four on.
    pub strings: u64,
    /// [`SiteRecord`]s; number 1 is the first.
    pub sites: u64,
    /// Return addresses of all stacks, end to end, eight bytes each.
    pub frames: u64,
    /// [`CellRecord`]s.
    pub cells: u64,
    /// The end of the last region, and so of the file.
    pub end: u64,
}

impl Regions {
    /// The regions of a ledger with these capacities.
    pub fn of(capacities: &Capacities) -> Regions {
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
