//! `/proc/PID/smaps`: the memory areas of a process, and how much of each is resident.
//!
//! ```text
//! 7f18ab003000-7f18ab029000 r--p 00000000 fe:00 18504     /usr/lib/x86_64-linux-gnu/libc.so.6
//! Size:                152 kB
//! Rss:                 152 kB
//! …
//! VmFlags: rd mr mw me sd
//! ```

use crate::error::quote;
use crate::{Position, ReadError};

/// One memory area.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemoryArea {
    /// First address.
    pub start: u64,
    /// Address after the last byte.
    pub end: u64,
    /// For example `rw-p`: what the process may do there, and whether it shares the area.
    pub permissions: String,
    /// The file's path, `[heap]` and the like, or empty.
    pub name: String,
    /// Bytes of it in memory.
    pub resident_bytes: u64,
    /// The same, where a page that several processes have is divided among them.
    pub proportional_bytes: u64,
    /// Bytes of it in memory that are in no file: of a file's area those that were written to.
    pub anonymous_bytes: u64,
    /// The kernel's two-letter flags.
    pub flags: Vec<String>,
}

impl MemoryArea {
    /// Bytes of address space.
    pub fn bytes(&self) -> u64 {
        self.end - self.start
    }

    /// Whether the kernel has set a flag, such as `nr` for memory that is not reserved ahead.
    pub fn has_flag(&self, flag: &str) -> bool {
        self.flags.iter().any(|has| has == flag)
    }
}

/// Reads the areas, in the order of their addresses. `name` is what errors call the file.
pub fn parse(text: &str, name: &str) -> Result<Vec<MemoryArea>, ReadError> {
    let malformed = |number: usize, expected: &str, found: String| ReadError::Malformed {
        name: name.to_owned(),
        position: Position::Line(number as u64 + 1),
        expected: expected.to_owned(),
        found,
    };
    let mut areas: Vec<MemoryArea> = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let first = line.split_ascii_whitespace().next().unwrap_or_default();
        let Some(field) = first.strip_suffix(':') else {
            let expected = "a memory area as in /proc/PID/maps, or a field and its value";
            let area = area(line).ok_or_else(|| malformed(number, expected, quote(line)))?;
            if areas.last().is_some_and(|before| before.end > area.start) {
                let expected = "an area behind the one before it";
                return Err(malformed(number, expected, quote(line)));
            }
            areas.push(area);
            continue;
        };
        let value = line.trim_ascii_start()[first.len()..].trim_ascii();
        let Some(area) = areas.last_mut() else {
            return Err(malformed(number, "a memory area before its fields", quote(line)));
        };
        let room = area.bytes();
        let bytes = || {
            let bytes = kilobytes(value).filter(|bytes| *bytes <= room);
            bytes.ok_or_else(|| malformed(number, "kilobytes that fit into the area", quote(line)))
        };
        match field {
            "Rss" => area.resident_bytes = bytes()?,
            "Pss" => area.proportional_bytes = bytes()?,
            "Anonymous" => area.anonymous_bytes = bytes()?,
            "VmFlags" => {
                area.flags = value.split_ascii_whitespace().map(str::to_owned).collect();
            }
            _ => {}
        }
    }
    if areas.is_empty() {
        let expected = "the memory areas of a process";
        return Err(ReadError::Empty { name: name.to_owned(), expected });
    }
    Ok(areas)
}

fn area(line: &str) -> Option<MemoryArea> {
    let mut rest = line;
    let mut word = || {
        let (word, after) = rest.split_once(' ').unwrap_or((rest, ""));
        rest = after.trim_start();
        word
    };
    let (range, permissions) = (word(), word());
    let (_offset, _device, _inode) = (word(), word(), word());
    let (start, end) = range.split_once('-')?;
    let (start, end) = (hexadecimal(start)?, hexadecimal(end)?);
    let well_formed = start < end && permissions.len() == 4 && permissions.is_ascii();
    well_formed.then(|| MemoryArea {
        start,
        end,
        permissions: permissions.to_owned(),
        name: rest.to_owned(),
        ..MemoryArea::default()
    })
}

