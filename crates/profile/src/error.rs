//! What a reader says of a file that it cannot read.

use std::fmt;
use std::io;

/// Why a profile could not be read. Every message names the file and whose fault it is.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The system did not hand out the file: it is missing, not readable, or not a file.
    #[error("cannot read {name}: {source}")]
    Io {
        /// The file.
        name: String,
        /// What the system said.
        source: io::Error,
    },
    /// The file has no bytes at all.
    #[error("{name} is empty: expected {expected}")]
    Empty {
        /// The file.
        name: String,
        /// What should be in it.
        expected: &'static str,
    },
    /// The file breaks the rules of its own format.
    #[error("{name} is damaged at {position}: expected {expected}, found {found}")]
    Malformed {
        /// The file.
        name: String,
        /// Where in it.
        position: Position,
        /// What the format asks for there.
        expected: String,
        /// What is there.
        found: String,
    },
    /// The file holds more than this reader is willing to unpack.
    #[error("{name} is too large: expected at most {limit} bytes {what}, found more")]
    TooLarge {
        /// The file.
        name: String,
        /// What was measured, such as `after decompression`.
        what: &'static str,
        /// The limit in bytes.
        limit: u64,
    },
    /// The file is in none of the formats that can be read.
    #[error("{name} is not a profile: expected {expected}, found {found}")]
    Foreign {
        /// The file.
        name: String,
        /// The formats that can be read.
        expected: &'static str,
        /// What the file looks like.
        found: String,
    },
}

/// A place in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Position {
    /// So many bytes into the file as it is stored.
    Byte(u64),
    /// So many bytes into what a compressed file unpacks to.
    UnpackedByte(u64),
    /// A line of a text file, counted from 1.
    Line(u64),
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Position::Byte(at) => write!(f, "byte {at}"),
            Position::UnpackedByte(at) => write!(f, "byte {at} of its unpacked content"),
            Position::Line(number) => write!(f, "line {number}"),
        }
    }
}

/// How much of a foreign text an error message quotes, in characters.
const QUOTED: usize = 60;

/// `text` as an error message shows it: quoted, escaped, and cut when it is long.
pub(crate) fn quote(text: &str) -> String {
    match text.char_indices().nth(QUOTED) {
        Some((end, _)) => format!("{:?}…", &text[..end]),
        None => format!("{text:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_names_file_position_expectation_and_finding() {
        let error = ReadError::Malformed {
            name: "heap.pb.gz".to_owned(),
            position: Position::UnpackedByte(17),
            expected: "a location of the profile".to_owned(),
            found: "location id 9".to_owned(),
        };
        assert_eq!(
            error.to_string(),
            "heap.pb.gz is damaged at byte 17 of its unpacked content: expected a location of \
             the profile, found location id 9"
        );
    }

    #[test]
    fn long_and_strange_text_is_cut_and_escaped() {
        assert_eq!(quote("a\u{1b}[31m"), r#""a\u{1b}[31m""#);
        assert_eq!(quote(&"x".repeat(61)), format!("\"{}\"…", "x".repeat(60)));
    }
}
