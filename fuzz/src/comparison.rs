//! The figures of a comparison are read or refused, and once read, can be written and read again.

use std::path::Path;

use capture::records::comparison::Comparison;

use crate::Answer;

/// Reads a `compare.json`.
pub fn read(bytes: &[u8]) -> Answer {
    let Ok(text) = str::from_utf8(bytes) else { return Answer::Refused };
    let file = Path::new("fuzzed");
    match Comparison::parse(text, file) {
        Ok(comparison) => {
            let written = serde_json::to_string(&comparison).expect("figures are valid JSON");
            let again = Comparison::parse(&written, file).expect("our own writing is sound");
            assert_eq!(again.configurations.len(), comparison.configurations.len());
            Answer::Read
        }
        Err(error) => {
            assert!(error.to_string().contains("fuzzed"));
            Answer::Refused
        }
    }
}

/// The comparison of every standard configuration.
pub fn seeds() -> Vec<Vec<u8>> {
    vec![crate::seeds::reference("compare.json")]
}
