//! The report of the fixes: a text file to which a process adds a line for what became of one.

use std::fmt::{self, Display};

use crate::Fix;

/// One line of a process's report of the fixes, a file in the folder for ledgers: what became of a
/// fix in one OpenSSL of that process.
///
/// Five fields with tabs between: the process's id, the fix's name or `-`, the object, the way,
/// and `applied` or why not.
///
/// ```
/// use contract::{Fix, FixLine};
///
/// let line = FixLine {
///     process: 7,
///     fix: Some(Fix::NoTickets),
///     object: "/lib/libssl.so.3",
///     way: "slots",
///     result: Ok(()),
/// };
/// let text = line.to_string();
/// assert_eq!(text, "7\tno-tickets\t/lib/libssl.so.3\tslots\tapplied\n");
/// assert_eq!(FixLine::parse(&text), Some(line));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FixLine<'a> {
    /// The process's id.
    pub process: u32,
    /// The fix; `None` where the line holds for every one.
    pub fix: Option<Fix>,
    /// The file in which the OpenSSL lies.
    pub object: &'a str,
    /// In words, by what connections are reached.
    pub way: &'a str,
    /// Whether connections were given the setting, or why not.
    pub result: Result<(), &'a str>,
}

/// What stands for the name where a line holds for every fix.
const EVERY_FIX: &str = "-";

/// What stands for the reason where the fix was applied.
const APPLIED: &str = "applied";

impl<'a> FixLine<'a> {
    /// Reads a line with or without its end. `None` for anything that is no such line, as the
    /// last one is when its process was killed while it wrote.
    pub fn parse(line: &'a str) -> Option<FixLine<'a>> {
        let mut fields = line.strip_suffix('\n').unwrap_or(line).split('\t');
        let mut next = || fields.next();
        let (process, fix, object, way, result) = (next()?, next()?, next()?, next()?, next()?);
        if next().is_some() {
            return None;
        }
        Some(FixLine {
            process: process.parse().ok()?,
            fix: if fix == EVERY_FIX { None } else { Some(Fix::from_name(fix)?) },
            object,
            way,
            result: if result == APPLIED { Ok(()) } else { Err(result) },
        })
    }
}

impl Display for FixLine<'_> {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fix = self.fix.map_or(EVERY_FIX, Fix::name);
        // A path may hold any byte; what would end the field is a blank here.
        let object = self.object.replace(['\t', '\n'], " ");
        let result = self.result.err().unwrap_or(APPLIED);
        writeln!(to, "{}\t{fix}\t{object}\t{}\t{result}", self.process, self.way)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        for fix in Fix::ALL.into_iter().map(Some).chain([None]) {
            for result in [Ok(()), Err("other threads may be in it")] {
                let line = FixLine { process: 8, fix, object: "/bin/a b", way: "a jump", result };
                assert_eq!(FixLine::parse(&line.to_string()), Some(line));
            }
        }
    }

    #[test]
    fn a_path_cannot_make_fields_or_lines() {
        let line =
            FixLine { process: 8, fix: None, object: "a\tb\nc", way: "jump", result: Ok(()) };
        assert_eq!(line.to_string(), "8\t-\ta b c\tjump\tapplied\n");
    }

    #[test]
    fn what_is_no_such_line_is_none() {
        let odd = ["", "half a line", "x\t-\ta\tb\tapplied", "7\tno-such-fix\ta\tb\tapplied"];
        for line in odd.into_iter().chain(["7\t-\ta\tb", "7\t-\ta\tb\tapplied\tmore"]) {
            assert_eq!(FixLine::parse(line), None, "{line}");
        }
    }
}
