//! How much memory a file may take when it is read.
//!
//! Formats refer to a text, a function or a place as often as they like: a file of a megabyte can
//! ask for a copy of one long name for each of a hundred thousand others. So what is made of a file
//! is counted before it is made, and what a file of its size has no use for is refused.

use crate::ReadError;

/// What every file may take: small ones are of no harm.
const FOR_ANY_FILE: u64 = 64 << 20;

/// What a file may take for each of its own bytes, as they lie on the disk. Profiles of services
/// take 10 to 60 times their size: they are compressed, and refer to each text many times.
const FOR_EACH_BYTE: u64 = 256;

/// What the limit is, for messages.
const WHAT: &str = "in memory (64 MiB, and 256 times its own size)";

/// What a list, a text or a table takes for an entry beside the entry itself.
pub(crate) const ENTRY: u64 = 32;

/// The memory that is left for a file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Room {
    limit: u64,
    left: u64,
}

impl Room {
    /// For a file of this size on the disk.
    pub(crate) fn of_file(bytes: u64) -> Room {
        let limit = FOR_EACH_BYTE.saturating_mul(bytes).saturating_add(FOR_ANY_FILE);
        Room { limit, left: limit }
    }

    /// Takes some of it; refuses the file `name` when that is more than there is.
    pub(crate) fn take(&mut self, bytes: u64, name: &str) -> Result<(), ReadError> {
        self.has(bytes, name)?;
        self.left -= bytes;
        Ok(())
    }

    /// Whether there is so much for a moment.
    pub(crate) fn has(&self, bytes: u64, name: &str) -> Result<(), ReadError> {
        if bytes <= self.left {
            return Ok(());
        }
        Err(ReadError::TooLarge { name: name.to_owned(), what: WHAT, limit: self.limit })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_file_of_this_size_has_no_use_for_is_refused() {
        let mut room = Room::of_file(1_000);
        room.take(FOR_ANY_FILE, "x").unwrap();
        room.take(255_000, "x").unwrap();
        room.take(1_000, "x").unwrap();
        assert_eq!(
            room.take(1, "x").unwrap_err().to_string(),
            "x is too large: expected at most 67364864 bytes in memory (64 MiB, and 256 times its \
             own size), found more"
        );
        assert!(Room::of_file(u64::MAX).take(1 << 40, "x").is_ok());
    }
}
