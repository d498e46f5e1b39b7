//! Errors of a file that is being read.

use prost::{DecodeError, Message};

use crate::{Position, ReadError};

/// The file, for error messages.
#[derive(Clone, Copy)]
pub(super) struct Source<'a> {
    pub name: &'a str,
    /// What kind of place an offset in the message is.
    pub position: fn(u64) -> Position,
}

impl Source<'_> {
    pub(super) fn malformed(
        self,
        at: u64,
        expected: impl Into<String>,
        found: impl Into<String>,
    ) -> ReadError {
        ReadError::Malformed {
            name: self.name.to_owned(),
            position: (self.position)(at),
            expected: expected.into(),
            found: found.into(),
        }
    }

    pub(super) fn decode<M: Message + Default>(
        self,
        at: u64,
        bytes: &[u8],
        what: &str,
    ) -> Result<M, ReadError> {
        M::decode(bytes).map_err(|error| self.undecodable(at, what, &error))
    }

    pub(super) fn undecodable(self, at: u64, what: &str, error: &DecodeError) -> ReadError {
        self.malformed(at, what, error.to_string())
    }
}
