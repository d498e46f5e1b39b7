//! Text of strangers, made harmless before a terminal or a picture gets it.
//!
//! Names of functions, files, modules, processes and commands come from programs and files that
//! nobody here has written. On a terminal, some characters in them are orders: to set its title, to
//! hide or rewrite what was printed, to ring. In SVG they break the file, and others turn the text
//! around them so that it says something else.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Whether a character is not to be printed as it is: control characters of both blocks, what
/// breaks lines, what changes the direction of text, and what XML may not hold.
pub fn is_harmful(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{61c}'
                | '\u{200e}'
                | '\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2066}'..='\u{2069}'
                | '\u{fffe}'
                | '\u{ffff}'
        )
}

/// A name on its line: each character that [`is_harmful`] is written as its number, `\u{1b}`, line
/// ends too.
pub fn harmless(text: &str) -> Cow<'_, str> {
    escaped(text, is_harmful)
}

/// Text of several lines: as [`harmless`], but line ends stay.
pub fn harmless_lines(text: &str) -> Cow<'_, str> {
    escaped(text, |character| character != '\n' && is_harmful(character))
}

/// A document of markup, made harmless as a whole: as [`harmless_lines`], but tabs stay too.
pub fn harmless_document(document: String) -> String {
    let harmful = |character| !matches!(character, '\n' | '\t') && is_harmful(character);
    match escaped(&document, harmful) {
        Cow::Borrowed(_) => document,
        Cow::Owned(harmless) => harmless,
    }
}

/// JSON that says the same, without any character that [`is_harmful`] but for line ends: JSON has
/// to escape only some of them, and all of the others stand in its texts.
pub fn harmless_json(json: String) -> String {
    let harmful = |character: char| character != '\n' && is_harmful(character);
    if !json.contains(harmful) {
        return json;
    }
    let mut text = String::with_capacity(json.len() + 16);
    for character in json.chars() {
        if harmful(character) {
            // All of them are below U+10000, so that one number says each.
            let _ = write!(text, "\\u{:04x}", u32::from(character));
        } else {
            text.push(character);
        }
    }
    text
}

fn escaped(text: &str, harmful: impl Fn(char) -> bool + Copy) -> Cow<'_, str> {
    if !text.contains(harmful) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        if harmful(character) {
            escaped.extend(character.escape_unicode());
        } else {
            escaped.push(character);
        }
    }
    Cow::Owned(escaped)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn orders_to_a_terminal_become_visible() {
        assert_eq!(harmless("a\u{1b}]0;title\u{7}b"), "a\\u{1b}]0;title\\u{7}b");
        assert_eq!(harmless("\u{9b}31m\u{7f}\n"), "\\u{9b}31m\\u{7f}\\u{a}");
        assert_eq!(harmless("txt.\u{202e}exe"), "txt.\\u{202e}exe");
        assert!(matches!(harmless("größer › 5 %"), Cow::Borrowed(_)));
        assert_eq!(harmless_lines("one\ntwo\r"), "one\ntwo\\u{d}");
    }

    proptest! {
        #[test]
        fn json_stays_the_same_value(text in any::<String>()) {
            let json = serde_json::to_string_pretty(&[&text]).unwrap();
            let harmless = harmless_json(json);
            prop_assert!(!harmless.contains(|c| c != '\n' && is_harmful(c)));
            prop_assert_eq!(serde_json::from_str::<Vec<String>>(&harmless).unwrap(), [text]);
        }

        #[test]
        fn nothing_harmful_is_left(text in any::<String>()) {
            prop_assert!(!harmless(&text).contains(is_harmful));
        }
    }
}
