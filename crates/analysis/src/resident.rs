//! Whose the resident pages of a process are, judged by its memory areas.

use std::ops::Range;

use profile::smaps::MemoryArea;

/// Resident bytes by owner; their sum is what all areas have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Resident {
    /// Code and data of the program and its libraries.
    pub files: u64,
    /// Stacks of threads, and those of their signal handlers.
    pub stacks: u64,
    /// The ledger.
    pub ledger: u64,
    /// The recorder's private tables.
    pub tables: u64,
    /// Memory that jemalloc mapped.
    pub allocator: u64,
    /// The C library's own heap, and what else has no file.
    pub other: u64,
    /// Address space that looks like jemalloc's: if it really is, it equals what jemalloc says it
    /// has mapped and retained.
    pub allocator_address_space: u64,
}

impl Resident {
    /// All resident bytes.
    pub fn total(&self) -> u64 {
        self.files + self.stacks + self.ledger + self.tables + self.allocator + self.other
    }
}

/// What the areas themselves do not tell.
pub struct Known<'a> {
    /// The ledger's path, as the process sees it.
    pub ledger: &'a str,
    /// Where the recorder's tables lie.
    pub tables: &'a [Range<u64>],
}

/// One page: the length of a guard below a thread's stack.
const GUARD: u64 = 4096;

/// The C library begins the heaps of threads at multiples of this, and reserves as much for each.
const THREAD_HEAP: u64 = 64 << 20;

