//! Folded stacks for inferno: `frame;frame;frame value`, outermost first.

use std::collections::BTreeMap;

use profile::{Frame, Profile};

/// Stacks with the sums of their positive values, sorted.
pub(crate) fn fold(profile: &Profile, column: usize) -> BTreeMap<String, u64> {
    let mut stacks: BTreeMap<String, u64> = BTreeMap::new();
    for sample in profile.samples() {
        let value = u64::try_from(sample.values[column]).unwrap_or_default();
        if value > 0 {
            let frames: Vec<Frame<'_>> = profile.frames(sample).collect();
            let sum = stacks.entry(stack(&frames)).or_default();
            *sum = sum.saturating_add(value);
        }
    }
    stacks
}

/// The names of a stack's frames, outermost first. The leaf is followed by its file and line,
/// because OpenSSL says exactly which line asked.
pub(crate) fn names(frames: &[Frame<'_>]) -> Vec<String> {
    let mut names: Vec<String> = frames.iter().rev().map(function_name).collect();
    names.extend(frames.first().and_then(site_name));
    if names.is_empty() {
        names.push("[unknown]".to_owned());
    }
    names
}

/// A frame's function as text that inferno takes for one frame.
pub(crate) fn function_name(frame: &Frame<'_>) -> String {
    match frame.function {
        "" if frame.address != 0 => format!("{:#x}", frame.address),
        "" => "[unknown]".to_owned(),
        function => plain(function),
    }
}

/// The leaf's file and line.
pub(crate) fn site_name(leaf: &Frame<'_>) -> Option<String> {
    match (leaf.file, leaf.line) {
        ("", _) => None,
        (file, 0) => Some(plain(file)),
        (file, line) => Some(format!("{}:{line}", plain(file))),
    }
}

fn stack(frames: &[Frame<'_>]) -> String {
    names(frames).join(";")
}

/// Takes out what has a meaning in folded stacks or none in XML: `;`, control characters, a
/// leading `#`, and a number at the end that would be taken for a value.
fn plain(name: &str) -> String {
    let mut text: String = name
        .trim()
        .chars()
        .map(|c| match c {
            ';' => ',',
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => ' ',
            c => c,
        })
        .collect();
    text.truncate(text.trim_end().len());
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
mod tests {
    use profile::{Function, Line, Location, Sample};

    use super::*;

    fn frame<'a>(function: &'a str, file: &'a str, line: u32) -> Frame<'a> {
        Frame { function, file, line, address: 0 }
    }

    #[test]
    fn the_outermost_frame_comes_first_and_the_site_last() {
        let frames =
            [frame("zlib_zalloc", "crypto/comp/c_zlib.c", 43), frame("SSL_accept", "ssl/x.c", 9)];
        assert_eq!(stack(&frames), "SSL_accept;zlib_zalloc;crypto/comp/c_zlib.c:43");
    }

    #[test]
    fn unnamed_frames_show_their_address() {
        let unnamed = Frame { function: "", file: "", line: 0, address: 0x4a0 };
        assert_eq!(stack(&[unnamed, frame("main", "", 0)]), "main;0x4a0");
        assert_eq!(stack(&[frame("", "", 0)]), "[unknown]");
        assert_eq!(stack(&[]), "[unknown]");
    }

    #[test]
    fn names_cannot_be_taken_for_separators_values_or_comments() {
        assert_eq!(plain("core::ptr::read<[u8; 8]>"), "core::ptr::read<[u8, 8]>");
        assert_eq!(plain("odd name 12"), "odd name_12");
        assert_eq!(plain("# comment"), "_# comment");
        assert_eq!(plain("line\nbreak\u{0}"), "line break");
    }

    #[test]
    fn equal_stacks_are_added_up_and_what_is_not_positive_is_left_out() {
        let mut profile = Profile::of_heap();
        for (name, bytes) in [("a", 5), ("b", 0), ("a", 6), ("c", -7)] {
            let function = profile.function(Function { name: name.into(), ..Function::default() });
            let lines = vec![Line { function, line: 1 }];
            let location = profile.location(Location { lines, ..Location::default() });
            let values = vec![1, bytes, 0, 0, 0, 0];
            profile.push(Sample { stack: vec![location], values, labels: Vec::new() });
        }
        assert_eq!(fold(&profile, 1), BTreeMap::from([("a".to_owned(), 11)]));
    }
}
