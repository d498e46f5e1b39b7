//! A budget is read or refused with a place that lies in it.
#![no_main]

use analysis::budget::Budget;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    match Budget::parse(text, "fuzzed") {
        Ok(budget) => assert!(!budget.limits.is_empty() || budget.allowed_findings.is_some()),
        Err(error) => {
            assert!(error.line <= text.matches('\n').count() + 1);
            assert!(!error.to_string().is_empty());
        }
    }
});