/// Adds up the resident bytes of the areas by owner. `areas` are those of a process with jemalloc,
/// in the order of their addresses.
pub fn by_owner(areas: &[MemoryArea], known: &Known<'_>) -> Resident {
    let mut resident = Resident::default();
    for (at, area) in areas.iter().enumerate() {
        let before = at.checked_sub(1).map(|at| &areas[at]).filter(|b| b.end == area.start);
        let after = areas.get(at + 1).filter(|after| after.start == area.end);
        let sum = match owner(area, before, after, known) {
            Owner::Files => &mut resident.files,
            Owner::Stacks => &mut resident.stacks,
            Owner::Ledger => &mut resident.ledger,
            Owner::Tables => &mut resident.tables,
            Owner::Other => &mut resident.other,
            Owner::Allocator => {
                let foreign = thread_heap_bytes(area, after);
                resident.allocator_address_space += area.bytes() - foreign;
                &mut resident.allocator
            }
        };
        *sum += area.resident_bytes;
    }
    resident
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Owner {
    Files,
    Stacks,
    Ledger,
    Tables,
    Allocator,
    Other,
}

/// `before` and `after` are the areas that lie directly at the borders of `area`.
fn owner(
    area: &MemoryArea,
    before: Option<&MemoryArea>,
    after: Option<&MemoryArea>,
    known: &Known<'_>,
) -> Owner {
    if area.name == known.ledger {
        return Owner::Ledger;
    }
    if is_file(area) {
        return Owner::Files;
    }
    if area.name.starts_with("[stack") {
        return Owner::Stacks;
    }
    if known.tables.iter().any(|table| table.contains(&area.start)) {
        return Owner::Tables;
    }
    let unnamed = area.name.is_empty() || area.name.starts_with("[anon:");
    if !unnamed || untouchable(area) {
        return Owner::Other;
    }
    // A file's zeroed data has no file behind it, and follows what has.
    if before.is_some_and(is_file) && !reserves_nothing(area) {
        return Owner::Files;
    }
    // jemalloc asks the kernel not to reserve memory ahead; stacks are reserved, above a guard.
    if !reserves_nothing(area) {
        let guarded = before.is_some_and(|before| untouchable(before) && before.bytes() == GUARD);
        return if guarded { Owner::Stacks } else { Owner::Other };
    }
    if thread_heap_bytes(area, after) == area.bytes() { Owner::Other } else { Owner::Allocator }
}

/// Bytes at the end of an area that are the C library's heap of a thread: it begins at a multiple
/// of 64 MiB, and what it has reserved of these follows, untouchable. The kernel joins the heap
/// with memory of jemalloc's before it, and what is reserved with a guard behind it.
fn thread_heap_bytes(area: &MemoryArea, after: Option<&MemoryArea>) -> u64 {
    let start = (area.end - 1) / THREAD_HEAP * THREAD_HEAP;
    let reserved = after.is_some_and(|rest| untouchable(rest) && rest.end - start >= THREAD_HEAP);
    if reserved && start >= area.start { area.end - start } else { 0 }
}

fn untouchable(area: &MemoryArea) -> bool {
    area.permissions.starts_with("---")
}

fn is_file(area: &MemoryArea) -> bool {
    area.name.starts_with('/')
}

fn reserves_nothing(area: &MemoryArea) -> bool {
    area.has_flag("nr")
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: Range<u64> = 0x7000_0000..0x7010_0000;
    const KNOWN: Known<'_> = Known { ledger: "/tmp/ledger", tables: &[TABLE] };

    fn area(start: u64, end: u64, permissions: &str, name: &str, flags: &str) -> MemoryArea {
        MemoryArea {
            start,
            end,
            permissions: permissions.to_owned(),
            name: name.to_owned(),
            resident_bytes: 4096,
            flags: flags.split_whitespace().map(str::to_owned).collect(),
            ..MemoryArea::default()
        }
    }

    fn owners(areas: &[MemoryArea]) -> Vec<Owner> {
        let at = |at: usize| {
            let before =
                at.checked_sub(1).map(|at| &areas[at]).filter(|b| b.end == areas[at].start);
            let after = areas.get(at + 1).filter(|after| after.start == areas[at].end);
            owner(&areas[at], before, after, &KNOWN)
        };
        (0..areas.len()).map(at).collect()
    }

    #[test]
    fn each_kind_of_memory_is_told_by_what_the_kernel_says_of_it() {
        let areas = [
            area(0x10_0000, 0x20_0000, "r-xp", "/usr/bin/server", "rd ex"),
            area(0x20_0000, 0x21_0000, "rw-p", "", "ac"),
            area(0x30_0000, 0x32_0000, "rw-p", "[heap]", "ac"),
            area(0x4000_0000, 0x4000_1000, "---p", "", "nh"),
            area(0x4000_1000, 0x4020_1000, "rw-p", "", "ac nh"),
            area(0x4020_1000, 0x4040_1000, "rw-p", "", "nr"),
            area(0x5000_0000, 0x5000_2000, "rw-p", "", "ac"),
            area(0x6000_0000, 0x6002_0000, "rw-s", "/tmp/ledger", ""),
            area(0x7000_0000, 0x7010_0000, "rw-p", "", "nr"),
            area(0x8000_0000, 0x8002_1000, "rw-p", "", "nr"),
            area(0x8002_1000, 0x8400_1000, "---p", "", "nr"),
            area(0x9000_0000, 0x9040_0000, "rw-p", "[anon:jemalloc_pg]", "nr"),
            area(0xa000_0000, 0xa000_2000, "r-xp", "[vdso]", ""),
            area(0xb000_0000, 0xb002_0000, "rw-p", "[stack]", "ac"),
        ];
        assert_eq!(
            owners(&areas),
            [
                Owner::Files,
                Owner::Files,
                Owner::Other,
                Owner::Other,
                Owner::Stacks,
                Owner::Allocator,
                Owner::Other,
                Owner::Ledger,
                Owner::Tables,
                Owner::Other,
                Owner::Other,
                Owner::Allocator,
                Owner::Other,
                Owner::Stacks,
            ]
        );
        let resident = by_owner(&areas, &KNOWN);
        assert_eq!(resident.total(), 14 * 4096);
        assert_eq!((resident.allocator, resident.stacks, resident.tables), (8192, 8192, 4096));
        assert_eq!(resident.allocator_address_space, 0x20_0000 + 0x40_0000);
    }

    #[test]
    fn a_threads_heap_that_is_joined_to_jemallocs_memory_is_not_its_address_space() {
        let joined = [
            area(0x7f00_0000, 0x8002_1000, "rw-p", "", "nr"),
            area(0x8002_1000, 0x8400_0000, "---p", "", "nr"),
        ];
        let resident = by_owner(&joined, &KNOWN);
        assert_eq!(resident.allocator_address_space, 0x100_0000);
        assert_eq!(resident.allocator, 4096);
    }
}
