//! The reader. It trusts nothing: every number is checked against the file's own bounds
//! before it is followed.

mod place;
mod totals;

use std::collections::HashMap;
use std::fs::File;
use std::mem::offset_of;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use contract::{Domain, PeakOf, Source};

use crate::layout::{
    CellRecord, DROPPED_CELL, FILE_NULL, FRAMES_PER_SITE, Header, LEVELS, MAGIC, MODULES_BYTES,
    OLDEST_VERSION, PAGE, Regions, SITE_READY, SITE_SOURCE_SHIFT, SITE_TRUNCATED, STRINGS_BYTES,
    SiteRecord, TABLES, TableRecord, VERSION,
};
use crate::live::LiveTables;
use crate::reader::place::Place;
use crate::reader::totals::Totals;
use crate::snapshot::{Counts, Inherited, Site, Snapshot, Statistics};
use crate::statistic::Statistic;
use crate::{Capacities, LedgerError, Sampling, modules};

/// How often a live ledger is read again when its counts moved while they were read.
const ATTEMPTS: usize = 50;

impl Snapshot {
    /// Reads a ledger from memory. `name` is what errors call it.
    pub fn read(bytes: &[u8], name: &str) -> Result<Snapshot, LedgerError> {
        Reader(Place::of_bytes(bytes, name)).snapshot()
    }

    /// Reads a ledger again that is open for reading, after `before`: `None` where nothing was
    /// counted since, which is known without making a snapshot. Otherwise as [`Snapshot::read_open`],
    /// with what the next reading is to be held beside.
    pub fn read_changed(
        file: &File,
        name: &str,
        before: Option<&Reading>,
    ) -> Result<Option<(Snapshot, Reading)>, LedgerError> {
        Reader(Place::of_file(file, name)).changed(before)
    }

    /// Reads the ledger at `path`, while its process runs or after.
    ///
    /// The counts of a running process are read until two readings agree, so that no event is
    /// seen by half; a process that never pauses gets the last reading, in which a thread may be
    /// in the middle of one event.
    pub fn read_file(path: &Path) -> Result<Snapshot, LedgerError> {
        let name = path.display().to_string();
        let file = File::open(path)
            .map_err(|source| LedgerError::Unreadable { file: name.clone(), source })?;
        Snapshot::read_open(&file, &name)
    }

    /// Reads a ledger that is open for reading, as [`Snapshot::read_file`] does. `name` is what
    /// errors call it.
    pub fn read_open(file: &File, name: &str) -> Result<Snapshot, LedgerError> {
        Reader(Place::of_file(file, name)).snapshot()
    }

    /// For each cell of a ledger that is open for reading, by its number less one, the place of its
    /// site in [`Snapshot::sites`]; `None` for what was dropped, and for a cell that was just being
    /// made. `name` is what errors call the file.
    pub fn sites_of_cells(file: &File, name: &str) -> Result<Vec<Option<usize>>, LedgerError> {
        Reader(Place::of_file(file, name)).sites_of_cells()
    }
}

/// What a ledger had counted at one reading, to be held beside a later one.
#[derive(Debug)]
pub struct Reading(Counters);

/// Makes a snapshot of what is there.
struct Reader<'a>(Place<'a>);

/// What the header says, checked.
struct Layout {
    regions: Regions,
    pid: u32,
    started_nanos: u64,
    capacities: Capacities,
    sampling: Option<Sampling>,
    peak_of: PeakOf,
    late: bool,
}

/// The counts of all cells as they were at one reading.
#[derive(Debug, PartialEq)]
struct Counters {
    header: Vec<u8>,
    sites: Vec<u8>,
    cells: Vec<u8>,
}

