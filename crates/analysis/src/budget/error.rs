//! What can be wrong with a budget, said so that the user can mend it.

use std::fmt;

/// Why a budget cannot be used. The fault is the file's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BudgetError {
    /// The file.
    pub file: Box<str>,
    /// Its line, from 1.
    pub line: usize,
    /// Its column in characters, from 1.
    pub column: usize,
    /// The key that it is about, tables first: `total.bytes`; empty when there is none.
    pub key: Box<str>,
    /// What was expected.
    pub expected: Box<str>,
    /// What stands there.
    pub found: Box<str>,
    /// The word that was probably meant.
    pub nearest: Option<Box<str>>,
}

impl fmt::Display for BudgetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}: ", self.file, self.line, self.column)?;
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        write!(f, "expected {}, found {}", self.expected, self.found)?;
        if let Some(nearest) = &self.nearest {
            write!(f, " (did you mean {nearest}?)")?;
        }
        Ok(())
    }
}

impl std::error::Error for BudgetError {}

/// The word most like `found`, unless none is much like it.
pub(super) fn nearest<'a>(found: &str, known: impl Iterator<Item = &'a str>) -> Option<Box<str>> {
    /// Below this, a suggestion puzzles more than it helps.
    const ALIKE: f64 = 0.7;
    known
        .map(|word| (strsim::jaro_winkler(found, word), word))
        .filter(|(likeness, _)| *likeness >= ALIKE)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, word)| word.into())
}
