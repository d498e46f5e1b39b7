//! How the profile of a run gets the part of it that Rust asks for.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// How what the server's Rust code allocates comes into the profile.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum RustPart {
    /// Out of jemalloc's sample, scaled up.
    #[default]
    Sampled,
    /// Every block, counted by the server's allocator beside OpenSSL's. jemalloc samples all the
    /// same, and its sample is in the record to be held against.
    Exact,
}

impl RustPart {
    /// Both, by the words for them.
    pub const WORDS: [(&str, RustPart); 2] =
        [("sampled", RustPart::Sampled), ("exact", RustPart::Exact)];
}

impl FromStr for RustPart {
    type Err = String;

    fn from_str(text: &str) -> Result<RustPart, String> {
        let found = RustPart::WORDS.into_iter().find(|(word, _)| *word == text);
        found.map(|(_, part)| part).ok_or_else(|| {
            let words = RustPart::WORDS.map(|(word, _)| word).join(" or ");
            format!("expected {words}")
        })
    }
}

impl fmt::Display for RustPart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let found = RustPart::WORDS.into_iter().find(|(_, part)| part == self);
        f.write_str(found.map_or("", |(word, _)| word))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_read_from_its_word() {
        for (word, part) in RustPart::WORDS {
            assert_eq!(word.parse(), Ok(part));
            assert_eq!(part.to_string(), word);
        }
        assert_eq!("on".parse::<RustPart>().unwrap_err(), "expected sampled or exact");
    }
}
