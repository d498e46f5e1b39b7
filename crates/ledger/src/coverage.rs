//! What the recorder's host found in a process, and how it got into it: a small text file that
//! lies beside the ledger, or alone where there was nothing to record.
//!
//! ```text
//! process <TAB> pid <TAB> program
//! forked <TAB> pid of the parent
//! openssl <TAB> object <TAB> version <TAB> way <TAB> outcome
//! problem <TAB> sentence
//! ```

use std::path::Path;

use crate::LedgerError;

/// The contents of the file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Coverage {
    /// The process.
    pub pid: u32,
    /// Path of its program.
    pub program: String,
    /// The process that forked it, where that one had the recorder already.
    pub forked_from: Option<u32>,
    /// Every OpenSSL that was found, in the order in which they were loaded.
    pub openssls: Vec<Found>,
    /// What went wrong, in sentences without their full stop.
    pub problems: Vec<String>,
}

/// One OpenSSL in a process.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Found {
    /// The file it lies in.
    pub object: String,
    /// What it says of itself; empty when it could not be asked.
    pub version: String,
    /// How it was found.
    pub way: Way,
    /// What came of it.
    pub outcome: Outcome,
}

/// How an OpenSSL was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Way {
    /// The object exports CRYPTO_set_mem_functions.
    Exported,
    /// CRYPTO_set_mem_functions is in the symbol table of the object's file.
    SymbolTable,
}

/// Whether an OpenSSL is recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Outcome {
    /// From its first allocation on.
    Recorded,
    /// Not: it had allocated before it was found, and then it takes no functions.
    Refused,
    /// Not: the program has put functions of its own into it.
    Replaced,
}

impl Way {
    /// The word in the file.
    pub fn word(self) -> &'static str {
        match self {
            Way::Exported => "exported",
            Way::SymbolTable => "symbol-table",
        }
    }

    fn from_word(word: &str) -> Option<Way> {
        [Way::Exported, Way::SymbolTable].into_iter().find(|way| way.word() == word)
    }
}

impl Outcome {
    /// The word in the file.
    pub fn word(self) -> &'static str {
        match self {
            Outcome::Recorded => "recorded",
            Outcome::Refused => "refused",
            Outcome::Replaced => "replaced",
        }
    }

    fn from_word(word: &str) -> Option<Outcome> {
        let all = [Outcome::Recorded, Outcome::Refused, Outcome::Replaced];
        all.into_iter().find(|outcome| outcome.word() == word)
    }
}

impl Coverage {
    /// The file's text.
    pub fn to_text(&self) -> String {
        let mut text = format!("process\t{}\t{}\n", self.pid, one_field(&self.program));
        if let Some(parent) = self.forked_from {
            text += &format!("forked\t{parent}\n");
        }
        for found in &self.openssls {
            text += &found.line();
        }
        for problem in &self.problems {
            text += &format!("problem\t{}\n", one_field(problem));
        }
        text
    }

    /// Reads the file at `path`.
    pub fn read_file(path: &Path) -> Result<Coverage, LedgerError> {
        let file = path.display().to_string();
        match std::fs::read(path) {
            Ok(bytes) => Coverage::parse(&file, &String::from_utf8_lossy(&bytes)),
            Err(source) => Err(LedgerError::Unreadable { file, source }),
        }
    }

    /// Reads the text of a file called `name` in messages. A last line without its end is left
    /// out: its process was killed while it wrote.
    pub fn parse(name: &str, text: &str) -> Result<Coverage, LedgerError> {
        let mut coverage = Coverage::default();
        let mut offset = 0;
        for line in text.split_inclusive('\n') {
            let Some(whole) = line.strip_suffix('\n') else { break };
            if coverage.add(whole).is_none() {
                return Err(LedgerError::Invalid {
                    file: name.to_owned(),
                    offset,
                    what: "line of a coverage file",
                    expected: "process, forked, openssl or problem with its fields".to_owned(),
                    found: format!("{whole:?}"),
                });
            }
            offset += line.len() as u64;
        }
        Ok(coverage)
    }

    fn add(&mut self, line: &str) -> Option<()> {
        let fields: Vec<&str> = line.split('\t').collect();
        match fields[..] {
            ["process", pid, program] => {
                self.pid = pid.parse().ok()?;
                program.clone_into(&mut self.program);
            }
            ["forked", parent] => self.forked_from = Some(parent.parse().ok()?),
            ["openssl", object, version, way, outcome] => self.openssls.push(Found {
                object: object.to_owned(),
                version: version.to_owned(),
                way: Way::from_word(way)?,
                outcome: Outcome::from_word(outcome)?,
            }),
            ["problem", sentence] => self.problems.push(sentence.to_owned()),
            _ => return None,
        }
        Some(())
    }
}

impl Found {
    /// The line of the file, to be added to it when the OpenSSL is loaded later.
    pub fn line(&self) -> String {
        let (object, version) = (one_field(&self.object), one_field(&self.version));
        format!("openssl\t{object}\t{version}\t{}\t{}\n", self.way.word(), self.outcome.word())
    }
}

/// A path may hold any byte; what would end the field is a blank here.
fn one_field(text: &str) -> String {
    text.replace(['\t', '\n'], " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn example() -> Coverage {
        let found = |object: &str, way, outcome| Found {
            object: object.to_owned(),
            version: "OpenSSL 3.0.19 27 Jan 2026".to_owned(),
            way,
            outcome,
        };
        Coverage {
            pid: 77,
            program: "/usr/bin/a program".to_owned(),
            forked_from: Some(76),
            openssls: vec![
                found("/usr/lib/libcrypto.so.3", Way::Exported, Outcome::Recorded),
                found("/usr/lib/wheel.so", Way::SymbolTable, Outcome::Refused),
                found("/usr/lib/other.so", Way::SymbolTable, Outcome::Replaced),
            ],
            problems: vec!["no ledger".to_owned()],
        }
    }

    #[test]
    fn what_is_written_is_read() {
        let read = Coverage::parse("x", &example().to_text()).expect("our own form");
        assert_eq!(read, example());
    }

    #[test]
    fn a_cut_last_line_is_left_out() {
        let text = example().to_text();
        let cut = Coverage::parse("x", &text[..text.len() - 4]).expect("whole lines before it");
        assert_eq!(cut, Coverage { problems: Vec::new(), ..example() });
    }

    #[test]
    fn a_path_cannot_make_fields_or_lines() {
        let odd = Coverage { program: "a\tb\nproblem\tc".to_owned(), ..example() };
        let read = Coverage::parse("x", &odd.to_text()).expect("our own form");
        assert_eq!(read.program, "a b problem c");
        assert_eq!(read.problems, example().problems);
    }

    #[test]
    fn a_foreign_line_is_named_with_its_place() {
        for line in ["hello", "process\tx\ty", "openssl\ta\tb\tby-magic\trecorded", ""] {
            let error = Coverage::parse("x", &format!("forked\t1\n{line}\n")).expect_err(line);
            assert!(error.to_string().contains("x: offset 9"), "{error}");
        }
    }
}
