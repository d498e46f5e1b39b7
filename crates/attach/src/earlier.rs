//! The SSL objects that a process has now: counted by a scan of its memory, from outside, without
//! stopping it, and without anything of ours in it. What is read are pointers; what is kept is a
//! number.
//!
//! ```text
//! methods ─► where each loaded OpenSSL has its tables of a connection's functions
//! present ─► what of the process's own memory is there, piece by piece
//!   here ──► objects that begin as an SSL does, with a pointer to such a table
//! heaps ───► which of those are blocks in use: freed memory keeps its content
//! ```
//!
//! Only for the C library's own heap can it be told what is in use. It is gone through block by
//! block from its beginning, as the C library would; an object that is no block of it, or a free
//! one, does not count. What lies elsewhere, as with jemalloc, may have been freed, and is counted
//! apart.

mod heaps;
mod methods;
mod present;

use std::io;
use std::ops::Range;
use std::time::{Duration, Instant};

use self::heaps::{Blocks, Stretch};
use self::methods::Methods;
use self::present::Present;
use crate::areas::{Area, Areas};
use crate::memory::Memory;

/// What a scan has found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Earlier {
    /// SSL objects that are blocks in use.
    pub in_use: u64,
    /// What looks like an SSL object where it cannot be told whether it is in use.
    pub perhaps: u64,
    /// All memory that the process may have such objects in was looked at.
    pub is_complete: bool,
    /// As much was looked at.
    pub scanned_bytes: u64,
    /// How long it took.
    pub lasted: Duration,
}

/// As much is looked at at a time.
const WINDOW: u64 = 1 << 20;

/// As many bytes of an object are looked at.
const BEGINNING: usize = 32;

/// So many objects are found at most.
const MOST: usize = 1 << 20;

/// The process goes on meanwhile, and a heap that has changed under our eyes is looked at again.
const TRIES: usize = 3;

/// Counts the SSL objects of a process, until then at most.
pub fn earlier(pid: u32, until: Instant) -> io::Result<Earlier> {
    let began = Instant::now();
    let (memory, areas) = (Memory::of(pid)?, Areas::of(pid)?);
    let methods = Methods::of(&memory, &areas, until);
    let mut scan = Scan {
        present: Present::of(pid),
        memory: &memory,
        methods: &methods,
        until,
        found: Earlier { is_complete: methods.are_all(), ..Earlier::default() },
    };
    if !methods.are_none() {
        for area in joined(areas.0.iter().filter(|area| may_have_blocks(area))) {
            for stretch in heaps::stretches(&memory, &area) {
                scan.count(&stretch);
            }
        }
        scan.found.is_complete &= !scan.present.were_swapped();
    }
    Ok(Earlier { lasted: began.elapsed(), ..scan.found })
}

/// Memory of the process's own, but no stack.
fn may_have_blocks(area: &Area) -> bool {
    let kind = &area.path[..];
    area.writable && (kind.is_empty() || kind == heaps::MAIN || kind.starts_with("[anon"))
}

/// Areas that follow each other without a gap are one: what a heap has grown by since a fork is an
/// area of its own.
fn joined<'a>(areas: impl Iterator<Item = &'a Area>) -> Vec<Area> {
    let mut joined: Vec<Area> = Vec::new();
    for area in areas {
        match joined.last_mut().filter(|it| it.end == area.start && it.path == area.path) {
            Some(before) => before.end = area.end,
            None => joined.push(area.clone()),
        }
    }
    joined
}

struct Scan<'a> {
    memory: &'a Memory,
    methods: &'a Methods,
    present: Present,
    until: Instant,
    found: Earlier,
}

impl Scan<'_> {
    fn count(&mut self, stretch: &Stretch) {
        let mut counted = None;
        for _ in 0..TRIES {
            let Some(pass) = self.pass(stretch) else {
                self.found.is_complete = false;
                break;
            };
            let is_whole = pass.is_whole;
            counted = Some(pass);
            if is_whole {
                break;
            }
        }
        let Some(pass) = counted else { return };
        self.found.in_use += pass.in_use;
        self.found.perhaps += pass.perhaps;
        self.found.is_complete &= pass.objects < MOST;
        self.found.scanned_bytes += stretch.range.end - stretch.range.start;
    }

    /// Looks at a stretch of memory once; `None` where there is no time left for it.
    fn pass(&mut self, stretch: &Stretch) -> Option<Pass> {
        let Range { start, end } = stretch.range;
        let mut objects = Vec::new();
        let mut blocks = stretch.first.map(|first| Blocks::from(first, end, stretch.is_main));
        let mut in_use = 0;
        let mut bytes = Vec::new();
        let mut at = start;
        while at < end {
            if Instant::now() > self.until {
                return None;
            }
            let here = at..(at + WINDOW).min(end);
            // What begins in this window may end in the next one.
            let read = here.start..(here.end + BEGINNING as u64).min(end);
            if self.present.read(self.memory, &read, &mut bytes) {
                for offset in (0..(here.end - here.start) as usize).step_by(16) {
                    let beginning = bytes.get(offset..offset + BEGINNING);
                    if objects.len() < MOST && beginning.is_some_and(|it| self.is_object(it)) {
                        objects.push(here.start + offset as u64);
                    }
                }
            }
            if let Some(blocks) = &mut blocks {
                // Those that begin in this window: objects of the next one are not found yet.
                let bytes = &bytes[..(here.end - here.start) as usize];
                blocks.advance(here.start, bytes, |block| {
                    in_use += u64::from(objects.binary_search(&block).is_ok());
                });
            }
            at = here.end;
        }
        let unknown_from = blocks.map_or(start, |blocks| blocks.known_to());
        let perhaps = objects.iter().filter(|object| **object >= unknown_from).count() as u64;
        // Where no heap is known, to look again would help nobody.
        let is_whole = stretch.first.is_none() || perhaps == 0;
        Some(Pass { in_use, perhaps, objects: objects.len(), is_whole })
    }

    /// Whether what begins so is an SSL: up to OpenSSL 3.1 with the version of the protocol and its
    /// functions, and since 3.2 with its kind, its context, and its functions two times.
    fn is_object(&self, beginning: &[u8]) -> bool {
        let word = |at: usize| u64::from_le_bytes(beginning[at..at + 8].try_into().unwrap());
        let [first, second, third, fourth] = [0, 8, 16, 24].map(word);
        if methods::is_version(first) && self.methods.have(second) {
            return true;
        }
        // The kind of a connection.
        first == 0
            && second % 8 == 0
            && self.methods.have(third)
            && self.methods.have(fourth)
            // Its context's functions, behind the library's own context.
            && self.memory.word(second.wrapping_add(8)).is_ok_and(|method| self.methods.have(method))
    }
}

/// What was found in a stretch at one time.
struct Pass {
    in_use: u64,
    perhaps: u64,
    objects: usize,
    is_whole: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_heap_has_grown_by_belongs_to_it() {
        let area = |start, end, path: &str| Area {
            start,
            end,
            offset: 0,
            writable: true,
            executable: false,
            path: path.to_owned(),
        };
        let heap = heaps::MAIN;
        let areas = [area(1, 2, ""), area(2, 3, heap), area(3, 4, heap), area(5, 6, heap)];
        let found = joined(areas.iter());
        assert_eq!(found, [area(1, 2, ""), area(2, 4, heap), area(5, 6, heap)]);
    }
}
