//! What a process has mapped, as pieces of its address space in the order of their addresses.
//!
//! A mapping is one piece at first. What is unmapped of it, or mapped anew, leaves pieces that
//! remember whose they are.

use std::mem::offset_of;
use std::num::NonZeroU32;
use std::ops::Range;
use std::sync::atomic::Ordering;

use ledger::layout::{MappingsRecord, PieceRecord};

use crate::memory::{Growing, Table};

/// So many pieces at most: as many mappings as a process may have by default.
const MOST: usize = 1 << 16;

/// The table becomes memory in steps of so many bytes.
const STEP: usize = 64 << 10;

/// A piece of a mapping, or of several that may not be touched.
#[repr(C)] // a reader finds it in the process's memory
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    pub start: usize,
    pub end: usize,
    pub of: Whose,
    /// It is not all of its mapping, or was not at one time.
    pub is_cut: bool,
}

/// What a piece belongs to: a mapping, by a number of its own, that is counted in the cell with
/// that number.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Whose {
    /// `None` for addresses that were reserved: nobody may read or write there, so it is nobody's
    /// memory.
    pub cell: Option<NonZeroU32>,
    pub number: u32,
}

impl Whose {
    pub(crate) const NOBODYS: Whose = Whose { cell: None, number: 0 };
}

const _: () = {
    assert!(size_of::<Piece>() == size_of::<PieceRecord>());
    assert!(offset_of!(Piece, start) == offset_of!(PieceRecord, start));
    assert!(offset_of!(Piece, end) == offset_of!(PieceRecord, end));
    assert!(offset_of!(Piece, of) + offset_of!(Whose, cell) == offset_of!(PieceRecord, cell));
    assert!(size_of::<MappingsRecord>().is_multiple_of(align_of::<Piece>()));
};

/// A piece that was taken out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cut {
    pub piece: Piece,
    /// Nothing is left of its mapping.
    pub is_last: bool,
}

impl Piece {
    pub(crate) fn bytes(&self) -> u64 {
        (self.end - self.start) as u64
    }
}

/// The table. Whoever has it is alone with it.
pub(crate) struct Pieces {
    table: Growing,
    count: usize,
    /// The number of the newest mapping.
    newest: u32,
}

impl Pieces {
    /// An empty table. `None` when the kernel refuses memory.
    pub(crate) fn new() -> Option<Pieces> {
        let table = Growing::new(end_of(MOST), STEP)?;
        Some(Pieces { table, count: 0, newest: 0 })
    }

    pub(crate) fn table(&self) -> Table {
        self.table.table()
    }

    /// Gives its memory back.
    ///
    /// # Safety
    ///
    /// Nobody uses it any more, nor will.
    pub(crate) unsafe fn unmap(&self) {
        // SAFETY: the caller's promise.
        unsafe { self.table.unmap() };
    }

    /// A number for a new mapping.
    pub(crate) fn number(&mut self) -> u32 {
        self.newest = self.newest.wrapping_add(1);
        self.newest
    }

    /// The first piece that has something of the range.
    pub(crate) fn first_in(&self, range: &Range<usize>) -> Option<Piece> {
        self.all().get(self.place_in(range)?).copied()
    }

    /// Takes out what the first piece in the range has of it.
    pub(crate) fn take_first(&mut self, range: &Range<usize>) -> Option<Cut> {
        let at = self.place_in(range)?;
        let whole = self.all()[at];
        let cut =
            Piece { start: whole.start.max(range.start), end: whole.end.min(range.end), ..whole };
        let before = Piece { end: cut.start, is_cut: true, ..whole };
        let behind = Piece { start: cut.end, is_cut: true, ..whole };
        match (before.start < before.end, behind.start < behind.end) {
            (false, false) => self.remove(at),
            (true, false) => self.all_mut()[at] = before,
            (false, true) => self.all_mut()[at] = behind,
            (true, true) => {
                // Where there is no room for one more piece, the one behind is forgotten with it.
                if !self.put(at + 1, behind) {
                    self.all_mut()[at] = before;
                    let piece = Piece { end: whole.end, is_cut: true, ..cut };
                    return Some(Cut { piece, is_last: false });
                }
                self.all_mut()[at] = before;
            }
        }
        let is_rest = |piece: &Piece| piece.of == whole.of;
        let is_whole = cut.start == whole.start && cut.end == whole.end;
        let is_last = is_whole && !(whole.is_cut && self.all().iter().any(is_rest));
        Some(Cut { piece: Piece { is_cut: whole.is_cut || !is_whole, ..cut }, is_last })
    }

