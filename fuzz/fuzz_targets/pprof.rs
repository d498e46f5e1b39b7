//! A pprof file that was accepted can be added up, written and read again to the same bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use profile::pprof;

fuzz_target!(|bytes: &[u8]| {
    let Ok(profile) = pprof::read(bytes, "fuzzed") else { return };
    for column in 0..profile.sample_types().len() {
        profile.total(column);
    }
    let written = pprof::write(&profile);
    let again = pprof::read(&written, "written").expect("our own writing is sound");
    assert_eq!(pprof::write(&again), written);
});
