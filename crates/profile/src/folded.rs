//! Folded stacks: one stack a line, `outermost;inner;innermost 42`.
//!
//! Names are all that the format keeps: addresses, labels and the other columns are lost in
//! writing. The innermost frame is followed by its file and line as one frame more, because
//! OpenSSL says exactly which line asked. What has a meaning in the format is taken out of names.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::io::{self, BufRead, Write};

use crate::column_sums::{ColumnSums, SUMS_IN_RANGE};
use crate::error::quote;
use crate::interner::Interner;
use crate::text_lines::TextLines;
use crate::{
    Frame, Function, Line, Location, LocationId, Profile, ReadError, Sample, Uncertainty, ValueType,
};

/// What a frame without a name is called.
pub const UNKNOWN: &str = "[unknown]";

/// What a line should look like.
const EXPECTED_LINE: &str = "`frame;frame;frame integer`";

/// Reads folded stacks. The format does not say what it counts; `value_type` does.
pub fn read(text: impl BufRead, name: &str, value_type: ValueType) -> Result<Profile, ReadError> {
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

/// As [`write()`], line by line: the text of a large profile may be many times larger than it.
///
/// # Panics
///
/// When the profile has no such column.
pub fn write_to(
    to: &mut (impl Write + ?Sized),
    profile: &Profile,
    column: usize,
) -> io::Result<()> {
    stacks(profile, column)
        .filter(|(_, amount)| amount.sum != 0)
        .try_for_each(|(stack, amount)| writeln!(to, "{stack} {}", amount.sum))
}

/// What the samples of one stack hold together.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Amount {
    /// The sum of their values.
    pub sum: i64,
    /// How far off it may be; nothing where it is exact.
    pub off: Uncertainty,
}

impl Amount {
    /// What is known to be nothing, where an estimate of 0 may be more.
    fn is_nothing(self) -> bool {
        self == Amount::default()
    }
}

/// The stacks of one column with what they hold, in order; stacks that hold nothing are left out.
///
/// # Panics
///
/// When the profile has no such column.
pub fn stacks(profile: &Profile, column: usize) -> Stacks {
    let mut texts = Texts::default();
    let off = profile.uncertainty(column);
    let amount = |sample: &Sample| Amount { sum: sample.values[column], off: off(sample) };
    let mut stacks: Vec<(Vec<TextId>, Amount)> = profile
        .samples()
        .iter()
        .map(|sample| (sample, amount(sample)))
        .filter(|(_, amount)| !amount.is_nothing())
        .map(|(sample, amount)| (texts.of_stack(profile, sample), amount))
        .collect();
    stacks.sort_by(|(one, _), (other, _)| texts.compare(one, other));
    stacks.dedup_by(|(later, amount), (kept, all)| {
        let same = texts.compare(later, kept).is_eq();
        if same {
            all.sum = all.sum.saturating_add(amount.sum);
            all.off = all.off.and(amount.off);
        }
        same
    });
    stacks.retain(|(_, amount)| !amount.is_nothing());
    Stacks { texts, stacks: stacks.into_iter() }
}

/// Stacks that become text one after the other; see [`stacks`].
pub struct Stacks {
    texts: Texts,
    stacks: std::vec::IntoIter<(Vec<TextId>, Amount)>,
}

impl Stacks {
    /// The sums of those that have not become text yet, in their order.
    pub fn sums(&self) -> impl Iterator<Item = i64> {
        self.stacks.as_slice().iter().map(|(_, amount)| amount.sum)
    }
}

impl Iterator for Stacks {
    type Item = (String, Amount);

    fn next(&mut self) -> Option<(String, Amount)> {
        let (stack, amount) = self.stacks.next()?;
        Some((self.texts.joined(&stack), amount))
    }
}

/// A frame's function as text that readers of the format take for one frame.
pub fn function_name(frame: &Frame<'_>) -> String {
    let name = plain(frame.function);
    match name.as_str() {
        "" if frame.address != 0 => format!("{:#x}", frame.address),
        "" => UNKNOWN.to_owned(),
        _ => name,
    }
}