    /// Adds a piece where there is none. `false` when there is no room for it. What belongs to the
    /// same as its neighbours becomes one with them.
    pub(crate) fn insert(&mut self, piece: Piece) -> bool {
        let mut at = self.place_of(piece.start);
        let mut joined = piece;
        if let Some(behind) = self.all().get(at).copied()
            && behind.start == piece.end
            && behind.of == piece.of
        {
            joined.end = behind.end;
            self.remove(at);
        }
        if let Some(before) = at.checked_sub(1).map(|at| self.all()[at])
            && before.end == piece.start
            && before.of == piece.of
        {
            at -= 1;
            joined.start = before.start;
            self.remove(at);
        }
        self.put(at, joined)
    }

    /// What it names has something of the range, so that whoever goes on behind that comes to an
    /// end: an empty range has nothing, also within a piece.
    fn place_in(&self, range: &Range<usize>) -> Option<usize> {
        let at = self.place_of(range.start);
        let is_in = |piece: &&Piece| !range.is_empty() && piece.start < range.end;
        self.all().get(at).filter(is_in).map(|_| at)
    }

    /// Where the first piece is that ends behind this address.
    fn place_of(&self, address: usize) -> usize {
        self.all().partition_point(|piece| piece.end <= address)
    }

    fn remove(&mut self, at: usize) {
        self.all_mut().copy_within(at + 1.., at);
        self.set_count(self.count - 1);
    }

    fn set_count(&mut self, count: usize) {
        self.count = count;
        self.head().pieces.store(count as u64, Ordering::Release);
    }

    fn head(&self) -> &MappingsRecord {
        // SAFETY: the table begins with it, in memory that is aligned to pages; zeroed memory is a
        // valid record.
        unsafe { self.table.start().cast().as_ref() }
    }

    fn put(&mut self, at: usize, piece: Piece) -> bool {
        let count = self.count + 1;
        if count > MOST || !self.table.reach(end_of(count), &|_| {}) {
            return false;
        }
        // SAFETY: within the table, which reaches so far, as was just seen to; the place is
        // written before it is read.
        unsafe { self.first().add(self.count).write(piece) };
        self.set_count(count);
        let all = self.all_mut();
        all.copy_within(at..count - 1, at + 1);
        all[at] = piece;
        true
    }

    fn first(&self) -> *mut Piece {
        // SAFETY: behind the head, within the table.
        unsafe { self.table.start().cast::<MappingsRecord>().add(1).cast().as_ptr() }
    }

    fn all(&self) -> &[Piece] {
        // SAFETY: so many were written, in memory that is aligned to pages and this table's alone.
        unsafe { std::slice::from_raw_parts(self.first(), self.count) }
    }

    fn all_mut(&mut self) -> &mut [Piece] {
        // SAFETY: as for `all`.
        unsafe { std::slice::from_raw_parts_mut(self.first(), self.count) }
    }
}

