//! Where functions begin, from the table that unwinding uses: it is there in stripped files too.

use crate::Elf;

/// The table's entries are pairs of 32-bit offsets from its own address: the form that every
/// linker writes.
const FORM: [u8; 4] = [1, 0x1b, 0x03, 0x3b];
const HEADER: usize = 12;
const ENTRY: usize = 8;

/// The function that code at `address` belongs to: where it begins, and where the next one does.
pub(crate) fn around(elf: &Elf, address: u64) -> Option<(u64, u64)> {
    let (base, table) = elf.unwind_table()?;
    let header = table.get(..HEADER)?;
    // The second byte is the form of a pointer that is not needed here.
    if header[0] != FORM[0] || header[2..4] != FORM[2..4] {
        return None;
    }
    let count = u32::from_le_bytes(header[8..12].try_into().ok()?) as usize;
    let entries = table.get(HEADER..)?.chunks_exact(ENTRY).take(count);
    let entries: Vec<&[u8]> = entries.collect();
    let start = |entry: &[u8]| {
        let offset = i32::from_le_bytes(entry[..4].try_into().expect("four bytes"));
        base.wrapping_add_signed(i64::from(offset))
    };
    let behind = entries.partition_point(|entry| start(entry) <= address);
    let begin = start(entries.get(behind.checked_sub(1)?)?);
    let end = entries.get(behind).map_or(u64::MAX, |entry| start(entry));
    Some((begin, end))
}

/// The instructions of the function that begins at `address`, at most `most` bytes.
pub(crate) fn body<'a>(elf: &Elf<'a>, address: u64, most: usize) -> Option<&'a [u8]> {
    let code = elf.from(address)?;
    let (begin, end) = around(elf, address)?;
    if begin != address {
        return None;
    }
    let length = usize::try_from(end - begin).unwrap_or(usize::MAX).min(most).min(code.len());
    Some(&code[..length])
}
