//! Names for code that a program compiles while it runs, out of the file that it writes about it
//! for Linux's perf: `/tmp/perf-PID.map`, a line for each piece of code.
//!
//! ```text
//! START SIZE name
//! 7f941f8449c0 378 JS:~welcome /srv/echo.js:11:17
//! ```
//!
//! Start and size are hexadecimal, the name is the rest of the line. Node writes the file with
//! `--perf-basic-prof`, Python since 3.12 with `-X perf`, Java and others with agents.

mod script_name;

use std::collections::BTreeMap;
use std::sync::Arc;

use self::script_name::script_name;
use super::frame::SymbolFrame;
use crate::error::quote;

/// The largest file that is read, in bytes; a large Node program writes some 50 MB.
pub const MAX_PERF_MAP_BYTES: u64 = 512 << 20;

/// What is in a perf map: the newest code at each address.
#[derive(Clone, Debug, Default)]
pub struct PerfMap {
    /// By start; pieces do not overlap.
    pieces: BTreeMap<u64, Piece>,
    foreign_lines: u64,
}

#[derive(Clone, Debug)]
struct Piece {
    end: u64,
    name: Arc<str>,
}

/// Why a text is no perf map.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PerfMapError {
    /// No line of it has the form.
    #[error(
        "{name} is not a perf map: expected lines of a start and a size, hexadecimal, and a name; \
         line 1 is {found}"
    )]
    Foreign {
        /// The file.
        name: String,
        /// The first line, quoted.
        found: String,
    },
}

impl PerfMap {
    /// Reads the content of a file called `name` in messages.
    ///
    /// Names may hold anything, ends of lines too, so a line of another form is passed over and
    /// counted. The last line is left out when it has no end: the program is writing it.
    pub fn parse(name: &str, bytes: &[u8]) -> Result<PerfMap, PerfMapError> {
        let mut map = PerfMap::default();
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        let lines = bytes[..whole].split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        for line in lines.clone() {
            match piece(line) {
                Some((start, end, name)) => map.add(start, end, name),
                None => map.foreign_lines += 1,
            }
        }
        match lines.clone().next() {
            Some(first) if map.pieces.is_empty() => Err(PerfMapError::Foreign {
                name: name.to_owned(),
                found: quote(&String::from_utf8_lossy(first)),
            }),
            _ => Ok(map),
        }
    }

    /// Lines that have another form.
    pub fn foreign_lines(&self) -> u64 {
        self.foreign_lines
    }

    /// The code at `address`.
    pub fn frame(&self, address: u64) -> Option<SymbolFrame> {
        let (_, piece) = self.pieces.range(..=address).next_back()?;
        (address < piece.end).then(|| script_name(&piece.name))
    }

    /// Code takes the place of what lay there before: none of that can still run.
    fn add(&mut self, start: u64, end: u64, name: Arc<str>) {
        if let Some((_, before)) = self.pieces.range_mut(..start).next_back() {
            before.end = before.end.min(start);
        }
        while let Some((&replaced, _)) = self.pieces.range(start..end).next() {
            self.pieces.remove(&replaced);
        }
        self.pieces.insert(start, Piece { end, name });
    }
}

/// Start, end and name of a line; `None` for a line of another form, or without any code.
fn piece(line: &[u8]) -> Option<(u64, u64, Arc<str>)> {
    let mut fields = line.splitn(3, |byte| *byte == b' ');
    let mut number = || {
        let digits = std::str::from_utf8(fields.next()?).ok()?;
        u64::from_str_radix(digits.strip_prefix("0x").unwrap_or(digits), 16).ok()
    };
    let (start, size) = (number()?, number()?);
    let end = start.checked_add(size).filter(|end| *end > start)?;
    let name = String::from_utf8_lossy(fields.next()?);
    let name = name.trim();
    (!name.is_empty()).then(|| (start, end, name.into()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn map(text: &str) -> PerfMap {
        PerfMap::parse("x", text.as_bytes()).expect("a perf map")
    }

    fn name(map: &PerfMap, address: u64) -> Option<String> {
        map.frame(address).map(|frame| frame.system_name)
    }

    #[test]
    fn an_address_has_the_name_of_the_code_around_it() {
        let map = map("1000 10 first one\n0x2000 0x1 second\n");
        assert_eq!(name(&map, 0xfff), None);
        assert_eq!(name(&map, 0x1000).unwrap(), "first one");
        assert_eq!(name(&map, 0x100f).unwrap(), "first one");
        assert_eq!(name(&map, 0x1010), None);
        assert_eq!(name(&map, 0x2000).unwrap(), "second");
        assert_eq!(name(&map, u64::MAX), None);
    }

    #[test]
    fn later_code_takes_the_place_of_what_it_covers() {
        let map = map("10 10 a\n20 10 b\n30 10 c\n40 10 d\n18 20 new\n");
        let names = [0x17, 0x18, 0x37, 0x38, 0x40].map(|address| name(&map, address));
        assert_eq!(names.map(Option::unwrap_or_default), ["a", "new", "new", "", "d"]);
    }

    #[test]
    fn a_line_that_is_being_written_is_left_out_and_a_foreign_one_counted() {
        let map = map("10 10 a\nhello world there\nffffffffffffffff 2 beyond\n20 0 nothing\n20 1");
        assert_eq!(map.foreign_lines(), 3);
        assert_eq!(name(&map, 0x20), None);
        assert_eq!(PerfMap::parse("x", b"").expect("nothing compiled yet").foreign_lines(), 0);
    }

    #[test]
    fn another_kind_of_file_is_refused_in_words() {
        let error = PerfMap::parse("/tmp/perf-1.map", b"\x7fELF and\nso on\n").expect_err("ELF");
        assert_eq!(
            error.to_string(),
            "/tmp/perf-1.map is not a perf map: expected lines of a start and a size, \
             hexadecimal, and a name; line 1 is \"\\u{7f}ELF and\""
        );
    }

    proptest! {
        #[test]
        fn the_newest_line_over_an_address_names_it(
            lines in prop::collection::vec((0_u64..64, 1_u64..16), 1..40),
            address in 0_u64..80,
        ) {
            let mut text = String::new();
            // What is at each address: a line's number, and where its code starts.
            let mut memory: Vec<Option<(usize, u64)>> = vec![None; 80];
            for (number, (start, size)) in lines.iter().enumerate() {
                text += &format!("{start:x} {size:x} {number}\n");
                for (place, held) in (0..).zip(&mut memory) {
                    let covered = |(_, at): (usize, u64)| {
                        (*start..start + size).contains(&at) || at < *start && *start <= place
                    };
                    if held.is_some_and(covered) {
                        *held = None;
                    }
                    if (*start..start + size).contains(&place) {
                        *held = Some((number, *start));
                    }
                }
            }
            let expected = memory[address as usize].map(|(number, _)| number.to_string());
            prop_assert_eq!(name(&map(&text), address), expected);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>, address: u64) {
            if let Ok(map) = PerfMap::parse("x", &bytes) {
                map.frame(address);
            }
        }
    }
}
