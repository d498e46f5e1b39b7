//! What a reader takes out of a ledger: plain data, checked, with no reference into the file.

use std::ops::Range;
use std::sync::Arc;

use contract::{Domain, PeakOf, Source};

use crate::Sampling;
use crate::live::LiveTables;

/// Blocks and bytes of one site, or of several added up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Blocks live now.
    pub inuse_blocks: u64,
    /// Requested bytes live now.
    pub inuse_bytes: u64,
    /// Blocks ever allocated.
    pub alloc_blocks: u64,
    /// Bytes ever allocated.
    pub alloc_bytes: u64,
    /// Blocks live at the moment of the process's highest total.
    pub peak_blocks: u64,
    /// Bytes live at the moment of the process's highest total.
    pub peak_bytes: u64,
}

/// One allocation site: OpenSSL's file and line, where it is OpenSSL's, with the stack that reached
/// it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Site {
    /// The code that allocates here. An OpenSSL's instance is its
    /// [`Found::number`](crate::Found::number).
    pub source: Source,
    /// The file as OpenSSL passed it, not normalised; `None` when OpenSSL passed NULL.
    pub file: Option<Arc<str>>,
    /// The line as OpenSSL passed it.
    pub line: u32,
    /// Return addresses, innermost first. The first lies in the function that called the hook
    /// (usually CRYPTO_malloc).
    pub stack: Vec<u64>,
    /// The stack had more frames than are kept, or could not be followed to its root. A stack read
    /// through frame pointers that a function without them cuts short looks like a whole one.
    pub truncated: bool,
    /// In a sampled ledger the size of every block of this site: one stack has as many sites as it
    /// has sizes. Otherwise 0.
    pub block_bytes: u64,
    /// What the site holds and held. In a sampled ledger these are estimates, in whole numbers that
    /// are added up like others.
    pub counts: Counts,
}

/// What the recorder says of itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Allocations that are counted but whose site did not fit into the tables: they are in the
    /// totals, under no site.
    pub dropped: Counts,
    /// Blocks that could not be tracked at all, and are in no other figure.
    pub untracked_blocks: u64,
    /// Bytes in them.
    pub untracked_bytes: u64,
    /// Frees and reallocs of blocks that the recorder never saw allocated.
    pub foreign_frees: u64,
    /// Allocations that returned an address still held as live: it was freed behind OpenSSL.
    pub stale_blocks: u64,
    /// Calls of the hook from within the hook (a signal handler), passed through uncounted.
    pub nested_calls: u64,
    /// Sites whose stack had more frames than are kept.
    pub truncated_stacks: u64,
    /// Sites at which something was counted.
    pub sites: u64,
    /// Room for sites.
    pub site_capacity: u64,
    /// Bytes of memory that the recorder holds for itself, resident or not, in the ledger.
    pub ledger_bytes: u64,
    /// Bytes that the recorder has mapped for its private tables.
    pub private_bytes: u64,
    /// Somebody else's functions were found in OpenSSL in place of the recorder's: what was
    /// allocated after that is missing.
    pub hook_replaced: bool,
    /// The process has put up a system-call filter: what it forked after that is not recorded.
    pub sandboxed: bool,
    /// Processes that were forked from this one, used OpenSSL, and could not get a ledger.
    pub unrecorded_children: u64,
    /// Events that the peak does not know of, since other threads' came between too often: it may
    /// be wrong by their bytes.
    pub unsettled_events: u64,
    /// Blocks of the malloc family that were freed or moved without having been seen allocated:
    /// they are from before the recorder came, and in no other figure.
    pub earlier_blocks: u64,
    /// What the process had from its parent, when it was forked.
    pub inherited: Inherited,
    /// Sites whose stack ends where the unwind tables could not be followed to its root.
    pub broken_stacks: u64,
}

/// Blocks that a forked process has from its parent: they are in none of its other figures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Inherited {
    /// Blocks that were live when the process's ledger began.
    pub blocks: u64,
    /// Bytes in them.
    pub bytes: u64,
    /// Blocks among them that the process itself has freed since.
    pub freed_blocks: u64,
    /// Bytes in them.
    pub freed_bytes: u64,
}

/// One line of /proc/PID/maps that has a file behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Module {
    /// First address.
    pub start: u64,
    /// Address after the last byte.
    pub end: u64,
    /// Offset in the file of the first byte.
    pub file_offset: u64,
    /// Which file it was, by its number in its file system; 0 where that is not known.
    pub inode: u64,
    /// The mapping is executable.
    pub executable: bool,
    /// Path of the file.
    pub path: String,
}

