//! A ledger that was accepted can be made into a profile.
#![no_main]

use libfuzzer_sys::fuzz_target;
use profile::{Symbols, from_ledger, pprof};

fuzz_target!(|bytes: &[u8]| {
    let Ok(mut snapshot) = ledger::Snapshot::read(bytes, "fuzzed") else { return };
    // The files that it names are this machine's: fuzzing must not open them.
    for module in &mut snapshot.modules {
        module.path.insert_str(0, "/nonexistent/");
    }
    pprof::write(&from_ledger(&snapshot, &mut Symbols::new()));
});