/// Where so many pieces end in the table.
fn end_of(count: usize) -> usize {
    size_of::<MappingsRecord>() + count * size_of::<Piece>()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn mapping(start: usize, end: usize, number: u32) -> Piece {
        Piece { start, end, of: Whose { cell: NonZeroU32::new(7), number }, is_cut: false }
    }

    fn taken(pieces: &mut Pieces, range: Range<usize>) -> Vec<(usize, usize, bool)> {
        std::iter::from_fn(|| pieces.take_first(&range))
            .map(|cut| (cut.piece.start, cut.piece.end, cut.is_last))
            .collect()
    }

    #[test]
    fn a_mapping_is_gone_with_its_last_piece() {
        let mut pieces = Pieces::new().expect("memory");
        assert!(pieces.insert(mapping(10, 20, 1)) && pieces.insert(mapping(30, 40, 2)));
        assert_eq!(taken(&mut pieces, 12..14), [(12, 14, false)]);
        assert_eq!(taken(&mut pieces, 0..12), [(10, 12, false)]);
        assert_eq!(taken(&mut pieces, 18..35), [(18, 20, false), (30, 35, false)]);
        assert_eq!(taken(&mut pieces, 0..100), [(14, 18, true), (35, 40, true)]);
        assert_eq!(pieces.all(), []);
    }

    #[test]
    fn two_pieces_of_a_mapping_that_go_together_are_its_end_once() {
        let mut pieces = Pieces::new().expect("memory");
        assert!(pieces.insert(mapping(10, 20, 1)));
        assert_eq!(taken(&mut pieces, 14..16), [(14, 16, false)]);
        assert_eq!(taken(&mut pieces, 0..100), [(10, 14, false), (16, 20, true)]);
    }

    #[test]
    fn an_empty_range_within_a_piece_has_nothing_of_it() {
        let mut pieces = Pieces::new().expect("memory");
        assert!(pieces.insert(mapping(10, 20, 1)));
        assert_eq!(pieces.first_in(&(15..15)), None);
        assert_eq!(pieces.take_first(&(15..15)), None);
        assert_eq!(pieces.first_in(&(15..16)), Some(mapping(10, 20, 1)));
    }

    #[test]
    fn what_is_put_back_is_as_it_was() {
        let mut pieces = Pieces::new().expect("memory");
        assert!(pieces.insert(mapping(10, 20, 1)));
        let cut = pieces.take_first(&(12..14)).expect("a piece");
        assert!(pieces.insert(cut.piece));
        let whole = Piece { is_cut: true, ..mapping(10, 20, 1) };
        assert_eq!(pieces.all(), [whole]);
        assert_eq!(taken(&mut pieces, 10..20), [(10, 20, true)]);
    }

    proptest! {
        #[test]
        fn each_address_belongs_to_whoever_mapped_it_last(
            events in proptest::collection::vec((any::<bool>(), 0..60_usize, 1..20_usize), 1..40),
        ) {
            let mut pieces = Pieces::new().expect("memory");
            let mut plain = [0_u32; 100];
            for (maps, start, length) in events {
                let range = start..start + length;
                let before: Vec<u32> = plain.into();
                plain[range.clone()].fill(0);
                let mut bytes = 0;
                let mut gone = Vec::new();
                while let Some(Cut { piece, is_last }) = pieces.take_first(&range) {
                    bytes += piece.end - piece.start;
                    if is_last {
                        gone.push(piece.of.number);
                    }
                }
                prop_assert_eq!(bytes, before[range.clone()].iter().filter(|it| **it != 0).count());
                let mut expected: Vec<u32> = before
                    .iter()
                    .copied()
                    .filter(|number| *number != 0 && !plain.contains(number))
                    .collect();
                expected.dedup();
                expected.sort_unstable();
                expected.dedup();
                gone.sort_unstable();
                prop_assert_eq!(gone, expected);
                if maps {
                    let number = pieces.number();
                    plain[range.clone()].fill(number);
                    prop_assert!(pieces.insert(mapping(range.start, range.end, number)));
                }
                let mut seen = [0_u32; 100];
                for piece in pieces.all() {
                    seen[piece.start..piece.end].fill(piece.of.number);
                }
                prop_assert_eq!(seen, plain);
            }
        }
    }
}
