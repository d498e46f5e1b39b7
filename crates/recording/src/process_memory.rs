//! The memory of a process, looked at from outside.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;

use analysis::resident_account::Pages;
use ledger::live::Memory;

/// The memory of one process, and which of its pages are there.
pub struct ProcessMemory {
    memory: File,
    pagemap: File,
    page: u64,
}

/// In an entry of /proc/PID/pagemap: the page is in memory.
const PRESENT: u64 = 1 << 63;
/// It has been written out.
const SWAPPED: u64 = 1 << 62;
/// It is a file's, or is shared memory.
const OF_FILE: u64 = 1 << 61;
/// No other process has it (Linux 4.2).
const EXCLUSIVE: u64 = 1 << 56;

/// Entries that are read at once: of 256 MiB.
const AT_ONCE: u64 = 1 << 16;

impl ProcessMemory {
    /// Who has started the process may look into it, unless it has become another user's.
    pub fn of(pid: u32) -> io::Result<ProcessMemory> {
        let open = |name: &str| File::open(format!("/proc/{pid}/{name}"));
        let page = rustix::param::page_size() as u64;
        Ok(ProcessMemory { memory: open("mem")?, pagemap: open("pagemap")?, page })
    }

    /// Calls `each` with the kernel's entry of each page.
    fn each_page(&self, range: &Range<u64>, mut each: impl FnMut(u64)) -> io::Result<()> {
        let (first, end) = (range.start / self.page, range.end.div_ceil(self.page));
        let mut entries = vec![0; (AT_ONCE.min(end.saturating_sub(first)) * 8) as usize];
        let mut at = first;
        while at < end {
            let part = &mut entries[..(AT_ONCE.min(end - at) * 8) as usize];
            self.pagemap.read_exact_at(part, at.saturating_mul(8))?;
            let (words, _) = part.as_chunks::<8>();
            for word in words {
                each(u64::from_le_bytes(*word));
            }
            at += words.len() as u64;
        }
        Ok(())
    }
}

impl Pages for ProcessMemory {
    fn are_resident(&self, range: &Range<u64>) -> Option<Vec<bool>> {
        let mut pages = Vec::new();
        let wanted = PRESENT | EXCLUSIVE;
        let note = |entry| pages.push(entry & (wanted | OF_FILE) == wanted);
        self.each_page(range, note).ok().map(|()| pages)
    }

    fn bytes(&self) -> u64 {
        self.page
    }
}

impl Memory for ProcessMemory {
    fn read(&self, address: u64, into: &mut [u8]) -> io::Result<()> {
        into.fill(0);
        let end = address.checked_add(into.len() as u64).ok_or(io::ErrorKind::InvalidInput)?;
        let mut written = Vec::new();
        self.each_page(&(address..end), |entry| written.push(entry & (PRESENT | SWAPPED) != 0))?;
        let mut at = address;
        for same in written.chunk_by(|one, other| one == other) {
            let first = at / self.page;
            let behind = ((first + same.len() as u64) * self.page).min(end);
            if same[0] {
                let part = (at - address) as usize..(behind - address) as usize;
                self.memory.read_exact_at(&mut into[part], at)?;
            }
            at = behind;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_there_and_what_is_not_stays_untouched() {
        let own = ProcessMemory::of(std::process::id()).expect("one's own memory");
        let page = own.page as usize;
        // So large that it is fresh from the kernel.
        let mut block = vec![0_u8; 64 << 20];
        let start = block.as_ptr().align_offset(page);
        let first = block.as_ptr() as usize + start;
        block[start + 3 * page + 7] = 9;
        let range = first as u64..(first + 8 * page) as u64;
        let resident = || own.are_resident(&range).expect("one's own pages");
        assert!(resident()[3]);
        let mut read = vec![1; 8 * page - 10];
        own.read(range.start + 5, &mut read).expect("it is mapped");
        assert_eq!(read.iter().map(|byte| usize::from(*byte)).sum::<usize>(), 9);
        assert_eq!(read[3 * page + 2], 9);
        assert_eq!(resident().iter().filter(|page| **page).count(), 1, "{:?}", resident());
        assert!(own.read(u64::MAX, &mut read).is_err());
        assert!(ProcessMemory::of(u32::MAX).is_err());
    }
}