impl Reader<'_> {
    fn snapshot(&self) -> Result<Snapshot, LedgerError> {
        let layout = self.layout()?;
        let counters = self.agreed(&layout, self.counters(&layout)?)?;
        self.assemble(&layout, &counters)
    }

    fn changed(
        &self,
        before: Option<&Reading>,
    ) -> Result<Option<(Snapshot, Reading)>, LedgerError> {
        let layout = self.layout()?;
        let counters = self.counters(&layout)?;
        if before.is_some_and(|before| before.0 == counters) {
            return Ok(None);
        }
        let counters = self.agreed(&layout, counters)?;
        let snapshot = self.assemble(&layout, &counters)?;
        Ok(Some((snapshot, Reading(counters))))
    }

    /// Counts of one moment: those after `counters` with which a further reading agrees.
    fn agreed(&self, layout: &Layout, mut counters: Counters) -> Result<Counters, LedgerError> {
        for _ in 0..ATTEMPTS {
            let again = self.counters(layout)?;
            let agreed = again == counters;
            counters = again;
            if agreed {
                break;
            }
        }
        Ok(counters)
    }

    fn sites_of_cells(&self) -> Result<Vec<Option<usize>>, LedgerError> {
        let cells = self.counters(&self.layout()?)?.cells;
        let site = |cell: &[u8]| match u32_at(cell, offset_of!(CellRecord, site)) {
            DROPPED_CELL => None,
            number => (number as usize).checked_sub(1),
        };
        Ok(cells.chunks_exact(size_of::<CellRecord>()).map(site).collect())
    }

    fn layout(&self) -> Result<Layout, LedgerError> {
        let length = self.0.length()?;
        let found = self.0.bytes(0, length.min(MAGIC.len() as u64))?;
        if found != MAGIC {
            return Err(LedgerError::Foreign {
                file: self.0.name().to_owned(),
                expected: MAGIC.escape_ascii().to_string(),
                found: found.escape_ascii().to_string(),
            });
        }
        if length < PAGE {
            return Err(self.0.invalid(0, "length of the file", "at least 4096 bytes", length));
        }
        let header = self.0.bytes(0, PAGE)?;
        let version = u32_at(&header, offset_of!(Header, version));
        if !(OLDEST_VERSION..=VERSION).contains(&version) {
            return Err(LedgerError::Version {
                file: self.0.name().to_owned(),
                oldest: OLDEST_VERSION,
                newest: VERSION,
                found: version,
            });
        }
        let capacities = Capacities {
            sites: u32_at(&header, offset_of!(Header, site_capacity)),
            frames: u32_at(&header, offset_of!(Header, frame_capacity)),
            cells: u32_at(&header, offset_of!(Header, cell_capacity)),
        };
        if !(1..=Capacities::MOST_SITES).contains(&capacities.sites) {
            let offset = offset_of!(Header, site_capacity) as u64;
            let range = format!("1 to {}", Capacities::MOST_SITES);
            return Err(self.0.invalid(offset, "room for sites", range, capacities.sites));
        }
        let regions = Regions::of(&capacities);
        let file_bytes = u64_at(&header, offset_of!(Header, file_bytes));
        if file_bytes != regions.end {
            let offset = offset_of!(Header, file_bytes) as u64;
            return Err(self.0.invalid(offset, "length in the header", regions.end, file_bytes));
        }
        if length != regions.end {
            return Err(self.0.invalid(length, "end of the file", regions.end, length));
        }
        let interval = u32_at(&header, offset_of!(Header, sample_interval));
        let sampling = Sampling::every(u64::from(interval));
        if interval != 0 && sampling.is_none() {
            let offset = offset_of!(Header, sample_interval) as u64;
            let range = format!("at most {}", Sampling::MOST);
            return Err(self.0.invalid(offset, "bytes between samples", range, interval));
        }
        Ok(Layout {
            regions,
            pid: u64_at(&header, offset_of!(Header, pid)) as u32,
            started_nanos: u64_at(&header, offset_of!(Header, started_nanos)),
            capacities,
            sampling,
            peak_of: PeakOf::from_number(u32_at(&header, offset_of!(Header, peak_of))),
            late: u32_at(&header, offset_of!(Header, late)) != 0,
        })
    }

    fn counters(&self, layout: &Layout) -> Result<Counters, LedgerError> {
        let header = self.0.bytes(0, PAGE)?;
        let sites = used(&header, offset_of!(Header, sites_used), layout.capacities.sites + 1);
        let cells = used(&header, offset_of!(Header, cells_used), layout.capacities.cells);
        Ok(Counters {
            sites: self.0.bytes(
                layout.regions.sites,
                sites.saturating_sub(1) * size_of::<SiteRecord>() as u64,
            )?,
            cells: self.0.bytes(layout.regions.cells, cells * size_of::<CellRecord>() as u64)?,
            header,
        })
    }

    fn assemble(&self, layout: &Layout, counters: &Counters) -> Result<Snapshot, LedgerError> {
        let header = &counters.header;
        let mut files = HashMap::new();
        let mut sites = Vec::new();
        // The pools' marks are read after the sites: every site seen above lies below them.
        let marks = self.0.bytes(0, PAGE)?;
        let frames_used = used(&marks, offset_of!(Header, frames_used), layout.capacities.frames);
        let frames = self.0.bytes(layout.regions.frames, frames_used * 8)?;
        let strings_used = used(&marks, offset_of!(Header, strings_used), STRINGS_BYTES as u32);
        let strings = self.0.bytes(layout.regions.strings, strings_used)?;

        let mut totals = Totals::new(counters);
        totals.add_cells(&self.0, layout, counters)?;

        for (at, record) in counters.sites.chunks_exact(size_of::<SiteRecord>()).enumerate() {
            if u32_at(record, offset_of!(SiteRecord, state)) != SITE_READY {
                sites.push(Site::default());
                continue;
            }
            let offset = layout.regions.sites + (at * size_of::<SiteRecord>()) as u64;
            let mut counts = totals.signed[at + 1];
            counts.spill(record);
            let flags = u32_at(record, offset_of!(SiteRecord, flags));
            let block_bytes = u64_at(record, offset_of!(SiteRecord, block_bytes));
            sites.push(Site {
                source: self.source(flags, offset)?,
                file: self.file(record, offset, &strings, layout, &mut files)?,
                line: u32_at(record, offset_of!(SiteRecord, line)),
                stack: self.stack(record, offset, &frames)?,
                truncated: flags & SITE_TRUNCATED != 0,
                counts: match layout.sampling {
                    None => counts.unsigned(),
                    Some(sampling) => counts.estimated(sampling, block_bytes, at),
                },
                block_bytes,
            });
        }
        let statistics = Self::statistics(layout, header, &sites, totals.dropped.unsigned());
        let modules = self.modules(layout, header)?;
        Ok(Snapshot {
            pid: layout.pid,
            started_nanos: layout.started_nanos,
            sampling: layout.sampling,
            peak_of: layout.peak_of,
            late: layout.late,
            modules,
            tables: tables(header),
            live: live_tables(header),
            sites,
            statistics,
        })
    }

    fn source(&self, flags: u32, record_offset: u64) -> Result<Source, LedgerError> {
        let number = flags >> SITE_SOURCE_SHIFT;
        let known = u16::try_from(number).ok().and_then(Source::from_number);
        known.ok_or_else(|| {
            let offset = record_offset + offset_of!(SiteRecord, flags) as u64;
            let range = format!("a domain below {}", Domain::ALL.len());
            self.0.invalid(offset, "source of a site", range, number >> 8)
        })
    }

    fn file(
        &self,
        record: &[u8],
        record_offset: u64,
        strings: &[u8],
        layout: &Layout,
        files: &mut HashMap<u32, Arc<str>>,
    ) -> Result<Option<Arc<str>>, LedgerError> {
        let place = u32_at(record, offset_of!(SiteRecord, file));
        if place == FILE_NULL {
            return Ok(None);
        }
        if let Some(known) = files.get(&place) {
            return Ok(Some(known.clone()));
        }
        let start = place as usize;
        let Some(length) = strings.get(start..start.saturating_add(4)) else {
            let offset = record_offset + offset_of!(SiteRecord, file) as u64;
            let range = format!("below {}", strings.len());
            return Err(self.0.invalid(offset, "place of a file name", range, place));
        };
        let length = u32_at(length, 0) as usize;
        let Some(name) = strings.get(start + 4..(start + 4).saturating_add(length)) else {
            let offset = layout.regions.strings + u64::from(place);
            let range = format!("at most {}", strings.len() - start - 4);
            return Err(self.0.invalid(offset, "length of a file name", range, length));
        };
        let name: Arc<str> = String::from_utf8_lossy(name).into();
        files.insert(place, name.clone());
        Ok(Some(name))
    }

    fn stack(
        &self,
        record: &[u8],
        record_offset: u64,
        frames: &[u8],
    ) -> Result<Vec<u64>, LedgerError> {
        let start = u32_at(record, offset_of!(SiteRecord, frames_start)) as usize;
        let depth = u32_at(record, offset_of!(SiteRecord, depth)) as usize;
        if depth > FRAMES_PER_SITE {
            let offset = record_offset + offset_of!(SiteRecord, depth) as u64;
            let range = format!("at most {FRAMES_PER_SITE}");
            return Err(self.0.invalid(offset, "depth of a stack", range, depth));
        }
        let Some(bytes) = frames.get(start * 8..(start + depth) * 8) else {
            let offset = record_offset + offset_of!(SiteRecord, frames_start) as u64;
            let range = format!("at most {}", (frames.len() / 8).saturating_sub(depth));
            return Err(self.0.invalid(offset, "first frame of a stack", range, start));
        };
        Ok(bytes.chunks_exact(8).map(|frame| u64_at(frame, 0)).collect())
    }

    fn modules(&self, layout: &Layout, header: &[u8]) -> Result<Vec<crate::Module>, LedgerError> {
        let length = used(header, offset_of!(Header, modules_used), MODULES_BYTES as u32);
        let bytes = self.0.bytes(layout.regions.modules, length)?;
        modules::parse(&String::from_utf8_lossy(&bytes)).map_err(|(line, found)| {
            let what = "memory map of the process";
            let expected = format!("line {line} in the form of /proc/PID/maps");
            self.0.invalid(layout.regions.modules, what, expected, found)
        })
    }

    fn statistics(layout: &Layout, header: &[u8], sites: &[Site], dropped: Counts) -> Statistics {
        let statistic = |which| statistic(header, which);
        Statistics {
            dropped,
            untracked_blocks: statistic(Statistic::UntrackedBlocks),
            untracked_bytes: statistic(Statistic::UntrackedBytes),
            foreign_frees: statistic(Statistic::ForeignFrees),
            stale_blocks: statistic(Statistic::StaleBlocks),
            nested_calls: statistic(Statistic::NestedCalls),
            truncated_stacks: statistic(Statistic::TruncatedStacks),
            // Two threads that come to a new one at once write two records, and count in one.
            sites: sites.iter().filter(|site| site.counts != Counts::default()).count() as u64,
            site_capacity: u64::from(layout.capacities.sites),
            ledger_bytes: Self::used_bytes(layout, header),
            private_bytes: statistic(Statistic::PrivateBytes),
            hook_replaced: statistic(Statistic::HookReplaced) != 0,
            sandboxed: statistic(Statistic::Sandboxed) != 0,
            unrecorded_children: statistic(Statistic::UnrecordedChildren),
            unsettled_events: statistic(Statistic::UnsettledEvents),
            earlier_blocks: statistic(Statistic::EarlierBlocks),
            inherited: Inherited {
                blocks: statistic(Statistic::InheritedBlocks),
                bytes: statistic(Statistic::InheritedBytes),
                freed_blocks: statistic(Statistic::InheritedFreedBlocks),
                freed_bytes: statistic(Statistic::InheritedFreedBytes),
            },
            broken_stacks: statistic(Statistic::BrokenStacks),
        }
    }

    /// Bytes of the regions that are in use.
    fn used_bytes(layout: &Layout, header: &[u8]) -> u64 {
        let Capacities { sites, frames, cells } = layout.capacities;
        PAGE + used(header, offset_of!(Header, modules_used), MODULES_BYTES as u32)
            + used(header, offset_of!(Header, strings_used), STRINGS_BYTES as u32)
            + used(header, offset_of!(Header, sites_used), sites) * size_of::<SiteRecord>() as u64
            + used(header, offset_of!(Header, frames_used), frames) * 8
            + used(header, offset_of!(Header, cells_used), cells) * size_of::<CellRecord>() as u64
    }
}

