//! DHAT's files: valgrind's heap profiler writes them, and the crate `dhat` of Rust programs.
//!
//! ```text
//! {"dhatFileVersion":2, "mode":"heap", …
//!  "pps": [{"tb":2199000, "tbk":2000,         bytes and blocks ever allocated on a stack
//!           "gb":2199000, "gbk":2000,         in use at the highest total
//!           "eb":1599500, "ebk":1000,         in use at the end
//!           "fs":[1,2,3]}],                   the stack, innermost frame first
//!  "ftbl": ["[root]", "0x48417B4: malloc (in /usr/lib/vgpreload_dhat.so)", "0x109177: make (t.c:4)"]}
//! ```
//!
//! Every block is counted. What the end is, is the program's end unless it says otherwise.

use serde::Deserialize;

use crate::allocator_frames::without_allocator;
use crate::column_sums::{ColumnSums, SUMS_IN_RANGE};
use crate::error::{Position, quote};
use crate::room::{ENTRY, Room};
use crate::{
    Function, Line, Location, LocationId, Metric, Profile, ReadError, Sample, ValueType,
    source_path,
};

/// What is in every such file, near its beginning.
const SIGN: &[u8] = b"\"dhatFileVersion\"";

/// The only version there has been since the format is JSON.
const VERSION: u64 = 2;

/// As far as the sign is looked for.
const HEAD: usize = 4096;

#[derive(Deserialize)]
struct File {
    #[serde(rename = "dhatFileVersion")]
    version: u64,
    mode: String,
    pps: Vec<Point>,
    ftbl: Vec<String>,
}

/// What was allocated on one stack.
#[derive(Deserialize)]
struct Point {
    tb: u64,
    tbk: u64,
    gb: Option<u64>,
    gbk: Option<u64>,
    eb: Option<u64>,
    ebk: Option<u64>,
    fs: Vec<u32>,
}

impl Point {
    /// In the order of [`Metric::ALL`].
    fn values(&self) -> [u64; 6] {
        let known = Option::unwrap_or_default;
        [known(self.ebk), known(self.eb), self.tbk, self.tb, known(self.gbk), known(self.gb)]
    }
}

/// Whether a file that begins like this is one of DHAT's.
pub(crate) fn begins_like_one(bytes: &[u8]) -> bool {
    let head = &bytes[..bytes.len().min(HEAD)];
    head.trim_ascii_start().starts_with(b"{") && has(head, SIGN)
}

fn has(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|window| window == part)
}

/// Reads a file of heap memory. `name` is what errors call it.
pub fn read(bytes: &[u8], name: &str) -> Result<Profile, ReadError> {
    read_within(bytes, name, Room::of_file(bytes.len() as u64))
}

