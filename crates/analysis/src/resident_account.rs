//! What the resident memory of a process is, page by page: which part of it live blocks and
//! mappings hold, and what the rest is.
//!
//! Resident is memory that is in no file, the process's own: `Anonymous` in smaps, without the
//! recorder's, and with its part of what it shares with those it was forked from. Each byte of it
//! is in one line of the account, so the lines add up to the whole. What is mapped to be shared is
//! no process's own, and in no line.

use std::collections::BTreeMap;
use std::iter::Sum;
use std::ops::{Add, Range};

use contract::Domain;
use profile::smaps::MemoryArea;

use crate::block_sizes::BlockSizes;
use crate::footprint::RecorderParts;

/// A live block, or a mapping.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// Where it lies: of a block the bytes that were requested.
    pub addresses: Range<u64>,
    /// Who asked for it.
    pub domain: Domain,
    /// A number by which the caller tells sites apart: resident bytes are added up by it too.
    pub site: u64,
}

/// Which pages of a process are in memory.
pub trait Pages {
    /// For each page of a range of whole pages, whether it is in memory, in no file, and this
    /// process's alone; `None` when that may not be asked.
    fn are_resident(&self, range: &Range<u64>) -> Option<Vec<bool>>;
    /// Bytes of a page.
    fn bytes(&self) -> u64;
}

/// The account of resident memory.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResidentAccount {
    /// Live blocks, by who asked for them.
    pub blocks: BTreeMap<Domain, Touched>,
    /// Mappings that are not made to be shared, without the blocks in them.
    pub mappings: Touched,
    /// What the C library's allocator has in front of each block and rounds it up by.
    pub headers: u64,
    /// Among blocks, and in none: free pages that the allocator keeps, and what another allocator
    /// rounds up by.
    pub free: u64,
    /// Stacks of threads.
    pub stacks: u64,
    /// Pages of files that were written to: data of the program and its libraries.
    pub files: u64,
    /// The process's part of pages that it shares since a fork, whatever is in them.
    pub shared: u64,
    /// In none of these.
    pub other: u64,
    /// The part of `free` that is whole pages, and that an allocator gives back to the kernel when
    /// it is asked to.
    pub free_pages: u64,
    /// Resident bytes of live blocks and mappings by [`Held::site`]: what is in `blocks` and
    /// `mappings`, told once more.
    pub sites: BTreeMap<u64, u64>,
    /// How large live blocks are, resident or not.
    pub sizes: BlockSizes,
}

/// Memory that was asked for, and the part of it that is resident.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Touched {
    /// Bytes that were asked for.
    pub requested: u64,
    /// Bytes of them in memory.
    pub resident: u64,
}

impl Add for Touched {
    type Output = Touched;

    fn add(self, more: Touched) -> Touched {
        Touched {
            requested: self.requested.saturating_add(more.requested),
            resident: self.resident.saturating_add(more.resident),
        }
    }
}

impl ResidentAccount {
    /// All of it.
    pub fn total(&self) -> u64 {
        let blocks: u64 = self.blocks.values().map(|blocks| blocks.resident).sum();
        let rest = self.headers + self.free + self.stacks + self.files + self.shared + self.other;
        blocks + self.mappings.resident + rest
    }

    /// What live blocks hold, all domains together.
    pub fn all_blocks(&self) -> Touched {
        self.blocks.values().copied().fold(Touched::default(), Add::add)
    }
}

impl Sum for ResidentAccount {
    fn sum<I: Iterator<Item = ResidentAccount>>(each: I) -> ResidentAccount {
        let mut sum = ResidentAccount::default();
        for account in each {
            for (domain, blocks) in account.blocks {
                let all = sum.blocks.entry(domain).or_default();
                *all = *all + blocks;
            }
            sum.mappings = sum.mappings + account.mappings;
            sum.headers += account.headers;
            sum.free += account.free;
            sum.stacks += account.stacks;
            sum.files += account.files;
            sum.shared += account.shared;
            sum.other += account.other;
            sum.free_pages += account.free_pages;
            for (site, bytes) in account.sites {
                *sum.sites.entry(site).or_default() += bytes;
            }
            sum.sizes.add_all(account.sizes);
        }
        sum
    }
}

