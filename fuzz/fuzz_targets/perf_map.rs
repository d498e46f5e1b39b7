//! Any text can be searched for the name of any address.
#![no_main]

use libfuzzer_sys::fuzz_target;
use profile::symbols::PerfMap;

fuzz_target!(|bytes: &[u8]| {
    let Ok(map) = PerfMap::parse("fuzzed", bytes) else { return };
    for address in [0, 1, 0x1000, u64::MAX] {
        map.frame(address);
    }
    // Where the lines say that there is code.
    for line in String::from_utf8_lossy(bytes).lines() {
        let start = line.split(' ').next().unwrap_or_default();
        if let Ok(start) = u64::from_str_radix(start, 16) {
            map.frame(start);
        }
    }
});
