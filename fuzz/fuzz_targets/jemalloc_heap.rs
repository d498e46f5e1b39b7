//! A heap dump that was accepted can be scaled and made into a profile.
#![no_main]

use libfuzzer_sys::fuzz_target;
use profile::{Symbols, jemalloc_heap, pprof};

fuzz_target!(|bytes: &[u8]| {
    let Ok(mut dump) = jemalloc_heap::parse(bytes, "fuzzed") else { return };
    // The files that it names are this machine's: fuzzing must not open them.
    for module in &mut dump.modules {
        module.path.insert_str(0, "/nonexistent/");
    }
    let profile = dump.profile(&mut Symbols::new());
    profile.total(0);
    pprof::write(&profile);
});
