//! Folded stacks: one stack a line, `outermost;inner;innermost 42`.
//!
//! Names are all that the format keeps: addresses, files, lines, labels and the other columns are
//! lost in writing. Within a name, `;` becomes `:` and control characters become spaces.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::column_sums::{ColumnSums, SUMS_IN_RANGE};
use crate::error::quote;
use crate::{Function, Line, Location, Position, Profile, ReadError, Sample, ValueType};

/// What a frame without a name is called.
pub const UNKNOWN: &str = "[unknown]";

/// What a line should look like.
const EXPECTED_LINE: &str = "`frame;frame;frame integer`";

/// Reads folded stacks. The format does not say what it counts; `value_type` does.
pub fn read(bytes: &[u8], name: &str, value_type: ValueType) -> Result<Profile, ReadError> {
    let mut profile = Profile::new(vec![value_type], Some(0));
    let mut sums = ColumnSums::new(1);
    for (number, line) in (1..).zip(bytes.split(|byte| *byte == b'\n')) {
        let malformed = |expected: &str, found: String| ReadError::Malformed {
            name: name.to_owned(),
            position: Position::Line(number),
            expected: expected.to_owned(),
            found,
        };
        let line = std::str::from_utf8(line)
            .map_err(|error| malformed("text in UTF-8", error.to_string()))?;
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

/// The stacks of one column, each stack once, lines in order, stacks of 0 left out.
///
/// # Panics
///
/// When the profile has no such column.
pub fn write(profile: &Profile, column: usize) -> String {
    let mut stacks: BTreeMap<String, i64> = BTreeMap::new();
    for sample in profile.samples() {
        let frames: Vec<_> = profile.frames(sample).map(|frame| frame.function).collect();
        let mut stack = String::new();
        for frame in frames.into_iter().rev() {
            if !stack.is_empty() {
                stack.push(';');
            }
            push_name(&mut stack, frame);
        }
        if stack.is_empty() {
            stack.push_str(UNKNOWN);
        }
        let sum = stacks.entry(stack).or_default();
        *sum = sum.saturating_add(sample.values[column]);
    }
    let mut text = String::new();
    for (stack, sum) in stacks.into_iter().filter(|(_, sum)| *sum != 0) {
        let _ = writeln!(text, "{stack} {sum}"); // a String takes everything
    }
    text
}

fn named(profile: &mut Profile, name: &str) -> crate::LocationId {
    let function = profile.function(Function {
        name: name.to_owned(),
        system_name: name.to_owned(),
        file: String::new(),
    });
    profile.location(Location { lines: vec![Line { function, line: 0 }], ..Location::default() })
}

/// Adds a frame's name in the characters that the format can hold.
fn push_name(stack: &mut String, name: &str) {
    if name.is_empty() {
        stack.push_str(UNKNOWN);
    }
    stack.extend(name.chars().map(|c| match c {
        ';' => ':',
        c if c.is_control() => ' ',
        c => c,
    }));
}

#[cfg(test)]
mod tests;
