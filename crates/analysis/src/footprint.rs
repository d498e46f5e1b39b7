//! What memory processes have to themselves, by what the kernel says of their areas: what the
//! answer about OpenSSL's part is held beside.

use std::iter::Sum;
use std::ops::{Add, Range};

use profile::smaps::MemoryArea;

/// Resident bytes, where a page that several processes have is divided among them (Pss).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Footprint {
    /// In no file: heaps, stacks, arenas of runtimes, and pages of files that were written to.
    pub anonymous: u64,
    /// Shared with others and in no file of a file system: caches of several processes.
    pub shared: u64,
    /// Code and data of files.
    pub files: u64,
    /// The recorder's own: in no other figure.
    pub recorder: u64,
}

impl Footprint {
    /// What the processes made themselves, which is neither files nor the recorder's.
    pub fn own(&self) -> u64 {
        self.anonymous.saturating_add(self.shared)
    }

    /// All but the recorder's.
    pub fn total(&self) -> u64 {
        self.own().saturating_add(self.files)
    }
}

impl Add for Footprint {
    type Output = Footprint;

    fn add(self, other: Footprint) -> Footprint {
        Footprint {
            anonymous: self.anonymous.saturating_add(other.anonymous),
            shared: self.shared.saturating_add(other.shared),
            files: self.files.saturating_add(other.files),
            recorder: self.recorder.saturating_add(other.recorder),
        }
    }
}

impl Sum for Footprint {
    fn sum<I: Iterator<Item = Footprint>>(each: I) -> Footprint {
        each.fold(Footprint::default(), Add::add)
    }
}

/// What is the recorder's, which the areas themselves do not tell.
#[derive(Clone, Debug)]
pub struct RecorderParts<'a> {
    folder: &'a str,
    /// In the order of their addresses.
    tables: Vec<Range<u64>>,
}

impl<'a> RecorderParts<'a> {
    /// Its files, the library and the ledgers, lie in `folder`, if that is not empty. A forked
    /// process has its parent's tables at the same places, beside its own: `tables` are those of
    /// all processes.
    pub fn new(folder: &'a str, tables: impl Iterator<Item = Range<u64>>) -> RecorderParts<'a> {
        let mut tables: Vec<Range<u64>> = tables.collect();
        tables.sort_by_key(|table| (table.start, table.end));
        RecorderParts { folder, tables }
    }

    /// Whether an area is the recorder's. `before` is what lies directly before it: the zeroed data
    /// of a library has no file behind it, and follows what has.
    pub(crate) fn have(&self, area: &MemoryArea, before: Option<&MemoryArea>) -> bool {
        let is_file = |area: &MemoryArea| {
            let rest = area.name.strip_prefix(self.folder).filter(|_| !self.folder.is_empty());
            rest.is_some_and(|rest| rest.starts_with('/'))
        };
        let is_library = |area: &MemoryArea| is_file(area) && area.permissions.ends_with('p');
        if is_file(area) || (area.name.is_empty() && before.is_some_and(is_library)) {
            return true;
        }
        let after = self.tables.partition_point(|table| table.start <= area.start);
        after.checked_sub(1).is_some_and(|at| self.tables[at].contains(&area.start))
    }
}

/// Adds up the areas of one process.
pub fn footprint(areas: &[MemoryArea], recorder: &RecorderParts<'_>) -> Footprint {
    let mut footprint = Footprint::default();
    for (at, area) in areas.iter().enumerate() {
        let bytes = area.proportional_bytes;
        let before = at.checked_sub(1).map(|at| &areas[at]).filter(|it| it.end == area.start);
        if recorder.have(area, before) {
            footprint.recorder += bytes;
        } else if is_shared_memory(area) {
            footprint.shared += bytes;
        } else if area.name.starts_with('/') {
            // Written pages may be shared with a forked child: no more than the area's part.
            let written = area.anonymous_bytes.min(bytes);
            footprint.anonymous += written;
            footprint.files += bytes - written;
        } else {
            footprint.anonymous += bytes;
        }
    }
    footprint
}

/// What the kernel names as files, and is memory of several processes.
fn is_shared_memory(area: &MemoryArea) -> bool {
    const NAMES: [&str; 4] = ["/SYSV", "/dev/shm/", "/dev/zero", "/memfd:"];
    area.permissions.ends_with('s') && NAMES.iter().any(|name| area.name.starts_with(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn area(start: u64, name: &str, permissions: &str, bytes: u64, written: u64) -> MemoryArea {
        MemoryArea {
            start,
            end: start + 0x1000,
            permissions: permissions.to_owned(),
            name: name.to_owned(),
            resident_bytes: 2 * bytes,
            proportional_bytes: bytes,
            anonymous_bytes: written,
            ..MemoryArea::default()
        }
    }

    #[test]
    fn every_area_is_counted_once_with_its_owner() {
        let tables = [0x9000..0xb000, 0x5000..0x6000];
        let recorder = RecorderParts::new("/tmp/x", tables.into_iter());
        let areas = [
            area(0x1000, "/usr/bin/server", "rw-p", 100, 30),
            area(0x2000, "[heap]", "rw-p", 1_000, 1_000),
            area(0x3000, "/dev/zero (deleted)", "rw-s", 10_000, 0),
            area(0x4000, "/tmp/xy/file", "rw-s", 5, 0),
            area(0x5000, "", "rw-p", 7, 7),
            area(0x8000, "/tmp/x/lib.so", "r-xp", 11, 0),
            area(0x9000, "", "rw-p", 17, 17),
            area(0xa000, "", "rw-p", 13, 13),
            area(0xb000, "", "rw-p", 200_000, 200_000),
        ];
        let footprint = footprint(&areas, &recorder);
        assert_eq!(
            footprint,
            Footprint { anonymous: 201_030, shared: 10_000, files: 75, recorder: 48 }
        );
        assert_eq!((footprint.own(), footprint.total()), (211_030, 211_105));
        let both: Footprint = [footprint, footprint].into_iter().sum();
        assert_eq!(both.own(), 422_060);
    }
}