/// The file and line of a stack's innermost frame, as a frame of its own.
pub fn site_name(leaf: &Frame<'_>) -> Option<String> {
    match (plain(leaf.file), leaf.line) {
        (file, _) if file.is_empty() => None,
        (file, 0) => Some(file),
        (file, line) => Some(format!("{file}:{line}")),
    }
}

/// What is written for locations and sites. Stacks have most of theirs in common: they are sorted
/// as numbers of texts, and become text one at a time. Equal texts have one number, so that the
/// same code at several addresses is the same here.
#[derive(Default)]
struct Texts {
    all: Interner<String>,
    of_location: HashMap<LocationId, TextId>,
    of_site: HashMap<LocationId, TextId>,
}

type TextId = u32;

impl Texts {
    /// The texts that make up a stack: of each location its frames, outermost first, with a `;`
    /// before each; then the site in the same way, or nothing.
    fn of_stack(&mut self, profile: &Profile, sample: &Sample) -> Vec<TextId> {
        let mut stack = Vec::with_capacity(sample.stack.len() + 1);
        for id in sample.stack.iter().rev() {
            let text = self.of_location.entry(*id).or_insert_with(|| {
                let frames: Vec<_> = profile.frames_of(*id).collect();
                let names = frames.iter().rev().map(function_name);
                self.all.intern(names.fold(String::new(), |text, name| text + ";" + &name))
            });
            stack.push(*text);
        }
        match sample.stack.first() {
            None => stack.push(self.all.intern(format!(";{UNKNOWN}"))),
            Some(leaf) => stack.push(*self.of_site.entry(*leaf).or_insert_with(|| {
                let site = profile.frames_of(*leaf).next().as_ref().and_then(site_name);
                self.all.intern(site.map_or_else(String::new, |site| format!(";{site}")))
            })),
        }
        stack
    }

    /// The order of the stacks' texts.
    fn compare(&self, one: &[TextId], other: &[TextId]) -> Ordering {
        let same = one.iter().zip(other).take_while(|(one, other)| one == other).count();
        let (one, other) = (&one[same..], &other[same..]);
        if let ([one, ..], [other, ..]) = (one, other) {
            // The first texts that differ decide, unless one of them begins with the other.
            let (one, other) = (self.text(*one).as_bytes(), self.text(*other).as_bytes());
            let both = one.len().min(other.len());
            match one[..both].cmp(&other[..both]) {
                Ordering::Equal => {}
                decided => return decided,
            }
        }
        self.bytes(one).cmp(self.bytes(other))
    }

    fn bytes<'a>(&'a self, stack: &'a [TextId]) -> impl Iterator<Item = u8> + 'a {
        stack.iter().flat_map(|id| self.text(*id).bytes())
    }

    fn joined(&self, stack: &[TextId]) -> String {
        let text: String = stack.iter().map(|id| self.text(*id)).collect();
        text[1..].to_owned()
    }

    fn text(&self, id: TextId) -> &str {
        &self.all.values()[id as usize]
    }
}

fn named(profile: &mut Profile, name: &str) -> LocationId {
    let function = profile.function(Function {
        name: name.to_owned(),
        system_name: name.to_owned(),
        file: String::new(),
    });
    profile.location(Location { lines: vec![Line { function, line: 0 }], ..Location::default() })
}

/// Takes out what has a meaning in folded stacks or none in XML: `;`, control characters, a
/// leading `#`, and a number at the end that would be taken for a value.
fn plain(name: &str) -> String {
    let text: String = name
        .chars()
        .map(|c| match c {
            ';' => ',',
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => ' ',
            c => c,
        })
        .collect();
    let mut text = text.trim().to_owned();
    if text.starts_with('#') {
        text.insert(0, '_');
    }
    if let Some(space) = text.rfind(' ')
        && text[space + 1..].chars().all(|c| c.is_ascii_digit() || c == '.')
    {
        text.replace_range(space..=space, "_");
    }
    text
}

#[cfg(test)]
mod tests;