/// The account of one process. `areas` are its memory areas; `blocks` and `mappings` come in the
/// order of their addresses, and no two of one kind overlap. `None` when its pages may not be
/// looked at.
pub fn resident_account(
    areas: &[MemoryArea],
    recorder: &RecorderParts<'_>,
    blocks: &[Held],
    mappings: &[Held],
    pages: &impl Pages,
) -> Option<ResidentAccount> {
    let mut account = ResidentAccount::default();
    for block in blocks {
        account.blocks.entry(block.domain).or_default().requested += length(&block.addresses);
        account.sizes.add(block.domain, &block.addresses);
    }
    for (at, area) in areas.iter().enumerate() {
        let before = at.checked_sub(1).map(|at| &areas[at]).filter(|it| it.end == area.start);
        if recorder.have(area, before) || area.permissions.ends_with('s') {
            continue;
        }
        account.mappings.requested += in_area(within(mappings, area), area);
        // Pages that several processes have are divided among them.
        let own = area.anonymous_bytes.min(area.proportional_bytes);
        if own == 0 {
            continue;
        }
        let (blocks, mappings) = (within(blocks, area), within(mappings, area));
        let is_known = !blocks.is_empty() || !mappings.is_empty();
        match kind(area, before, is_known) {
            Kind::File => account.files += own,
            Kind::Stack => account.stacks += own,
            Kind::Memory => {
                let range = area.start..area.end;
                let resident = Resident { pages: pages.are_resident(&range)?, range, of: pages };
                account.add(&resident, blocks, mappings, Allocator::of(area));
                account.shared += own.saturating_sub(resident.all());
            }
        }
    }
    Some(account)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    File,
    Stack,
    Memory,
}

/// One page: the length of a guard below a thread's stack.
const GUARD: u64 = 4096;

/// What an area is, by its name and by what lies directly `before` it. It `is_known` where blocks
/// or mappings lie in it.
fn kind(area: &MemoryArea, before: Option<&MemoryArea>, is_known: bool) -> Kind {
    let is_file = |area: &MemoryArea| area.name.starts_with('/');
    if is_file(area) || area.name.starts_with("[v") {
        return Kind::File;
    }
    if area.name.starts_with("[stack") {
        return Kind::Stack;
    }
    if is_known {
        return Kind::Memory;
    }
    let is_guard = |it: &MemoryArea| it.permissions.starts_with("---") && it.bytes() == GUARD;
    if area.name.is_empty() && before.is_some_and(is_guard) {
        return Kind::Stack;
    }
    // A file's zeroed data has no file behind it, and follows what has.
    if area.name.is_empty() && before.is_some_and(is_file) {
        return Kind::File;
    }
    Kind::Memory
}

/// The C library begins the heaps of threads at multiples of this.
const THREAD_HEAP: u64 = 64 << 20;

/// Whose heap an area is, by its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Allocator {
    /// The C library's: the one that grows by brk.
    First,
    /// The C library's: one of those that threads have.
    OfThreads,
    /// Another's, or a block of the C library's of 128 KB and more, with 16 bytes in front.
    Another,
}

impl Allocator {
    fn of(area: &MemoryArea) -> Allocator {
        if area.name == "[heap]" {
            Allocator::First
        } else if area.start.is_multiple_of(THREAD_HEAP) {
            Allocator::OfThreads
        } else {
            Allocator::Another
        }
    }

    /// From here on it keeps what is free, whatever it is asked to give back: `malloc_trim` leaves
    /// the end of a heap of threads as it is.
    fn kept_from(self, blocks: &[Held], range: &Range<u64>) -> u64 {
        match self {
            Allocator::OfThreads => blocks.last().map_or(range.start, |last| last.addresses.end),
            Allocator::First | Allocator::Another => range.end,
        }
    }
}

/// Those that lie in the area, in part at least.
fn within<'a>(all: &'a [Held], area: &MemoryArea) -> &'a [Held] {
    let first = all.partition_point(|it| it.addresses.end <= area.start);
    let behind = all.partition_point(|it| it.addresses.start < area.end);
    &all[first..behind.max(first)]
}

/// How much of it these have.
fn in_area(held: &[Held], area: &MemoryArea) -> u64 {
    let part = |it: &Held| {
        it.addresses.end.min(area.end).saturating_sub(it.addresses.start.max(area.start))
    };
    held.iter().map(part).sum()
}

/// The resident pages of an area.
struct Resident<'a, P> {
    range: Range<u64>,
    pages: Vec<bool>,
    of: &'a P,
}

