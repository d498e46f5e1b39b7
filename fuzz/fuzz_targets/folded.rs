//! Folded stacks that were accepted keep their total when they are written and read again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use profile::{ValueType, folded};

fuzz_target!(|bytes: &[u8]| {
    let bytes_in_use = || ValueType { kind: "inuse_space".into(), unit: "bytes".into() };
    let Ok(profile) = folded::read(bytes, "fuzzed", bytes_in_use()) else { return };
    let written = folded::write(&profile, 0);
    if written.is_empty() {
        return;
    }
    let again = folded::read(written.as_bytes(), "written", bytes_in_use())
        .expect("our own writing is sound");
    assert_eq!(again.total(0), profile.total(0));
});