/// Reads what came out of a file with this room.
pub(crate) fn read_within(bytes: &[u8], name: &str, mut room: Room) -> Result<Profile, ReadError> {
    let malformed = |position, expected: &str, found: String| ReadError::Malformed {
        name: name.to_owned(),
        position,
        expected: expected.to_owned(),
        found,
    };
    let file: File = serde_json::from_slice(bytes).map_err(|error| {
        malformed(Position::Line(error.line() as u64), "a file of DHAT", error.to_string())
    })?;
    let first_line = Position::Line(1);
    if file.version != VERSION {
        return Err(malformed(first_line, "version 2 of DHAT's files", file.version.to_string()));
    }
    if !["heap", "rust-heap"].contains(&file.mode.as_str()) {
        return Err(malformed(first_line, "DHAT's mode heap", quote(&file.mode)));
    }
    // Without the lifetimes of blocks it knows what was allocated alone.
    let knows_in_use = file.pps.first().is_some_and(|point| point.eb.is_some());
    let columns: Vec<usize> = if knows_in_use { (0..6).collect() } else { vec![2, 3] };
    let types = columns.iter().map(|at| Metric::ALL[*at]);
    let types =
        types.map(|it| ValueType { kind: it.kind().to_owned(), unit: it.unit().to_owned() });
    let mut profile = Profile::new(types.collect(), Some(1));
    let frames: Vec<Place<'_>> = file.ftbl.iter().map(|text| Place::of(text)).collect();
    let mut known: Vec<Option<LocationId>> = vec![None; frames.len()];
    let mut sums = ColumnSums::new(columns.len());
    for point in &file.pps {
        let all = point.values();
        let values: Option<Vec<i64>> =
            columns.iter().map(|at| i64::try_from(all[*at]).ok()).collect();
        let values = values
            .filter(|values| sums.add(values).is_some())
            .ok_or_else(|| malformed(first_line, SUMS_IN_RANGE, "a larger one".to_owned()))?;
        let of_stack = size_of::<LocationId>() * point.fs.len() + size_of::<i64>() * values.len();
        room.take((size_of::<Sample>() + of_stack) as u64 + ENTRY, name)?;
        let mut stack = Vec::with_capacity(point.fs.len());
        for at in &point.fs {
            let at = *at as usize;
            let Some(place) = frames.get(at) else {
                let expected = format!("a frame below {}", frames.len());
                return Err(malformed(first_line, &expected, at.to_string()));
            };
            // What all stacks hang on, and what replaces malloc in the program.
            let is_dhats = place.name == "[root]" || place.object.contains("vgpreload_");
            if is_dhats && stack.is_empty() {
                continue;
            }
            if known[at].is_none() {
                room.take(place.bytes() + ENTRY, name)?;
            }
            stack.push(*known[at].get_or_insert_with(|| place.location(&mut profile)));
        }
        let stack = without_allocator(&mut profile, &stack);
        profile.push(Sample { stack, values, labels: Vec::new() });
    }
    if profile.samples().is_empty() {
        let expected = "what was allocated, by stack";
        return Err(ReadError::Empty { name: name.to_owned(), expected });
    }
    Ok(profile)
}

/// `0x109177: make (t.c:4)`, `0x48417B4: malloc (in /usr/lib/x.so)` or `0x12: ???`.
struct Place<'a> {
    address: u64,
    /// Empty where it is not known.
    name: &'a str,
    file: &'a str,
    line: u32,
    /// The program's file that it lies in, where neither source nor line are known.
    object: &'a str,
}

