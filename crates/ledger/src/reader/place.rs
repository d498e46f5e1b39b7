//! Where a ledger is read from, and what errors call it.

use std::fs::File;
use std::os::unix::fs::FileExt;

use crate::LedgerError;

/// The largest region that is read, in bytes: the cells of 16 million pairs of thread and site.
const MOST_BYTES: u64 = 1 << 30;

/// The bytes of a ledger, and its name.
pub struct Place<'a> {
    bytes: Bytes<'a>,
    name: &'a str,
}

enum Bytes<'a> {
    Memory(&'a [u8]),
    File(&'a File),
}

impl<'a> Place<'a> {
    pub fn of_bytes(bytes: &'a [u8], name: &'a str) -> Place<'a> {
        Place { bytes: Bytes::Memory(bytes), name }
    }

    pub fn of_file(file: &'a File, name: &'a str) -> Place<'a> {
        Place { bytes: Bytes::File(file), name }
    }

    /// What errors call it.
    pub fn name(&self) -> &str {
        self.name
    }

    /// How many bytes it has.
    pub fn length(&self) -> Result<u64, LedgerError> {
        match &self.bytes {
            Bytes::Memory(bytes) => Ok(bytes.len() as u64),
            Bytes::File(file) => {
                file.metadata().map(|data| data.len()).map_err(|source| self.unreadable(source))
            }
        }
    }

    /// Bytes whose bounds the reader has checked against [`Place::length`].
    pub fn bytes(&self, offset: u64, length: u64) -> Result<Vec<u8>, LedgerError> {
        match &self.bytes {
            Bytes::Memory(bytes) => {
                let range = offset as usize..offset.saturating_add(length) as usize;
                bytes.get(range).map(<[u8]>::to_vec).ok_or_else(|| {
                    let expected = format!("{length} bytes");
                    self.invalid(offset, "end of the file", expected, bytes.len())
                })
            }
            // A sparse file of no size on disk can claim any: believing it would end the tool.
            Bytes::File(_) if length > MOST_BYTES => {
                let range = format!("at most {MOST_BYTES}");
                Err(self.invalid(offset, "length of the used part of a region", range, length))
            }
            Bytes::File(file) => {
                let mut buffer = vec![0; length as usize];
                file.read_exact_at(&mut buffer, offset).map_err(|e| self.unreadable(e))?;
                Ok(buffer)
            }
        }
    }

    fn unreadable(&self, source: std::io::Error) -> LedgerError {
        LedgerError::Unreadable { file: self.name.to_owned(), source }
    }

    /// The error of a ledger that has something else at `offset` than is expected there.
    #[allow(clippy::needless_pass_by_value)] // so that callers write numbers and texts alike
    pub fn invalid(
        &self,
        offset: u64,
        what: &'static str,
        expected: impl ToString,
        found: impl ToString,
    ) -> LedgerError {
        LedgerError::Invalid {
            file: self.name.to_owned(),
            offset,
            what,
            expected: expected.to_string(),
            found: found.to_string(),
        }
    }
}