impl<P: Pages> Resident<'_, P> {
    fn all(&self) -> u64 {
        self.pages.iter().filter(|page| **page).count() as u64 * self.of.bytes()
    }

    /// Bytes of resident pages before `end` in which none of these has a byte.
    fn untouched_by(&self, blocks: &[Held], mappings: &[Held], end: u64) -> u64 {
        let (page, mut free) = (self.of.bytes(), self.pages.clone());
        let pages = end.saturating_sub(self.range.start) / page;
        free.truncate(usize::try_from(pages).unwrap_or(usize::MAX));
        for held in blocks.iter().chain(mappings) {
            let start = held.addresses.start.max(self.range.start) - self.range.start;
            let end = held.addresses.end.min(self.range.end).saturating_sub(self.range.start);
            let first = usize::try_from(start / page).unwrap_or(usize::MAX).min(free.len());
            let behind = usize::try_from(end.div_ceil(page)).unwrap_or(usize::MAX).min(free.len());
            free[first..behind.max(first)].fill(false);
        }
        free.iter().filter(|page| **page).count() as u64 * page
    }

    /// Resident bytes of a range.
    fn of(&self, range: &Range<u64>) -> u64 {
        let (start, end) = (range.start.max(self.range.start), range.end.min(self.range.end));
        let page = self.of.bytes();
        let mut bytes = 0;
        let mut at = start;
        while at < end {
            let number = (at - self.range.start) / page;
            let next = end.min(self.range.start + (number + 1) * page);
            if self.pages.get(number as usize) == Some(&true) {
                bytes += next - at;
            }
            at = next;
        }
        bytes
    }
}

impl ResidentAccount {
    /// Adds what is resident of an area with these blocks and mappings.
    fn add(
        &mut self,
        resident: &Resident<'_, impl Pages>,
        blocks: &[Held],
        mappings: &[Held],
        allocator: Allocator,
    ) {
        let is_glibcs = allocator != Allocator::Another;
        let mut left = resident.all();
        let mut in_blocks = Vec::with_capacity(blocks.len());
        for (at, block) in blocks.iter().enumerate() {
            let bytes = resident.of(&block.addresses);
            self.blocks.entry(block.domain).or_default().resident += bytes;
            *self.sites.entry(block.site).or_default() += bytes;
            let next = blocks.get(at + 1).map_or(resident.range.end, |it| it.addresses.start);
            let around = if is_glibcs { around(&block.addresses, next) } else { 0..0 };
            let headers = resident.of(&around);
            self.headers += headers;
            left = left.saturating_sub(bytes + headers);
            in_blocks.push((block.addresses.start, bytes + headers));
        }
        for mapping in mappings {
            let first = in_blocks.partition_point(|(start, _)| *start < mapping.addresses.start);
            let of_blocks = in_blocks[first..]
                .iter()
                .take_while(|(start, _)| *start < mapping.addresses.end)
                .map(|(_, bytes)| bytes)
                .sum();
            let bytes = resident.of(&mapping.addresses).saturating_sub(of_blocks).min(left);
            self.mappings.resident += bytes;
            *self.sites.entry(mapping.site).or_default() += bytes;
            left -= bytes;
        }
        if blocks.is_empty() && !is_glibcs {
            self.other += left;
        } else {
            self.free += left;
            let end = allocator.kept_from(blocks, &resident.range);
            self.free_pages += resident.untouched_by(blocks, mappings, end).min(left);
        }
    }
}

/// What belongs to a block of the C library's behind its bytes: it gives 24 bytes and then 16 more
/// at a time, with 8 in front of the next one. A block that is followed by another at once has no
/// more than lies between them.
fn around(block: &Range<u64>, next: u64) -> Range<u64> {
    let size = length(block);
    let chunk = (size + 8).next_multiple_of(16).max(32);
    block.end..(block.end + chunk - size).min(next.max(block.end))
}

