//! Rules by instruction: a TLS program allocates from about 1,700 different calls.
//!
//! A table of pairs without locks. The first word of a pair is the key mixed with the rule, so
//! that a pair of which another thread has written one half does not look like any rule's.

use std::ptr::NonNull;
use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering};

use crate::deep;
use crate::memory::{self, Table};
use crate::unwind::rule::Rule;
use crate::unwind::tables;

/// Places: 256 KiB, of which a tenth is used.
const PLACES: usize = 1 << 14;
/// An instruction may be in its own place or the one beside it.
const WAYS: usize = 2;

#[repr(C)]
struct Pair {
    mixed: AtomicU64,
    rule: AtomicU64,
}

static PAIRS: AtomicPtr<Pair> = AtomicPtr::new(std::ptr::null_mut());
/// Part of the key: rules of another generation are not found any more.
static GENERATION: AtomicU64 = AtomicU64::new(0);

/// Takes memory for the table. `false` when there is none.
pub(crate) fn prepare() -> bool {
    if PAIRS.load(Ordering::Acquire).is_null() {
        let Some(table) = memory::map(PLACES * size_of::<Pair>()) else { return false };
        PAIRS.store(table.as_ptr().cast(), Ordering::Release);
    }
    true
}

/// The table, for the ledger to list.
pub(crate) fn table() -> Option<Table> {
    let start = PAIRS.load(Ordering::Acquire) as usize;
    (start != 0).then_some(Table { start, bytes: PLACES * size_of::<Pair>() })
}

/// Forgets every rule.
pub(crate) fn forget() {
    GENERATION.fetch_add(1, Ordering::AcqRel);
}

/// How often rules were forgotten.
#[inline]
pub(crate) fn generation() -> u64 {
    GENERATION.load(Ordering::Acquire)
}

/// The rule at an instruction.
#[inline]
pub(crate) fn rule(instruction: usize) -> Rule {
    let Some(pairs) = NonNull::new(PAIRS.load(Ordering::Acquire)) else {
        return deep::call(|| tables::rule(instruction)).unwrap_or(Rule::Unknown);
    };
    // Addresses of a process have 47 bits.
    let generation = GENERATION.load(Ordering::Acquire) << 48;
    let key = instruction as u64 ^ generation;
    let place = (key.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as usize;
    let ways = [0, 1].map(|way| {
        // SAFETY: masked to the table's length, which is mapped for good; zeroed memory is a
        // valid pair, that of no rule.
        unsafe { pairs.add((place + way) % PLACES).as_ref() }
    });
    let _: [&Pair; WAYS] = ways;
    for pair in ways {
        let word = pair.rule.load(Ordering::Relaxed);
        if word != 0 && pair.mixed.load(Ordering::Relaxed) ^ word == key {
            return Rule::unpack(word);
        }
    }
    // Where there is no room to look it up, it is not known, and nothing is to be remembered.
    let Ok(rule) = deep::call(|| tables::rule(instruction)) else { return Rule::Unknown };
    let word = rule.pack();
    // A free place, or else the one that the key tells.
    let free = ways.into_iter().find(|pair| pair.rule.load(Ordering::Relaxed) == 0);
    let pair = free.unwrap_or(ways[(key & 1) as usize]);
    pair.rule.store(word, Ordering::Relaxed);
    pair.mixed.store(word ^ key, Ordering::Relaxed);
    Rule::unpack(word)
}