impl<'a> Place<'a> {
    fn of(text: &'a str) -> Place<'a> {
        let numbered = text.split_once(": ").and_then(|(address, rest)| {
            let digits = address.strip_prefix("0x")?;
            Some((u64::from_str_radix(digits, 16).ok()?, rest))
        });
        let (address, rest) = numbered.unwrap_or((0, text));
        // A name of C++ may have brackets of its own.
        let (name, place) = match rest.strip_suffix(')').and_then(|rest| rest.rsplit_once(" (")) {
            Some((name, place)) => (name, place),
            None => (rest, ""),
        };
        let name = if name == "???" { "" } else { name };
        if let Some(object) = place.strip_prefix("in ") {
            return Place { address, name, file: "", line: 0, object };
        }
        let (file, line) = file_and_line(place);
        Place { address, name, file, line, object: "" }
    }

    /// What its texts take.
    fn bytes(&self) -> u64 {
        let texts = 2 * self.name.len() + self.file.len() + self.object.len();
        (texts + size_of::<Location>() + size_of::<Function>() + size_of::<Line>()) as u64
    }

    fn location(&self, profile: &mut Profile) -> LocationId {
        let name = match self.name {
            "" if self.object.is_empty() => {
                return profile.location(Location { address: self.address, ..Location::default() });
            }
            "" => {
                let object = self.object.rsplit('/').next().unwrap_or(self.object);
                format!("{object}+{:#x}", self.address)
            }
            name => name.to_owned(),
        };
        let file = source_path::of_debug_information(self.file);
        let function = profile.function(Function { system_name: name.clone(), name, file });
        let lines = vec![Line { function, line: self.line }];
        profile.location(Location { mapping: None, address: self.address, lines })
    }
}

/// `t.c:4`, or as the crate has it `src/main.rs:4:9`.
fn file_and_line(place: &str) -> (&str, u32) {
    let numbered = |text: &str| -> Option<(usize, u32)> {
        let (file, number) = text.rsplit_once(':')?;
        Some((file.len(), number.parse().ok()?))
    };
    let Some((end, last)) = numbered(place) else { return (place, 0) };
    match numbered(&place[..end]) {
        Some((end, line)) => (&place[..end], line),
        None => (&place[..end], last),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As valgrind 3.19 has it, but for the lines that are left out here.
    const FILE: &str = r#"{"dhatFileVersion":2
,"mode":"heap","verb":"Allocated"
,"bklt":true,"bkacc":true
,"pid":24954
,"pps":
 [{"tb":2199000,"tbk":2000
  ,"mb":100,"mbk":1
  ,"gb":2199000,"gbk":2000
  ,"eb":1599500,"ebk":1000
  ,"acc":[1,2]
  ,"fs":[1,2,3]
  }
 ,{"tb":4096,"tbk":1,"gb":0,"gbk":0,"eb":0,"ebk":0,"fs":[1,4,5]}
 ]
,"ftbl":
 ["[root]"
 ,"0x48417B4: malloc (in /usr/libexec/valgrind/vgpreload_dhat-amd64-linux.so)"
 ,"0x109177: make (t.c:4)"
 ,"0x1091B2: operator new(unsigned long (*)[3]) (src/new.cpp:6:17)"
 ,"0x48D08CB: ??? (in /usr/lib/libz.so.1)"
 ,"0x10: ???"
 ]
}
"#;

    fn error_of(text: &str) -> String {
        read(text.as_bytes(), "dhat.out").unwrap_err().to_string()
    }

    #[test]
    fn stacks_begin_behind_dhats_own_malloc_and_have_what_is_known_of_each_place() {
        let profile = read(FILE.as_bytes(), "dhat.out").unwrap();
        let frames = |at: usize| -> Vec<_> {
            let sample = &profile.samples()[at];
            profile.frames(sample).map(|it| (it.function, it.file, it.line, it.address)).collect()
        };
        assert_eq!(
            frames(0),
            [
                ("make", "t.c", 4, 0x10_9177),
                ("operator new(unsigned long (*)[3])", "src/new.cpp", 6, 0x10_91b2),
            ]
        );
        assert_eq!(frames(1), [("libz.so.1+0x48d08cb", "", 0, 0x48d_08cb), ("", "", 0, 0x10)]);
        let values = &profile.samples()[0].values;
        assert_eq!(*values, [1_000, 1_599_500, 2_000, 2_199_000, 2_000, 2_199_000]);
        assert_eq!(profile.column(Metric::PeakSpace), Some(5));
    }

    #[test]
    fn without_lifetimes_only_what_was_allocated_is_known() {
        let text = r#"{"dhatFileVersion":2,"mode":"heap","pps":[{"tb":9,"tbk":2,"fs":[1]}],
                       "ftbl":["[root]","0x1: f (x.c:3)"]}"#;
        let profile = read(text.as_bytes(), "dhat.out").unwrap();
        assert_eq!(profile.samples()[0].values, [2, 9]);
        assert_eq!(profile.column(Metric::AllocSpace), Some(1));
        assert_eq!(profile.column(Metric::InuseSpace), None);
    }

    #[test]
    fn what_is_wrong_is_said() {
        assert!(
            error_of(&FILE.replace("\"mode\":\"heap\"", "\"mode\":\"copy\""))
                .ends_with("expected DHAT's mode heap, found \"copy\"")
        );
        assert!(
            error_of(&FILE.replace("Version\":2", "Version\":3"))
                .ends_with("expected version 2 of DHAT's files, found 3")
        );
        assert!(
            error_of(&FILE.replace("[1,4,5]", "[1,4,99]"))
                .ends_with("expected a frame below 6, found 99")
        );
        let most = u64::MAX.to_string();
        assert!(error_of(&FILE.replace("4096", &most)).contains("below 2^63"));
        assert!(error_of(&FILE[..300]).contains("is damaged at line"));
        let none = r#"{"dhatFileVersion":2,"mode":"heap","pps":[],"ftbl":[]}"#;
        assert!(error_of(none).starts_with("dhat.out is empty"));
    }
}
