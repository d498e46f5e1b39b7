//! DHAT's files that were accepted have sums, and can be written as pprof's.

use profile::{dhat, pprof};

use crate::Answer;

/// Reads a file of DHAT's.
pub fn read(bytes: &[u8]) -> Answer {
    let Ok(profile) = dhat::read(bytes, "fuzzed") else {
        return Answer::Refused;
    };
    let written = pprof::write(&profile);
    let again = pprof::read(&written, "written").expect("our own writing is sound");
    for column in 0..profile.sample_types().len() {
        assert_eq!(again.total(column), profile.total(column));
    }
    Answer::Read
}

/// The samples of the format.
pub fn seeds() -> Vec<Vec<u8>> {
    crate::seeds::fixtures("profiles", &["dhat.json"])
}
