//! The bytes of an unwind table as gimli reads them, from memory whose end is not known.
//!
//! A slice would claim that all of it is readable up to its end. This claims nothing of bytes that
//! are not read.

use std::borrow::Cow;

use gimli::{Error, NativeEndian, Reader, ReaderOffsetId, Result};

/// Some bytes in memory, of which the first are readable. It never leaves its bounds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Section {
    start: *const u8,
    length: usize,
}

impl Section {
    /// The bytes from `start` on, up to `length` of them.
    ///
    /// # Safety
    ///
    /// At `start` begins a table that a linker wrote, in an object that stays loaded while the
    /// section is used; `length` reaches to its end or beyond. What the table itself leads to is
    /// readable. That a table keeps to itself is nothing that could be checked here: every
    /// unwinder trusts the linker for it.
    pub(super) unsafe fn at(start: usize, length: usize) -> Section {
        Section { start: std::ptr::with_exposed_provenance(start), length }
    }

    fn end(&self) -> Error {
        Error::UnexpectedEof(self.offset_id())
    }

    /// Checks that so many bytes are left.
    fn has(&self, bytes: usize) -> Result<()> {
        if bytes <= self.length { Ok(()) } else { Err(self.end()) }
    }
}

impl Reader for Section {
    type Endian = NativeEndian;
    type Offset = usize;

    fn endian(&self) -> NativeEndian {
        NativeEndian
    }

    fn len(&self) -> usize {
        self.length
    }

    fn empty(&mut self) {
        self.length = 0;
    }

    fn truncate(&mut self, length: usize) -> Result<()> {
        self.has(length)?;
        self.length = length;
        Ok(())
    }

    fn offset_from(&self, base: &Section) -> usize {
        self.start as usize - base.start as usize
    }

    fn offset_id(&self) -> ReaderOffsetId {
        ReaderOffsetId(self.start as u64)
    }

    fn lookup_offset_id(&self, id: ReaderOffsetId) -> Option<usize> {
        let offset = id.0.checked_sub(self.start as u64)? as usize;
        (offset <= self.length).then_some(offset)
    }

    fn find(&self, byte: u8) -> Result<usize> {
        let is_it = |at: &usize| {
            // SAFETY: the table has such a byte, or this is called for none: what lies before it
            // is the table's, as `at` was promised.
            unsafe { self.start.wrapping_add(*at).read() == byte }
        };
        (0..self.length).find(is_it).ok_or_else(|| self.end())
    }

    fn skip(&mut self, bytes: usize) -> Result<()> {
        self.split(bytes).map(|_| ())
    }

    fn split(&mut self, bytes: usize) -> Result<Section> {
        self.has(bytes)?;
        let first = Section { length: bytes, ..*self };
        self.start = self.start.wrapping_add(bytes);
        self.length -= bytes;
        Ok(first)
    }

    /// Refused: a copy would be allocated. Unwinding asks for none.
    fn to_slice(&self) -> Result<Cow<'_, [u8]>> {
        Err(self.end())
    }

    /// Refused, as a slice is.
    fn to_string(&self) -> Result<Cow<'_, str>> {
        Err(self.end())
    }

    /// Refused, as a slice is.
    fn to_string_lossy(&self) -> Result<Cow<'_, str>> {
        Err(self.end())
    }

    #[inline]
    fn read_slice(&mut self, to: &mut [u8]) -> Result<()> {
        let from = self.split(to.len())?.start;
        // SAFETY: so many bytes lie within the bounds, and the table led here, as `at` was
        // promised. `to` is memory of our own.
        unsafe { std::ptr::copy_nonoverlapping(from, to.as_mut_ptr(), to.len()) };
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BYTES: [u8; 6] = [7, 1, 2, 3, 0, 9];

    fn section() -> Section {
        // SAFETY: a static of this length.
        unsafe { Section::at(BYTES.as_ptr().expose_provenance(), BYTES.len()) }
    }

    #[test]
    fn bytes_are_read_in_their_order_and_never_beyond_the_end() {
        let mut rest = section();
        assert_eq!(rest.read_u8(), Ok(7));
        assert_eq!(rest.read_u16(), Ok(u16::from_ne_bytes([1, 2])));
        assert_eq!(rest.offset_from(&section()), 3);
        assert!(rest.clone().read_u32().is_err());
        assert_eq!(rest.len(), 3, "what fails takes nothing");
        rest.skip(3).expect("the rest");
        assert!(rest.is_empty() && rest.skip(1).is_err() && rest.read_u8().is_err());
    }

    #[test]
    fn a_part_keeps_to_its_bounds() {
        let mut rest = section();
        let mut part = rest.split(2).expect("two bytes");
        assert!(part.read_u32().is_err());
        assert_eq!(rest.read_null_terminated_slice().expect("there is a zero").len(), 2);
        assert_eq!(rest.read_u8(), Ok(9));
        assert!(section().truncate(7).is_err());
        let id = rest.offset_id();
        assert_eq!(section().lookup_offset_id(id), Some(BYTES.len()));
    }
}
