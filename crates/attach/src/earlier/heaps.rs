//! The GNU C library's heap: blocks that follow each other without a gap, each with its size before
//! it, and in the one behind it whether it is in use.
//!
//! ```text
//!  │ size of the one before, │ size, 3 flags │ what the program has │ … │ size, 3 flags │ …
//!  │ if that is free         │               │                      │   │  ▲ one of them says
//!  block                                     its address                whether the first is in use
//! ```
//!
//! Blocks of some thousand bytes are never in the lists of freed ones that keep this flag (tcache,
//! fastbins), and would have their first words overwritten there. A block that was freed and joined
//! with its neighbours keeps its size and content: so it counts only what is come to from the
//! beginning of the heap, block by block.

use std::ops::Range;

use crate::areas::Area;
use crate::memory::Memory;

/// What the kernel calls the heap of the main arena.
pub(super) const MAIN: &str = "[heap]";

/// A piece of an area.
#[derive(Debug)]
pub(super) struct Stretch {
    pub range: Range<u64>,
    /// The heap's first block, where it is a heap of the C library's.
    pub first: Option<u64>,
    /// It is the main arena's.
    pub is_main: bool,
}

/// Heaps of the other arenas begin at multiples of this, with what is known of them.
const ALIGNMENT: u64 = 64 << 20;

/// Between the state of an arena's first heap, which its beginning points to, and the first block:
/// the state differs with the version.
const BEHIND_STATE: Range<u64> = 0x800..0xc00;
/// Where the first block of its other heaps is.
const BEHIND_HEAD: Range<u64> = 0x20..0x50;

/// So many blocks have to follow for the first one to be believed.
const BELIEVED: usize = 16;
const BELIEVED_BYTES: u64 = 1 << 20;

/// The stretches of an area, which cover all of it.
pub(super) fn stretches(memory: &Memory, area: &Area) -> Vec<Stretch> {
    let stretch = |range, first, is_main| Stretch { range, first, is_main };
    if area.path == MAIN {
        return vec![stretch(area.start..area.end, Some(area.start), true)];
    }
    let mut found = Vec::new();
    let mut from = area.start;
    let mut at = area.start.next_multiple_of(ALIGNMENT);
    while at < area.end {
        if let Some((end, first)) = heap(memory, at, area.end) {
            if from < at {
                found.push(stretch(from..at, None, false));
            }
            found.push(stretch(at..end, Some(first), false));
            from = end;
        }
        at += ALIGNMENT;
    }
    if from < area.end {
        found.push(stretch(from..area.end, None, false));
    }
    found
}

/// The end and the first block of the heap that begins at an address, if one does.
fn heap(memory: &Memory, at: u64, most: u64) -> Option<(u64, u64)> {
    let [state, size] = [0, 16].map(|offset| memory.word(at + offset).unwrap_or(0));
    let end = at.checked_add(size).filter(|end| size > 0 && *end <= most && size % 4096 == 0)?;
    let has_state = (at..at + BEHIND_HEAD.end).contains(&state);
    let (from, places) = if has_state { (state, BEHIND_STATE) } else { (at, BEHIND_HEAD) };
    let bytes = memory.read_some(at, (end - at).min(BELIEVED_BYTES) as usize);
    let mut firsts = places.step_by(16).map(|offset| (from + offset).next_multiple_of(16));
    let first = firsts.find(|first| {
        let mut blocks = Blocks::from(*first, end, false);
        let mut followed = 0;
        blocks.advance(at, &bytes, |_| followed += 1);
        !blocks.is_broken && (followed >= BELIEVED || blocks.is_over)
    })?;
    Some((end, first))
}

/// The blocks of a heap, one after the other.
#[derive(Debug)]
pub(super) struct Blocks {
    /// The one to be looked at next.
    next: u64,
    end: u64,
    is_main: bool,
    /// The size of the one before.
    before: Option<u64>,
    is_broken: bool,
    is_over: bool,
}

/// Flags.
const IS_BEFORE_IN_USE: u64 = 1;
const IS_MAPPED: u64 = 2;
const IS_OF_OTHER_ARENA: u64 = 4;
const FLAGS: u64 = 7;

/// Before a block's address: its size, and that of the one before.
const HEAD: u64 = 16;

