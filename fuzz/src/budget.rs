//! A budget is read or refused with a place that lies in it.

use analysis::budget::Budget;

use crate::Answer;

/// Reads a budget.
pub fn read(bytes: &[u8]) -> Answer {
    let Ok(text) = str::from_utf8(bytes) else { return Answer::Refused };
    match Budget::parse(text, "fuzzed") {
        Ok(budget) => {
            assert!(!budget.limits.is_empty() || budget.allowed_findings.is_some());
            Answer::Read
        }
        Err(error) => {
            assert!(error.line <= text.matches('\n').count() + 1);
            assert!(!error.to_string().is_empty());
            Answer::Refused
        }
    }
}

/// Budgets, and configurations, which are none.
pub fn seeds() -> Vec<Vec<u8>> {
    crate::seeds::fixtures("budgets", &[".toml"])
}
