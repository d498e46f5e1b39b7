//! From a hash to a number, without locks.
//!
//! Hash tables in a row, each twice as large as the one before. Entries are only ever added, to the
//! first table that is not half full, each with one compare-and-swap; and are looked for in all of
//! them. So a process that needs little has a small table, and what needs much has room for it.

use std::ptr::NonNull;
use std::sync::atomic::{AtomicPtr, AtomicU64, AtomicUsize, Ordering};

use crate::memory::{self, Table};

/// Entries of the first table: 64 KiB, for the 4,096 sites that a TLS server has.
const FIRST: usize = 1 << 13;
/// Tables there can be: room for 2^26 numbers, more than there are.
const LEVELS: usize = 14;
const NUMBER_BITS: u32 = 32;

/// A row of tables from hashes to numbers above 0. What else tells one from another, its owner
/// compares.
pub(crate) struct Index {
    levels: [Level; LEVELS],
}

/// One table.
struct Level {
    /// A part of the hash in the upper half, the number in the lower; 0 is free.
    entries: AtomicPtr<AtomicU64>,
    /// Entries given away, of which no more than half of all are.
    used: AtomicUsize,
}

/// What is looked for.
pub(crate) struct Wanted<S, G> {
    pub hash: u64,
    /// Says whether a number that was found under the hash is the one.
    pub is: S,
    /// Is told of each table that is added.
    pub grown: G,
}

impl Index {
    /// An index with its first table. `None` when the kernel refuses memory.
    pub(crate) fn new() -> Option<Index> {
        let empty = |_| Level { entries: AtomicPtr::default(), used: AtomicUsize::new(0) };
        let index = Index { levels: std::array::from_fn(empty) };
        index.levels[0].table(0, &|_| {})?;
        Some(index)
    }

    /// The tables that there are.
    pub(crate) fn tables(&self) -> impl Iterator<Item = Table> + '_ {
        self.levels.iter().enumerate().filter_map(|(at, level)| {
            let start = level.entries.load(Ordering::Acquire) as usize;
            (start != 0).then(|| Table { start, bytes: bytes(at) })
        })
    }

    /// The number of what is wanted, which `make` makes when it is new. `None` when it makes none,
    /// or there is no room.
    ///
    /// Two threads that bring the same at once mostly get the same number, and what the other has
    /// made stays unused. Where just then a table becomes half full, they may get two.
    pub(crate) fn find(
        &self,
        wanted: &Wanted<impl Fn(u32) -> bool, impl Fn(Table)>,
        make: impl FnOnce() -> Option<u32>,
    ) -> Option<u32> {
        for (at, level) in self.levels.iter().enumerate() {
            let Some(entries) = NonNull::new(level.entries.load(Ordering::Acquire)) else { break };
            if let Some(found) = probe(entries, at, wanted, None) {
                return Some(found);
            }
        }
        let new = make()?;
        for (at, level) in self.levels.iter().enumerate() {
            let most = entries_of(at) / 2;
            if level.used.load(Ordering::Relaxed) < most
                && level.used.fetch_add(1, Ordering::Relaxed) < most
            {
                let entries = level.table(at, &wanted.grown)?;
                return probe(entries, at, wanted, Some(new));
            }
        }
        None
    }
}

impl Level {
    /// Its entries, which are mapped when it is the first time that they are needed.
    fn table(&self, at: usize, grown: &impl Fn(Table)) -> Option<NonNull<AtomicU64>> {
        if let Some(known) = NonNull::new(self.entries.load(Ordering::Acquire)) {
            return Some(known);
        }
        let memory = memory::map(bytes(at))?;
        let (null, new) = (std::ptr::null_mut(), memory.cast::<AtomicU64>());
        match self.entries.compare_exchange(null, new.as_ptr(), Ordering::AcqRel, Ordering::Acquire)
        {
            Ok(_) => {
                grown(Table { start: memory.as_ptr() as usize, bytes: bytes(at) });
                Some(new)
            }
            Err(other) => {
                // SAFETY: mapped above with this length and never shown to anybody.
                unsafe { memory::unmap(memory, bytes(at)) };
                NonNull::new(other)
            }
        }
    }
}

/// Looks through the table of a level from where the hash says on, up to a free entry, which gets
/// `new`, if there is one. That number, or the one that is the wanted.
fn probe<S: Fn(u32) -> bool, G>(
    entries: NonNull<AtomicU64>,
    level: usize,
    wanted: &Wanted<S, G>,
    new: Option<u32>,
) -> Option<u32> {
    let mask = entries_of(level) - 1;
    let tag = wanted.hash >> NUMBER_BITS << NUMBER_BITS;
    // At most half of the entries are ever taken.
    for step in 0..=mask {
        let at = (wanted.hash as usize).wrapping_add(step) & mask;
        // SAFETY: masked to the table's length, which is mapped for good; zeroed memory is a valid
        // AtomicU64.
        let entry = unsafe { entries.add(at).as_ref() };
        let mut found = entry.load(Ordering::Acquire);
        if found == 0 {
            let new = new?;
            let word = tag | u64::from(new);
            match entry.compare_exchange(0, word, Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return Some(new),
                Err(other) => found = other,
            }
        }
        if found >> NUMBER_BITS << NUMBER_BITS == tag && (wanted.is)(found as u32) {
            return Some(found as u32);
        }
    }
    None
}

fn entries_of(level: usize) -> usize {
    FIRST << level
}

fn bytes(level: usize) -> usize {
    entries_of(level) * size_of::<AtomicU64>()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU32;

    use super::*;

    /// A hash of which many are equal.
    fn hash(key: u32) -> u64 {
        u64::from(key / 3).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }

    /// Numbers are keys and 1.
    fn find(index: &Index, key: u32, make: impl FnOnce() -> Option<u32>) -> Option<u32> {
        let wanted = Wanted { hash: hash(key), is: |number| number == key + 1, grown: |_| {} };
        index.find(&wanted, make)
    }

    #[test]
    fn what_is_added_is_found_again_through_all_tables() {
        const MOST: u32 = 100_000;
        let index = Index::new().expect("some memory");
        assert_eq!(index.tables().count(), 1);
        for key in 0..MOST {
            assert_eq!(find(&index, key, || None), None);
            assert_eq!(find(&index, key, || Some(key + 1)), Some(key + 1));
        }
        assert_eq!(index.tables().count(), 5, "of 4,096, 8,192, … numbers");
        for key in 0..MOST {
            assert_eq!(find(&index, key, || panic!("{key} is known")), Some(key + 1));
        }
    }

    #[test]
    fn threads_that_bring_the_same_at_once_lose_nothing() {
        const MOST: u32 = 20_000;
        let (index, calls) = (Index::new().expect("some memory"), AtomicU32::new(0));
        let bring = || {
            for key in 0..MOST {
                let make = || {
                    calls.fetch_add(1, Ordering::Relaxed);
                    Some(key + 1)
                };
                assert_eq!(find(&index, key, make), Some(key + 1));
            }
        };
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(bring);
            }
        });
        let used: usize = index.levels.iter().map(|it| it.used.load(Ordering::Relaxed)).sum();
        assert!(used >= MOST as usize && calls.into_inner() >= MOST);
    }
}