impl Blocks {
    pub(super) fn from(first: u64, end: u64, is_main: bool) -> Blocks {
        Blocks { next: first, end, is_main, before: None, is_broken: false, is_over: false }
    }

    /// Goes on as far as the bytes go that lie at `start`, and passes on the addresses of blocks in
    /// use.
    pub(super) fn advance(&mut self, start: u64, bytes: &[u8], mut in_use: impl FnMut(u64)) {
        while !self.is_broken && !self.is_over {
            if self.next + HEAD > self.end {
                self.is_over = true;
                return;
            }
            let Some(offset) = self.next.checked_sub(start) else {
                self.is_broken = true;
                return;
            };
            let Some(head) = bytes.get(offset as usize..offset as usize + HEAD as usize) else {
                return;
            };
            let word = |at: usize| u64::from_le_bytes(head[at..at + 8].try_into().unwrap());
            let (size_before, size, flags) = (word(0), word(8) & !FLAGS, word(8) & FLAGS);
            let is_before_in_use = flags & IS_BEFORE_IN_USE != 0;
            let is_likely = flags & IS_MAPPED == 0
                && !(self.is_main && flags & IS_OF_OTHER_ARENA != 0)
                && size % HEAD == 0
                && size <= self.end - self.next
                && (is_before_in_use || self.before == Some(size_before));
            if !is_likely {
                self.is_broken = true;
                return;
            }
            if let Some(before) = self.before.filter(|_| is_before_in_use) {
                in_use(self.next - before + HEAD);
            }
            // The last one of a heap that another one follows is empty.
            if size == 0 {
                self.is_over = self.end - self.next <= 4 * HEAD;
                self.is_broken = !self.is_over;
                return;
            }
            self.next += size;
            self.before = Some(size);
        }
    }

    /// Up to there it is known of each block whether it is in use.
    pub(super) fn known_to(&self) -> u64 {
        if self.is_over { self.end } else { self.next - self.before.unwrap_or(0) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A heap of blocks with these sizes and flags; the last one is what is left.
    fn heap_of(blocks: &[(u64, u64)]) -> Vec<u8> {
        let mut words = Vec::new();
        let mut before = 0;
        for (size, flags) in blocks {
            let at = words.len();
            words.resize(at + *size as usize / 8, 0);
            words[at] = if flags & IS_BEFORE_IN_USE == 0 { before } else { 0x7777 };
            words[at + 1] = size | flags;
            before = *size;
        }
        words.iter().flat_map(|word: &u64| word.to_le_bytes()).collect()
    }

    fn used(bytes: &[u8], windows: usize) -> (Vec<u64>, Blocks) {
        let (start, mut used) = (0x1000, Vec::new());
        let mut blocks = Blocks::from(start, start + bytes.len() as u64, true);
        for (at, window) in bytes.chunks(windows).enumerate() {
            blocks.advance(start + (at * windows) as u64, window, |block| used.push(block));
        }
        (used, blocks)
    }

    #[test]
    fn a_block_is_in_use_where_the_one_behind_it_says_so() {
        let bytes = heap_of(&[(0x40, 1), (0x80, 1), (0x20, 0), (0x100, 1)]);
        // Windows that end between blocks and in the midst of them.
        for windows in [bytes.len(), 0x40, 0x60] {
            let (used, blocks) = used(&bytes, windows);
            assert_eq!(used, [0x1010, 0x10d0], "{windows:#x}");
            assert!(blocks.is_over && blocks.known_to() == 0x1000 + bytes.len() as u64);
        }
    }

    #[test]
    fn what_cannot_be_a_heap_is_known_up_to_there() {
        let good = [(0x40, 1), (0x80, 1), (0x100, 1)];
        for wrong in [(0x80, 1 | IS_MAPPED), (0x80, 1 | IS_OF_OTHER_ARENA), (0x80, 0)] {
            let mut bytes = heap_of(&[good[0], good[1], wrong, good[2]]);
            // Not the size of the one before.
            bytes[0xc0] = 0x70;
            let (used, blocks) = used(&bytes, bytes.len());
            assert_eq!((used, blocks.known_to()), (vec![0x1010], 0x1040), "{wrong:?}");
            assert!(blocks.is_broken);
        }
        let (used, blocks) = used(&[0; 0x100], 0x100);
        assert!(used.is_empty() && blocks.is_broken && blocks.known_to() == 0x1000);
    }
}