/// The used part of a region, at most its capacity.
fn used(header: &[u8], offset: usize, capacity: u32) -> u64 {
    u64_at(header, offset).min(u64::from(capacity))
}

/// The recorder's tables. Places and lengths are only ever compared with, never followed.
fn tables(header: &[u8]) -> Vec<Range<u64>> {
    let used = used(header, offset_of!(Header, tables_used), TABLES as u32) as usize;
    let first = offset_of!(Header, tables);
    header[first..first + used * size_of::<TableRecord>()]
        .chunks_exact(size_of::<TableRecord>())
        .map(|record| {
            let start = u64_at(record, offset_of!(TableRecord, start));
            start..start.saturating_add(u64_at(record, offset_of!(TableRecord, bytes)))
        })
        .filter(|table| table.start != 0)
        .collect()
}

/// Where the tables are that tell of each block.
fn live_tables(header: &[u8]) -> LiveTables {
    let first = offset_of!(Header, levels);
    let levels = header[first..first + LEVELS * 8].chunks_exact(8).map(|level| u64_at(level, 0));
    LiveTables {
        levels: levels.filter(|level| *level != 0).collect(),
        mappings: Some(u64_at(header, offset_of!(Header, mappings))).filter(|place| *place != 0),
    }
}

fn statistic(header: &[u8], which: Statistic) -> u64 {
    u64_at(header, offset_of!(Header, statistics) + 8 * which as usize)
}

fn u32_at(bytes: &[u8], offset: usize) -> u32 {
    u32::from_le_bytes(bytes[offset..offset + 4].try_into().expect("four bytes"))
}

fn u64_at(bytes: &[u8], offset: usize) -> u64 {
    u64::from_le_bytes(bytes[offset..offset + 8].try_into().expect("eight bytes"))
}
