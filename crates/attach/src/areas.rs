//! A process's memory areas, as `/proc/PID/maps` lists them.

use std::io;

/// One area.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Area {
    pub start: u64,
    pub end: u64,
    /// Where in its file it begins.
    pub offset: u64,
    pub writable: bool,
    pub executable: bool,
    /// The file, as the kernel shows it; empty for memory without one.
    pub path: String,
}

impl Area {
    pub(crate) fn holds(&self, address: u64) -> bool {
        (self.start..self.end).contains(&address)
    }

    /// The file's name without its folder, and without what the kernel says of it.
    pub(crate) fn name(&self) -> &str {
        let path = self.path.strip_suffix(" (deleted)").unwrap_or(&self.path);
        // Of memory that has a name like a file, that of a memfd.
        path.rsplit(['/', ':']).next().unwrap_or_default()
    }
}

/// All areas of a process, in the order of their addresses.
#[derive(Clone, Debug, Default)]
pub(crate) struct Areas(pub Vec<Area>);

impl Areas {
    pub(crate) fn of(pid: u32) -> io::Result<Areas> {
        let text = std::fs::read(format!("/proc/{pid}/maps"))?;
        Ok(Areas(String::from_utf8_lossy(&text).lines().filter_map(area).collect()))
    }

    pub(crate) fn at(&self, address: u64) -> Option<&Area> {
        self.0.iter().find(|area| area.holds(address))
    }

    /// Where a file of this name has code.
    pub(crate) fn code_of(&self, name: &str) -> Option<std::ops::Range<u64>> {
        let area = self.0.iter().find(|area| area.executable && area.name() == name)?;
        Some(area.start..area.end)
    }

    /// The area with which a file begins whose name is `wanted`.
    pub(crate) fn first_of(&self, wanted: impl Fn(&str) -> bool) -> Option<&Area> {
        self.0.iter().find(|area| area.offset == 0 && !area.path.is_empty() && wanted(area.name()))
    }
}

fn area(line: &str) -> Option<Area> {
    let mut fields = line.splitn(6, ' ');
    let (start, end) = fields.next()?.split_once('-')?;
    let number = |text: &str| u64::from_str_radix(text, 16).ok();
    let access = fields.next()?.as_bytes();
    let offset = number(fields.next()?)?;
    let path = fields.nth(2).unwrap_or_default().trim_start();
    Some(Area {
        start: number(start)?,
        end: number(end)?,
        offset,
        writable: access.get(1) == Some(&b'w'),
        executable: access.get(2) == Some(&b'x'),
        path: path.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_an_area_and_a_name_may_have_blanks() {
        let line = "7f00-7f10 r-xp 00002000 fe:00 12345                      /a b/libc.so.6";
        let read = area(line).expect("an area");
        assert_eq!((read.start, read.end, read.offset), (0x7f00, 0x7f10, 0x2000));
        assert!(read.executable && !read.writable && read.holds(0x7f0f) && !read.holds(0x7f10));
        assert_eq!((read.path.as_str(), read.name()), ("/a b/libc.so.6", "libc.so.6"));
        let line = "7f00-7f10 rw-p 00000000 00:01 7   /memfd:libtlsheap_attached.so (deleted)";
        assert_eq!(area(line).expect("an area").name(), contract::attach::LIBRARY);
        assert_eq!(area("7f00-7f10 rw-p 00000000 00:00 0").expect("an area").path, "");
        assert_eq!(area("nothing of the kind"), None);
        let own = Areas::of(std::process::id()).expect("a mounted /proc");
        let here = own.at(area as *const () as u64).expect("this function is mapped");
        assert!(here.executable);
    }
}