/// The ledger at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// The recorded process.
    pub pid: u32,
    /// When the recorder was installed, in nanoseconds since 1970.
    pub started_nanos: u64,
    /// How blocks were chosen to be counted; `None` when every one was.
    pub sampling: Option<Sampling>,
    /// Of what the peaks are the highest total.
    pub peak_of: PeakOf,
    /// Others than OpenSSL are counted, and were not from the process's start on: blocks of theirs
    /// may be live that nobody knows.
    pub late: bool,
    /// Files mapped into the process when the recorder was installed.
    pub modules: Vec<Module>,
    /// Addresses of the recorder's private tables. The header lists as many as a server of usual
    /// size has; with more than about 190 threads, [`Statistics::private_bytes`] exceeds
    /// their sum.
    pub tables: Vec<Range<u64>>,
    /// Where the process has its tables of live blocks and mappings.
    pub live: LiveTables,
    /// Every site, in order of first use: a later snapshot of the same ledger has the same site at
    /// the same place. A site that was just being made is an empty one, with nothing in it.
    pub sites: Vec<Site>,
    /// What the recorder says of itself.
    pub statistics: Statistics,
}

impl Counts {
    /// Adds `other` to these counts. A sum that does not fit, of counts that no process can have,
    /// stays at the largest number.
    pub fn add(&mut self, other: &Counts) {
        let add = |sum: &mut u64, more| *sum = sum.saturating_add(more);
        add(&mut self.inuse_blocks, other.inuse_blocks);
        add(&mut self.inuse_bytes, other.inuse_bytes);
        add(&mut self.alloc_blocks, other.alloc_blocks);
        add(&mut self.alloc_bytes, other.alloc_bytes);
        add(&mut self.peak_blocks, other.peak_blocks);
        add(&mut self.peak_bytes, other.peak_bytes);
    }
}

impl Site {
    /// Whether nothing is known of it: it was just being made, or is another's
    /// ([`Snapshot::take_all_but`]).
    pub fn is_empty(&self) -> bool {
        self.stack.is_empty() && self.file.is_none() && self.counts == Counts::default()
    }
}

impl Snapshot {
    /// Takes out what all but one domain asked for, as a snapshot of the same process. In both, every site
    /// keeps its place; where it is the other's, there is an empty one. What the recorder says of
    /// itself, and what was dropped, stays here: whose that was is not known.
    #[must_use]
    pub fn take_all_but(&mut self, domain: Domain) -> Snapshot {
        let is_others = |site: &Site| site.source.domain != domain;
        let take = |site: &mut Site| {
            if is_others(site) { std::mem::take(site) } else { Site::default() }
        };
        let is_there = self.sites.iter().any(is_others);
        Snapshot {
            pid: self.pid,
            started_nanos: self.started_nanos,
            sampling: self.sampling,
            peak_of: self.peak_of,
            late: self.late,
            modules: self.modules.clone(),
            tables: Vec::new(),
            live: LiveTables::default(),
            sites: self.sites.iter_mut().filter(|_| is_there).map(take).collect(),
            statistics: Statistics::default(),
        }
    }

    /// The sites of one domain, added up.
    pub fn totals_of(&self, domain: Domain) -> Counts {
        let mut totals = Counts::default();
        for site in self.sites.iter().filter(|site| site.source.domain == domain) {
            totals.add(&site.counts);
        }
        totals
    }

    /// All sites and the dropped allocations, added up.
    pub fn totals(&self) -> Counts {
        let mut totals = self.statistics.dropped;
        for site in &self.sites {
            totals.add(&site.counts);
        }
        totals
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_domain_is_taken_out_and_every_site_keeps_its_place() {
        let site = |domain, bytes| Site {
            source: Source { domain, instance: 0 },
            stack: vec![bytes],
            counts: Counts { inuse_bytes: bytes, ..Counts::default() },
            ..Site::default()
        };
        let sites =
            vec![site(Domain::Openssl, 1), site(Domain::Heap, 20), site(Domain::Openssl, 3)];
        let mut snapshot = Snapshot { pid: 7, sites, ..Snapshot::default() };
        snapshot.statistics.dropped.inuse_bytes = 5;
        let heap = snapshot.take_all_but(Domain::Openssl);
        assert_eq!((heap.pid, heap.totals().inuse_bytes), (7, 20));
        assert_eq!(snapshot.totals().inuse_bytes, 9, "what was dropped stays");
        let empty = |snapshot: &Snapshot| -> Vec<bool> {
            snapshot.sites.iter().map(Site::is_empty).collect()
        };
        assert_eq!(empty(&snapshot), [false, true, false]);
        assert_eq!(empty(&heap), [true, false, true]);
        assert_eq!(snapshot.take_all_but(Domain::Openssl).sites, [], "there is nothing of it");
    }
}
