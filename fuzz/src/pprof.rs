//! A pprof file that was accepted can be added up, written and read again to the same bytes.

use profile::pprof;

use crate::Answer;

/// Reads a profile.
pub fn read(bytes: &[u8]) -> Answer {
    let Ok(profile) = pprof::read(bytes, "fuzzed") else { return Answer::Refused };
    for column in 0..profile.sample_types().len() {
        profile.total(column);
    }
    let written = pprof::write(&profile);
    let again = pprof::read(&written, "written").expect("our own writing is sound");
    assert_eq!(pprof::write(&again), written);
    Answer::Read
}

/// The samples of the format, as they are: what is packed is cut by its checksum.
pub fn seeds() -> Vec<Vec<u8>> {
    crate::seeds::fixtures("profiles", &[".pb", ".pb.gz"])
}
