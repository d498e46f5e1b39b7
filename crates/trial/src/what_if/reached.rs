//! What the preloaded library reports of the fixes.

use std::collections::BTreeMap;

use capture::records::what_if::ReachedOpenssl;
use contract::{Fix, FixLine};

/// What became of one fix in the processes of a program.
#[derive(Debug, Default)]
pub struct Reached {
    /// OpenSSLs whose connections got it.
    pub applied: Vec<ReachedOpenssl>,
    /// It is a variable of the environment, which the whole program has got.
    by_the_environment: bool,
    /// Why others did not, each once.
    missed: Vec<String>,
}

/// What is said when nothing was reported.
const NOTHING: &str = "no connection was made through an SSL_new or SSL_CTX_new that has a name, \
                       in any OpenSSL of the program";

impl Reached {
    /// Reads what processes have reported. No line says that nothing was reached.
    pub fn parse(lines: &str, fix: Fix) -> Reached {
        let mut places: BTreeMap<(&str, &str), u64> = BTreeMap::new();
        let mut missed = Vec::new();
        for line in lines.lines() {
            let Some(line) = FixLine::parse(line) else { continue };
            if line.fix.is_some_and(|named| named != fix) {
                continue;
            }
            let FixLine { object, way, result, .. } = line;
            match result.map_err(|why| format!("{object}: {why}")) {
                Ok(()) => *places.entry((object, way)).or_default() += 1,
                Err(why) if !missed.contains(&why) => missed.push(why),
                Err(_) => {}
            }
        }
        let place = |((object, way), processes): ((&str, &str), u64)| ReachedOpenssl {
            object: object.to_owned(),
            way: way.to_owned(),
            processes,
        };
        Reached { applied: places.into_iter().map(place).collect(), missed, ..Reached::default() }
    }

    /// What has no OpenSSL to be reached.
    pub fn by_the_environment() -> Reached {
        Reached { by_the_environment: true, ..Reached::default() }
    }

    /// Why it was not applied anywhere; `None` when it was.
    pub fn not_applied(&self) -> Option<String> {
        if self.by_the_environment {
            return None;
        }
        match (self.applied.as_slice(), self.missed.as_slice()) {
            ([], []) => Some(NOTHING.to_owned()),
            ([], missed) => Some(missed.join("; ")),
            _ => None,
        }
    }

    /// What was not reached where other things were.
    pub fn missed(&self) -> Option<String> {
        let some = !self.applied.is_empty() && !self.missed.is_empty();
        some.then(|| format!("not reached: {}", self.missed.join("; ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processes_are_counted_by_object_and_way() {
        let lines = "7\tno-tickets\t/lib/libssl.so.3\tslots\tapplied\n\
                     8\tno-tickets\t/lib/libssl.so.3\tslots\tapplied\n\
                     8\tno-mlkem\t/lib/libssl.so.3\tslots\tapplied\n\
                     8\t-\t/usr/bin/node\tjump\tother threads\n\
                     half a line";
        let reached = Reached::parse(lines, Fix::NoTickets);
        let place = ReachedOpenssl {
            object: "/lib/libssl.so.3".to_owned(),
            way: "slots".to_owned(),
            processes: 2,
        };
        assert_eq!(reached.applied, [place]);
        assert_eq!(reached.not_applied(), None);
        assert_eq!(reached.missed().unwrap(), "not reached: /usr/bin/node: other threads");
    }

    #[test]
    fn what_was_applied_nowhere_says_why() {
        assert_eq!(Reached::parse("", Fix::NoMlkem).not_applied().unwrap(), NOTHING);
        let lines = "7\tno-mlkem\t/bin/a\tjump\tOpenSSL refused it\n".repeat(2);
        let reached = Reached::parse(&lines, Fix::NoMlkem);
        assert_eq!(reached.not_applied().unwrap(), "/bin/a: OpenSSL refused it");
        assert_eq!(reached.missed(), None);
    }
}
