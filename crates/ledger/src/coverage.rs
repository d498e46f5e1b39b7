//! What the recorder's host found in a process, and how it got into it: a small text file that
//! lies beside the ledger, or alone where there was nothing to record.
//!
//! ```text
//! process <TAB> pid <TAB> program
//! forked <TAB> pid of the parent
//! openssl <TAB> number <TAB> object <TAB> version <TAB> way <TAB> outcome
//! other <TAB> object <TAB> library
//! problem <TAB> sentence
//! ```

use contract::{Outcome, Source, TlsLibrary, Way};

use crate::LedgerError;

/// The contents of a coverage file.
///
/// ```
/// use ledger::{Coverage, Outcome};
///
/// let text = "process\t77\t/usr/bin/server\n\
///             openssl\t0\t/usr/lib/libcrypto.so.3\tOpenSSL 3.5.4\texported\trecorded\n";
/// let coverage = Coverage::parse("77.coverage", text)?;
/// assert_eq!(coverage.openssls[0].outcome, Outcome::Recorded);
/// assert_eq!(coverage.openssl_names()[0].1, "libcrypto.so.3 OpenSSL 3.5.4");
/// assert_eq!(coverage.to_text(), text);
/// # Ok::<(), ledger::LedgerError>(())
/// ```
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
    /// Every other TLS library that was found; none of them is recorded.
    pub others: Vec<Other>,
    /// What went wrong, in sentences without their full stop.
    pub problems: Vec<String>,
}

/// One OpenSSL in a process.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Found {
    /// What tells its sites from those of the others in the process, in
    /// [`Site::source`](crate::Site::source); `None` when it is not recorded. The order of
    /// the OpenSSLs' numbers is that in which they were found.
    pub number: Option<u8>,
    /// The file it lies in.
    pub object: String,
    /// The version that the OpenSSL says of itself; empty when it could not be asked.
    pub version: String,
    /// How it was found.
    pub way: Way,
    /// What came of it.
    pub outcome: Outcome,
}

/// A TLS library in a process that is not OpenSSL.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Other {
    /// The file it lies in.
    pub object: String,
    /// Which it is.
    pub library: TlsLibrary,
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
        for other in &self.others {
            text += &other.line();
        }
        for problem in &self.problems {
            text += &format!("problem\t{}\n", one_field(problem));
        }
        text
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
                    expected: "process, forked, openssl, other or problem with its fields"
                        .to_owned(),
                    // Not the line itself: what is no coverage file may be somebody's secret.
                    found: format!("{} bytes of something else", whole.len()),
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
            ["openssl", number, object, version, way, outcome] => self.openssls.push(Found {
                number: match number {
                    NO_NUMBER => None,
                    number => Some(number.parse().ok()?),
                },
                object: object.to_owned(),
                version: version.to_owned(),
                way: Way::from_word(way)?,
                outcome: Outcome::from_word(outcome)?,
            }),
            ["other", object, library] => self.others.push(Other {
                object: object.to_owned(),
                library: TlsLibrary::from_word(library)?,
            }),
            ["problem", sentence] => self.problems.push(sentence.to_owned()),
            _ => return None,
        }
        Some(())
    }
}

impl Coverage {
    /// What each recorded OpenSSL of the process is called, by where it stands in
    /// [`Site::source`](crate::Site::source): its file and version, with the file's folder where
    /// two would be called the same.
    pub fn openssl_names(&self) -> Vec<(Source, String)> {
        let short = |found: &Found| {
            let file = found.object.rsplit('/').next().unwrap_or_default();
            format!("{file} {}", found.version).trim_end().to_owned()
        };
        let long = |found: &Found| format!("{} {}", found.object, found.version);
        let is_alone =
            |name: &String| self.openssls.iter().filter(|f| short(f) == *name).count() < 2;
        self.openssls
            .iter()
            .filter_map(|found| {
                let name = Some(short(found)).filter(is_alone);
                let name = name.unwrap_or_else(|| long(found).trim_end().to_owned());
                Some((Source::openssl(found.number?), name))
            })
            .collect()
    }
}

/// What stands for the number of an OpenSSL that is not recorded.
const NO_NUMBER: &str = "-";

impl Found {
    /// The line of the file, to be added to it when the OpenSSL is loaded later.
    pub fn line(&self) -> String {
        let number = self.number.map_or(NO_NUMBER.to_owned(), |number| number.to_string());
        let (object, version) = (one_field(&self.object), one_field(&self.version));
        let (way, outcome) = (self.way.word(), self.outcome.word());
        format!("openssl\t{number}\t{object}\t{version}\t{way}\t{outcome}\n")
    }
}

impl Other {
    /// The line of the file, to be added to it when the library is loaded later.
    pub fn line(&self) -> String {
        format!("other\t{}\t{}\n", one_field(&self.object), self.library.word())
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
        let found = |number, object: &str, way, outcome| Found {
            number,
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
                found(Some(0), "/usr/lib/libcrypto.so.3", Way::Exported, Outcome::Recorded),
                found(Some(1), "/opt/lib/libcrypto.so.3", Way::SymbolTable, Outcome::Late),
                found(Some(2), "/usr/lib/wheel.so", Way::Instructions, Outcome::Replaced),
                found(None, "/usr/lib/other.so", Way::Nowhere, Outcome::Unreachable),
            ],
            others: vec![Other {
                object: "/usr/lib/grpc.so".to_owned(),
                library: TlsLibrary::Boringssl,
            }],
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
    fn openssls_of_one_name_are_told_apart_by_their_folders() {
        let names: Vec<_> = example().openssl_names();
        assert_eq!(
            names,
            [
                (
                    Source::openssl(0),
                    "/usr/lib/libcrypto.so.3 OpenSSL 3.0.19 27 Jan 2026".to_owned()
                ),
                (
                    Source::openssl(1),
                    "/opt/lib/libcrypto.so.3 OpenSSL 3.0.19 27 Jan 2026".to_owned()
                ),
                (Source::openssl(2), "wheel.so OpenSSL 3.0.19 27 Jan 2026".to_owned()),
            ]
        );
    }

    #[test]
    fn a_foreign_line_is_named_with_its_place() {
        for line in ["hello", "process\tx\ty", "openssl\t0\ta\tb\tby-magic\trecorded", ""] {
            let error = Coverage::parse("x", &format!("forked\t1\n{line}\n")).expect_err(line);
            let error = error.to_string();
            assert!(error.contains("x: offset 9") && !error.contains("hello"), "{error}");
        }
    }
}
