//! What a process says of its memory areas is read or refused, and every resident byte has one
//! owner.
#![no_main]

use analysis::resident::{Known, by_owner};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    match profile::smaps::parse(text, "fuzzed") {
        Ok(areas) => {
            let all = areas.iter().try_fold(0u64, |sum, area| sum.checked_add(area.resident_bytes));
            // More than an address space has is no process's.
            if let Some(all) = all {
                let known = Known { ledger: "/ledger", tables: &[0x1000..0x2000] };
                assert_eq!(by_owner(&areas, &known).total(), all);
            }
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
});
