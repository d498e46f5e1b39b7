//! The format of any file can be told, and the file read or refused.

use profile::Content;

use crate::Answer;

/// Reads a file of whichever format.
pub fn read(bytes: &[u8]) -> Answer {
    match profile::parse_any(bytes, "fuzzed") {
        Ok(Content::Profile(profile)) => {
            for column in 0..profile.sample_types().len() {
                profile.total(column);
            }
            Answer::Read
        }
        Ok(Content::Ledger) => Answer::Read,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            Answer::Refused
        }
    }
}

/// Files of every format.
pub fn seeds() -> Vec<Vec<u8>> {
    crate::seeds::fixtures("profiles", &[".pb", ".gz", ".folded", ".heap", ".json"])
}
