//! jemalloc's own figures: what it gave out, and what it keeps for itself.

use serde::{Deserialize, Serialize};
use tikv_jemalloc_ctl::raw;

use crate::heap_profile::JemallocError;

/// Figures of jemalloc, in bytes where nothing else is said, over all its arenas.
///
/// ```text
/// resident = active + dirty + pages of metadata
/// active   ⊇ allocated + sampled_bytes + room in half-used slabs
/// allocated = blocks of OpenSSL and Rust + internal + cached
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(clippy::unsafe_derive_deserialize, reason = "what is unsafe is asking jemalloc")]
pub struct HeapStatistics {
    /// Blocks, in usable sizes; without small blocks that the profiler has in its sample.
    pub allocated: u64,
    /// Whole pages with blocks in them.
    pub active: u64,
    /// jemalloc's bookkeeping.
    pub metadata: u64,
    /// Pages that may be resident. Those of them that were never touched are not.
    pub resident: u64,
    /// Address space of active and dirty pages, and of metadata.
    pub mapped: u64,
    /// Address space that is kept, without memory behind it.
    pub retained: u64,
    /// The part of `metadata` that lies in blocks of its own: it is in `allocated` as well.
    pub internal: u64,
    /// Freed blocks that threads keep for their next allocations. They are in `allocated`.
    pub cached: u64,
    /// Pages without blocks that have not been given back yet.
    pub dirty: u64,
    /// Small blocks in the profiler's sample.
    pub sampled_blocks: u64,
    /// The pages of these, which each has to itself.
    pub sampled_bytes: u64,
}

impl HeapStatistics {
    /// The figures as they are now.
    pub fn now() -> Result<HeapStatistics, JemallocError> {
        // SAFETY: the types are those that jemalloc documents for these names, which end with a
        // NUL; the same holds for every read below.
        unsafe { raw::write(b"epoch\0", 1_u64) }.map_err(JemallocError::of("epoch"))?;
        let page = read("arenas.page")?;
        let mut statistics = HeapStatistics {
            allocated: read("stats.allocated")?,
            active: read("stats.active")?,
            metadata: read("stats.metadata")?,
            resident: read("stats.resident")?,
            mapped: read("stats.mapped")?,
            retained: read("stats.retained")?,
            internal: read_merged("internal")?,
            cached: read_merged("tcache_bytes")? + read_merged("tcache_stashed_bytes")?,
            dirty: read_merged("pdirty")? * page,
            sampled_blocks: 0,
            sampled_bytes: 0,
        };
        // A small block that is sampled has pages to itself, and is counted as an allocation of
        // that many bytes. No slab holds it: that tells how many there are.
        // SAFETY: as above; this one is an `unsigned`.
        let bins: u32 =
            unsafe { raw::read(b"arenas.nbins\0") }.map_err(JemallocError::of("arenas.nbins"))?;
        for bin in 0..bins {
            let size = read(&format!("arenas.bin.{bin}.size"))?;
            if size.is_multiple_of(page) {
                let made = read_merged(&format!("bins.{bin}.nmalloc"))?;
                let gone = read_merged(&format!("bins.{bin}.ndalloc"))?;
                let in_slabs = read_merged(&format!("bins.{bin}.curregs"))?;
                let sampled = made.saturating_sub(gone).saturating_sub(in_slabs);
                statistics.sampled_blocks += sampled;
                statistics.sampled_bytes += sampled * size;
            }
        }
        Ok(statistics)
    }
}

/// A figure over all arenas.
fn read_merged(name: &str) -> Result<u64, JemallocError> {
    read(&format!("stats.arenas.{ALL_ARENAS}.{name}"))
}

/// jemalloc's `MALLCTL_ARENAS_ALL`.
const ALL_ARENAS: u32 = 4096;

/// Reads a `size_t` or `uint64_t`, which are the same on the targets of the recorder.
fn read(name: &str) -> Result<u64, JemallocError> {
    let with_end = format!("{name}\0");
    // SAFETY: all names asked for here are of these two types, and end with a NUL.
    unsafe { raw::read(with_end.as_bytes()) }.map_err(JemallocError::of(name))
}

/// The usable bytes of all blocks that OpenSSL holds: their sizes, each rounded up to the size
/// class that jemalloc serves it from. 0 without a recorder, an estimate where that counts a part
/// of the blocks. Looks at every one that is counted.
pub fn openssl_usable_bytes() -> u64 {
    let (mut whole, mut estimated) = (0, 0.0);
    recorder::for_each_live_block(|bytes, blocks| {
        // A block that has just been claimed may not have its size yet.
        if bytes > 0 {
            // SAFETY: a size above zero and no flags; the function only calculates.
            let usable = unsafe { tikv_jemalloc_sys::nallocx(bytes as usize, 0) } as u64;
            // Exact where every block stands for itself, and the rest apart.
            whole += usable;
            estimated += usable as f64 * (blocks - 1.0);
        }
    });
    whole + estimated as u64
}