/// `152 kB` in bytes.
fn kilobytes(value: &str) -> Option<u64> {
    let digits = value.strip_suffix(" kB")?;
    // `parse` would take a sign.
    let number: u64 =
        digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse().ok())??;
    number.checked_mul(1024)
}

fn hexadecimal(text: &str) -> Option<u64> {
    // `from_str_radix` would take a sign.
    text.bytes()
        .all(|byte| byte.is_ascii_hexdigit())
        .then(|| u64::from_str_radix(text, 16).ok())
        .flatten()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TEXT: &str = "\
5647c0135000-5647c047f000 r--p 00000000 fe:00 18504      /opt/a b/tlsheap (deleted)
Size:               3368 kB
Rss:                3104 kB
Pss:                1552 kB
Anonymous:             8 kB
THPeligible:           0
VmFlags: rd mr mw me\u{20}
7f18a57ff000-7f18a5800000 ---p 00000000 00:00 0\u{20}
Rss:                   0 kB
VmFlags: mr mw me nr
7ffc00317000-7ffc00338000 rw-p 00000000 00:00 0                          [stack]
Rss:                  40 kB
";

    #[test]
    fn areas_have_names_resident_bytes_and_flags() {
        let areas = parse(TEXT, "smaps").unwrap();
        assert_eq!(areas.len(), 3);
        assert_eq!(areas[0].name, "/opt/a b/tlsheap (deleted)");
        assert_eq!((areas[0].bytes(), areas[0].resident_bytes), (3368 << 10, 3104 << 10));
        assert_eq!((areas[0].proportional_bytes, areas[0].anonymous_bytes), (1552 << 10, 8 << 10));
        assert_eq!(areas[0].permissions, "r--p");
        assert!(areas[0].has_flag("me") && !areas[0].has_flag("nr"));
        assert_eq!((areas[1].name.as_str(), areas[1].start), ("", 0x7f18_a57f_f000));
        assert!(areas[1].has_flag("nr"));
        assert_eq!((areas[2].name.as_str(), areas[2].resident_bytes), ("[stack]", 40 << 10));
    }

    #[test]
    fn what_is_wrong_is_named_with_its_line() {
        let said = |text: &str| parse(text, "smaps").unwrap_err().to_string();
        for (bad, line, expected) in [
            ("Rss: 1 kB\n", 1, "a memory area before its fields"),
            ("1000-2000 rw-p 0 0:0 0\nRss: 5 kB\n", 2, "kilobytes that fit into the area"),
            ("1000-2000 rw-p 0 0:0 0\nRss: -1 kB\n", 2, "kilobytes that fit into the area"),
            ("1000-2000 rw-p 0 0:0 0\nRss: 1 MB\n", 2, "kilobytes that fit into the area"),
            ("1000-2000 rw-p 0 0:0 0\n1fff-3000 rw-p 0 0:0 0\n", 2, "an area behind the one"),
            ("2000-1000 rw-p 0 0:0 0\n", 1, "a memory area as in /proc/PID/maps"),
            ("+1000-2000 rw-p 0 0:0 0\n", 1, "a memory area as in /proc/PID/maps"),
            ("nonsense\n", 1, "a memory area as in /proc/PID/maps"),
            // White space to Unicode, but not to ASCII.
            ("1000-2000 rw-p 0 0:0 0\n\u{b}\u{b}p:\nnonsense\n", 3, "a memory area as in"),
        ] {
            let said = said(bad);
            let beginning = format!("smaps is damaged at line {line}: expected {expected}");
            assert!(said.starts_with(&beginning), "{said}");
        }
        assert_eq!(said(""), "smaps is empty: expected the memory areas of a process");
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[0-9a-f -]{0,40}|(\\PC|\n){0,200}") {
            let _ = parse(&text, "smaps");
            let _ = parse(&format!("{TEXT}{text}"), "smaps");
        }
    }
}
