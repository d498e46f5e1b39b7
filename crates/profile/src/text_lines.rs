//! Lines of a text that is read piece by piece: it may be many times larger than what it says.

use std::io::BufRead;

use crate::error::quote;
use crate::{Position, ReadError};

/// The lines of a text, one at a time.
pub(crate) struct TextLines<'a, R> {
    reader: R,
    name: &'a str,
    number: u64,
    line: Vec<u8>,
}

impl<'a, R: BufRead> TextLines<'a, R> {
    /// Before the first line. `name` is what errors call the file.
    pub(crate) fn of(reader: R, name: &'a str) -> TextLines<'a, R> {
        TextLines { reader, name, number: 0, line: Vec::new() }
    }

    /// Reads the next line, which [`TextLines::line`] has then; `false` at the end.
    pub(crate) fn advance(&mut self) -> Result<bool, ReadError> {
        self.line.clear();
        let read = self.reader.read_until(b'\n', &mut self.line);
        let read = read.map_err(|source| ReadError::Io { name: self.name.to_owned(), source })?;
        if read == 0 {
            return Ok(false);
        }
        if self.line.last() == Some(&b'\n') {
            self.line.pop();
        }
        self.number += 1;
        match std::str::from_utf8(&self.line) {
            Ok(_) => Ok(true),
            Err(error) => Err(self.error("text in UTF-8", error.to_string())),
        }
    }

    /// The line, without its end.
    pub(crate) fn line(&self) -> &str {
        std::str::from_utf8(&self.line).unwrap_or_default() // `advance` has seen that it is
    }

    /// This line is not what was expected.
    pub(crate) fn malformed(&self, expected: &str) -> ReadError {
        self.error(expected, quote(self.line().trim()))
    }

    /// Something else is wrong at this line.
    pub(crate) fn error(&self, expected: &str, found: String) -> ReadError {
        ReadError::Malformed {
            name: self.name.to_owned(),
            position: Position::Line(self.number),
            expected: expected.to_owned(),
            found,
        }
    }
}
