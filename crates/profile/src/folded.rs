//! Folded stacks: one stack a line, `outermost;inner;innermost 42`.
//!
//! Names are all that the format keeps: addresses, labels and the other columns are lost in
//! writing. The innermost frame is followed by its file and line as one frame more, because
//! OpenSSL says exactly which line asked. What has a meaning in the format is taken out of names.

use std::io::{self, BufRead, Write};
use std::mem::size_of;

use crate::column_sums::{ColumnSums, SUMS_IN_RANGE};
use crate::error::quote;
use crate::room::{ENTRY, Room};
use crate::text_lines::TextLines;
use crate::{Function, Line, Location, LocationId, Profile, ReadError, Sample, ValueType};

mod names;
mod stacks;

pub use self::names::{UNKNOWN, function_name, site_name};
pub use self::stacks::{Amount, NameId, Stack, Stacks};

/// What a line should look like.
const EXPECTED_LINE: &str = "`frame;frame;frame integer`";

/// Reads folded stacks. The format does not say what it counts; `value_type` does.
pub fn read(text: impl BufRead, name: &str, value_type: ValueType) -> Result<Profile, ReadError> {
    read_within(text, name, value_type, Room::of_file(u64::MAX))
}

/// Reads folded stacks that came out of a file with this room.
pub(crate) fn read_within(
    text: impl BufRead,
    name: &str,
    value_type: ValueType,
    mut room: Room,
) -> Result<Profile, ReadError> {
    let mut profile = Profile::new(vec![value_type], Some(0));
    let mut sums = ColumnSums::new(1);
    let mut lines = TextLines::of(text, name);
    while lines.advance()? {
        let line = lines.line();
        let malformed = |expected: &str, found: String| lines.error(expected, found);
        let line = line.strip_suffix('\r').unwrap_or(line);
        if line.trim().is_empty() {
            continue;
        }
        let (stack, value) = line
            .trim_end()
            .rsplit_once(' ')
            .ok_or_else(|| malformed(EXPECTED_LINE, quote(line)))?;
        let value: i64 = value
            .parse()
            .map_err(|_| malformed("an integer after the last space", quote(value)))?;
        sums.add(&[value]).ok_or_else(|| malformed(SUMS_IN_RANGE, "a larger one".to_owned()))?;
        let mut frames = Vec::new();
        // Names that are new are copied twice, those that are known are in a list.
        let of_frames = 2 * line.len() + size_of::<LocationId>() * stack.matches(';').count();
        room.take((size_of::<Sample>() + of_frames) as u64 + ENTRY, name)?;
        // heaptrack ends each stack with a separator.
        let stack = stack.strip_suffix(';').unwrap_or(stack);
        for frame in stack.split(';').rev() {
            if frame.is_empty() {
                return Err(malformed("a name for each frame", quote(line)));
            }
            frames.push(named(&mut profile, frame));
        }
        profile.push(Sample { stack: frames, values: vec![value], labels: Vec::new() });
    }
    if profile.samples().is_empty() {
        let expected = "folded stacks, one a line";
        return Err(ReadError::Empty { name: name.to_owned(), expected });
    }
    Ok(profile)
}

/// The stacks of one column as text: each stack once, lines in order, stacks of 0 left out.
///
/// # Panics
///
/// When the profile has no such column.
pub fn write(profile: &Profile, column: usize) -> String {
    let mut text = Vec::new();
    write_to(&mut text, profile, column).expect("a vector takes everything");
    String::from_utf8(text).expect("written from strings")
}

/// Writes what [`write()`] returns line by line: the text of a large profile may be many times
/// larger than the profile.
///
/// # Panics
///
/// When the profile has no such column.
pub fn write_to(
    to: &mut (impl Write + ?Sized),
    profile: &Profile,
    column: usize,
) -> io::Result<()> {
    let stacks = Stacks::of([(profile, column)]);
    for Stack { frames, amounts: [amount], .. } in stacks.iter() {
        if amount.sum == 0 {
            continue;
        }
        // A line may be longer than there is memory: frames have their names in common.
        for (at, frame) in frames.enumerate() {
            if at > 0 {
                to.write_all(b";")?;
            }
            to.write_all(stacks.name(frame).as_bytes())?;
        }
        writeln!(to, " {}", amount.sum)?;
    }
    Ok(())
}

fn named(profile: &mut Profile, name: &str) -> LocationId {
    let function = profile.function(Function {
        name: name.to_owned(),
        system_name: name.to_owned(),
        file: String::new(),
    });
    profile.location(Location { lines: vec![Line { function, line: 0 }], ..Location::default() })
}

#[cfg(test)]
mod tests;
