//! The pages of a process that are there: to read the others would bring them in.

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;

use crate::memory::Memory;

/// The kernel's list of them.
#[derive(Debug)]
pub(super) struct Present {
    /// `None` where it may not be read: then all of them are taken to be there.
    list: Option<File>,
    page: u64,
    swapped: bool,
}

/// What an entry of the list says.
const IS_PRESENT: u64 = 1 << 63;
const IS_SWAPPED: u64 = 1 << 62;

impl Present {
    pub(super) fn of(pid: u32) -> Present {
        // SAFETY: a number, and no effect.
        let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
        let list = File::open(format!("/proc/{pid}/pagemap")).ok();
        Present { list, page: u64::try_from(page).unwrap_or(4096), swapped: false }
    }

    /// Reads what is there of a range, with zeros for what is not. `false` when nothing is.
    pub(super) fn read(
        &mut self,
        memory: &Memory,
        range: &Range<u64>,
        bytes: &mut Vec<u8>,
    ) -> bool {
        bytes.clear();
        bytes.resize((range.end - range.start) as usize, 0);
        let mut any = false;
        for part in self.parts(range) {
            let within = (part.start - range.start) as usize..(part.end - range.start) as usize;
            // What has gone since is not there.
            any |= memory.read_into(part.start, &mut bytes[within]);
        }
        any
    }

    /// The parts of a range that are there.
    fn parts(&mut self, range: &Range<u64>) -> Vec<Range<u64>> {
        let (first, last) = (range.start / self.page, range.end.div_ceil(self.page));
        let mut entries = vec![0; (last - first) as usize * 8];
        let read = self.list.as_ref().map(|list| list.read_exact_at(&mut entries, first * 8));
        if !matches!(read, Some(Ok(()))) {
            return vec![range.clone()];
        }
        let mut parts: Vec<Range<u64>> = Vec::new();
        for (at, entry) in (first..).zip(entries.chunks_exact(8)) {
            let entry = u64::from_le_bytes(entry.try_into().unwrap());
            self.swapped |= entry & IS_SWAPPED != 0;
            if entry & IS_PRESENT == 0 {
                continue;
            }
            let page = (at * self.page).max(range.start)..((at + 1) * self.page).min(range.end);
            match parts.last_mut().filter(|part| part.end == page.start) {
                Some(part) => part.end = page.end,
                None => parts.push(page),
            }
        }
        parts
    }

    /// Some were not looked at, for they lie on a disk.
    pub(super) fn were_swapped(&self) -> bool {
        self.swapped
    }
}