fn length(range: &Range<u64>) -> u64 {
    range.end.saturating_sub(range.start)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pages of 4,096 bytes, of which some are resident.
    struct Some(Vec<u64>);

    impl Pages for Some {
        fn are_resident(&self, range: &Range<u64>) -> Option<Vec<bool>> {
            let pages = (range.start..range.end).step_by(4_096);
            Option::Some(pages.map(|page| self.0.contains(&page)).collect())
        }

        fn bytes(&self) -> u64 {
            4_096
        }
    }

    fn area(range: Range<u64>, name: &str, permissions: &str, pages: u64) -> MemoryArea {
        MemoryArea {
            start: range.start,
            end: range.end,
            permissions: permissions.to_owned(),
            name: name.to_owned(),
            anonymous_bytes: 4_096 * pages,
            proportional_bytes: 4_096 * pages,
            ..MemoryArea::default()
        }
    }

    /// Its site has its domain's number.
    fn held(addresses: Range<u64>, domain: Domain) -> Held {
        Held { addresses, domain, site: domain as u64 }
    }

    #[test]
    fn every_resident_byte_is_in_one_line() {
        let areas = [
            area(0x1000..0x3000, "/bin/server", "rw-p", 1),
            area(0x3000..0x4000, "", "rw-p", 1),
            area(0x10000..0x14000, "[heap]", "rw-p", 3),
            area(0x20000..0x21000, "", "---p", 0),
            area(0x21000..0x25000, "", "rw-p", 2),
            area(0x30000..0x38000, "", "rw-p", 4),
            area(0x40000..0x42000, "", "rw-p", 1),
            area(0x50000..0x51000, "", "rw-p", 1),
            // Behind a library, and behind a page that nobody may touch: by chance.
            area(0x60000..0x61000, "/lib/a.so", "rw-p", 0),
            area(0x61000..0x62000, "", "rw-p", 1),
            // Half of what it has together with its parent.
            area(0x70000..0x74000, "", "rw-p", 2),
            area(0x80000..0x90000, "/dev/zero", "rw-s", 7),
        ];
        let recorder = RecorderParts::new("", std::iter::once(0x50000..0x51000));
        let blocks = [
            held(0x10010..0x10010 + 100, Domain::Openssl),
            held(0x10080..0x10080 + 10, Domain::Heap),
            // Half of it was never touched.
            held(0x12000..0x14000, Domain::Heap),
            // In a mapping of the program's.
            held(0x31000..0x31800, Domain::Openssl),
            held(0x61010..0x61ff0, Domain::Openssl),
        ];
        let mappings =
            [held(0x30000..0x33000, Domain::Mapping), held(0x80000..0x90000, Domain::Mapping)];
        let resident = [
            0x10000, 0x12000, 0x11000, 0x30000, 0x31000, 0x32000, 0x36000, 0x41000, 0x50000,
            0x61000,
        ];
        let pages = Some(resident.into());
        let account =
            resident_account(&areas, &recorder, &blocks, &mappings, &pages).expect("readable");
        let of = |domain| account.blocks[&domain];
        assert_eq!(of(Domain::Openssl), Touched { requested: 6_212, resident: 6_212 });
        assert_eq!(of(Domain::Heap), Touched { requested: 8_202, resident: 4_106 });
        assert_eq!(account.mappings, Touched { requested: 0x3000, resident: 0x3000 - 0x800 });
        // 112 bytes for 100 and 32 for 10; the last one ends where the heap does.
        assert_eq!(account.headers, 12 + 22);
        assert_eq!((account.files, account.stacks, account.other), (8_192, 8_192, 4_096));
        assert_eq!(account.free, 3 * 4_096 - 100 - 10 - 4_096 - 34 + 4_096 + 32);
        assert_eq!(account.shared, 8_192);
        // The pages at 0x11000 and 0x36000 have no byte of a block or a mapping.
        assert_eq!(account.free_pages, 8_192);
        let by_site: u64 = account.sites.values().sum();
        let in_blocks: u64 = account.blocks.values().map(|it| it.resident).sum();
        assert_eq!(by_site, in_blocks + account.mappings.resident);
        assert_eq!(account.sites[&(Domain::Heap as u64)], 4_106);
        // All but the recorder's, and what is made to be shared.
        let all: u64 = areas.iter().map(|area| area.anonymous_bytes).sum();
        assert_eq!(account.total(), all - 8 * 4_096);
        // Of a thread's heap only what lies between blocks is given back.
        let heap = [area(0x0400_0000..0x0400_6000, "", "rw-p", 6)];
        let blocks = [
            held(0x0400_0900..0x0400_0a00, Domain::Heap),
            held(0x0400_3010..0x0400_3020, Domain::Heap),
        ];
        let pages = Some((0x0400_0000..0x0400_6000).step_by(4_096).collect());
        let threads = resident_account(&heap, &recorder, &blocks, &[], &pages).expect("readable");
        assert_eq!(threads.free_pages, 2 * 4_096);
        assert_eq!(threads.total(), 6 * 4_096);
        let twice: ResidentAccount = [account.clone(), account.clone()].into_iter().sum();
        assert_eq!(twice.total(), 2 * account.total());
        assert_eq!(twice.all_blocks().requested, 2 * 14_414);
    }
}
