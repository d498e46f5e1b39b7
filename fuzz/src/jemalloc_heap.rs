//! A heap dump that was accepted can be scaled and made into a profile.

use profile::{Symbols, jemalloc_heap, pprof};

use crate::Answer;

/// Reads a heap dump.
pub fn read(bytes: &[u8]) -> Answer {
    let Ok(mut dump) = jemalloc_heap::parse(bytes, "fuzzed") else { return Answer::Refused };
    // The files that it names are this machine's: fuzzing must not open them.
    for module in &mut dump.modules {
        module.path.insert_str(0, "/nonexistent/");
    }
    let profile = dump.profile(&mut Symbols::new());
    profile.total(0);
    pprof::write(&profile);
    Answer::Read
}

/// The samples of the format.
pub fn seeds() -> Vec<Vec<u8>> {
    crate::seeds::fixtures("profiles", &[".heap"])
}
