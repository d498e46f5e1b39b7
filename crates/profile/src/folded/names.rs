//! What a frame is called in folded stacks.

use crate::Frame;
use crate::harmless::is_harmful;

/// What a frame without a name is called.
pub const UNKNOWN: &str = "[unknown]";

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

/// Takes out what has a meaning in folded stacks, none in XML, or too much on a terminal: `;`,
/// characters that [`is_harmful`], a leading `#`, and a number at the end that would be taken for a
/// value.
fn plain(name: &str) -> String {
    let text: String = name
        .chars()
        .map(|c| match c {
            ';' => ',',
            c if is_harmful(c) => ' ',
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
mod tests {
    use super::*;

    #[test]
    fn names_cannot_be_taken_for_separators_values_or_comments() {
        assert_eq!(plain("core::ptr::read<[u8; 8]>"), "core::ptr::read<[u8, 8]>");
        assert_eq!(plain("odd name 12"), "odd name_12");
        assert_eq!(plain("# comment"), "_# comment");
        assert_eq!(plain("line\nbreak\u{0}"), "line break");
    }
}
