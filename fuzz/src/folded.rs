//! Folded stacks that were accepted keep their total when they are written and read again.

use profile::{ValueType, folded};

use crate::Answer;

/// Reads folded stacks.
pub fn read(bytes: &[u8]) -> Answer {
    let bytes_in_use = || ValueType { kind: "inuse_space".into(), unit: "bytes".into() };
    let Ok(profile) = folded::read(bytes, "fuzzed", bytes_in_use()) else {
        return Answer::Refused;
    };
    let written = folded::write(&profile, 0);
    if !written.is_empty() {
        let again = folded::read(written.as_bytes(), "written", bytes_in_use())
            .expect("our own writing is sound");
        assert_eq!(again.total(0), profile.total(0));
    }
    Answer::Read
}

/// The samples of the format.
pub fn seeds() -> Vec<Vec<u8>> {
    crate::seeds::fixtures("profiles", &[".folded"])
}
