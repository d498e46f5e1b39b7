//! Where counted blocks may be: a byte for each place, the number of counted blocks there. A free
//! that finds 0 need not look further, and nearly all do.
//!
//! Neighbours in the heap have neighbouring bytes here, and 256 bytes of the heap share one: what
//! frees look at is a small part of what they free, and stays in the cache.

use std::sync::atomic::{AtomicU8, Ordering};

/// Bytes of the heap that share a place, as a power of two.
const SHARED_BITS: u32 = 8;
const PLACES: usize = 1 << 16;

/// A place where so many are that they cannot be counted is never empty again.
const MANY: u8 = u8::MAX;

static HELD: [AtomicU8; PLACES] = [const { AtomicU8::new(0) }; PLACES];

/// Whether a counted block may be at this address.
#[inline(always)] // five instructions
pub(super) fn may_hold(pointer: usize) -> bool {
    // Whoever frees a block has it from the thread that allocated it, and sees what that did.
    place(pointer).load(Ordering::Relaxed) != 0
}

/// A block at this address is going to be counted.
pub(super) fn add(pointer: usize) {
    change(pointer, |held| held + 1);
}

/// A block at this address is not counted any more.
pub(super) fn remove(pointer: usize) {
    change(pointer, |held| held.saturating_sub(1));
}

fn change(pointer: usize, change: fn(u8) -> u8) {
    let change = |held| (held != MANY).then(|| change(held));
    let _ = place(pointer).fetch_update(Ordering::Relaxed, Ordering::Relaxed, change);
}

#[inline(always)]
fn place(pointer: usize) -> &'static AtomicU8 {
    &HELD[(pointer >> SHARED_BITS ^ pointer >> (SHARED_BITS + 16)) % PLACES]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_empty_when_as_many_have_gone_as_came() {
        let at = 0x7f00_1234_5640;
        assert!(!may_hold(at));
        add(at);
        add(at + 8);
        assert!(may_hold(at) && !may_hold(at + 256));
        remove(at);
        assert!(may_hold(at));
        remove(at);
        assert!(!may_hold(at));
    }

    #[test]
    fn where_too_many_are_to_be_counted_there_may_always_be_one() {
        let at = 0x7f00_9999_0000;
        (0..300).for_each(|_| add(at));
        (0..300).for_each(|_| remove(at));
        assert!(may_hold(at));
    }
}
