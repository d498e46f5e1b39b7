//! What can be wrong with a configuration, said so that the user can mend it.

use std::io;

/// Why a configuration could not be used. The fault is the file's, or the name's.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigurationError {
    /// No standard configuration has that name.
    #[error(
        "no configuration is called `{name}`{}; there are: {known}",
        did_you_mean(nearest.as_deref())
    )]
    UnknownName {
        /// What was asked for.
        name: String,
        /// The standard configuration whose name is most like it, if any is.
        nearest: Option<String>,
        /// All names, separated by commas.
        known: String,
    },
    /// The file could not be read.
    #[error("cannot read the configuration {file}")]
    Unreadable {
        /// The file.
        file: String,
        /// Why.
        source: io::Error,
    },
    /// The file has a key or a value that does not exist.
    #[error(
        "{file}:{line}:{column}: unknown {what} `{found}`{}; expected {expected}",
        did_you_mean(nearest.as_deref())
    )]
    UnknownWord {
        /// The file.
        file: Box<str>,
        /// The file's line, from 1.
        line: usize,
        /// The line's column in characters, from 1.
        column: usize,
        /// `key` or `value`.
        what: &'static str,
        /// What stands there.
        found: Box<str>,
        /// The possible word that is most like it, if any is.
        nearest: Option<Box<str>>,
        /// The possible words, separated by commas.
        expected: Box<str>,
    },
    /// The file is not valid TOML, a key is missing, or a value is of the wrong type.
    #[error("{file}:{line}:{column}: {message}")]
    Invalid {
        /// The file.
        file: String,
        /// The file's line, from 1.
        line: usize,
        /// The line's column in characters, from 1.
        column: usize,
        /// What is wrong.
        message: String,
    },
    /// Two settings exclude each other, or a number is out of range.
    #[error("{file}: {what}")]
    Contradiction {
        /// The file.
        file: String,
        /// Which, and why.
        what: String,
    },
}

impl ConfigurationError {
    /// An error that suggests the nearest of the known names.
    pub(crate) fn unknown_name(
        name: &str,
        known: impl Iterator<Item = &'static str>,
    ) -> ConfigurationError {
        let known: Vec<&str> = known.collect();
        ConfigurationError::UnknownName {
            name: name.to_owned(),
            nearest: nearest(name, &known),
            known: known.join(", "),
        }
    }

    /// The TOML reader's error, with its place and, for an unknown word, the nearest right one.
    pub(crate) fn from_toml(error: &toml::de::Error, text: &str, file: &str) -> ConfigurationError {
        let (line, column) = line_and_column(text, error.span().map_or(0, |span| span.start));
        let message = error.message();

        // serde quotes first the word it found, then those it knows.
        let words: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
        let what = if message.starts_with("unknown field") {
            "key"
        } else if message.starts_with("unknown variant") {
            "value"
        } else {
            let message = message.replacen("missing field", "missing key", 1);
            let file = file.to_owned();
            return ConfigurationError::Invalid { file, line, column, message };
        };
        let (found, expected) = words.split_first().unwrap_or((&"", &[]));
        ConfigurationError::UnknownWord {
            file: file.into(),
            line,
            column,
            what,
            found: (*found).into(),
            nearest: nearest(found, expected).map(Into::into),
            expected: expected.join(", ").into(),
        }
    }
}

/// The word most like `found`, unless none is much like it.
fn nearest(found: &str, known: &[&str]) -> Option<String> {
    /// Below this, a suggestion puzzles more than it helps.
    const ALIKE: f64 = 0.7;
    known
        .iter()
        .map(|word| (strsim::jaro_winkler(found, word), *word))
        .filter(|(likeness, _)| *likeness >= ALIKE)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, word)| word.to_owned())
}

fn did_you_mean(nearest: Option<&str>) -> String {
    nearest.map_or_else(String::new, |word| format!(" (did you mean `{word}`?)"))
}

fn line_and_column(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}
