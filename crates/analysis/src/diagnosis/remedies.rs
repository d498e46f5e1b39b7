//! What to do about findings: the table of remedies, one entry for each finding and kind of
//! program.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use crate::diagnosis::ecosystem::{Ecosystem, ecosystems};
use crate::diagnosis::finding::Remedy;
use crate::diagnosis::holding::Holding;

const TABLE: &str = include_str!("remedies.tsv");

/// Every entry: the name of the finding, and what to do.
static REMEDIES: LazyLock<Vec<(&'static str, Remedy)>> = LazyLock::new(|| {
    let lines = TABLE.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    lines.map(|line| entry(line).expect("a test holds that the table is one")).collect()
});

fn entry(line: &'static str) -> Option<(&'static str, Remedy)> {
    let mut fields = line.split('\t');
    let (finding, name, text) = (fields.next()?, fields.next()?, fields.next()?);
    let ecosystem = Ecosystem::ALL.into_iter().find(|one| one.name() == name)?;
    Some((finding, Remedy { ecosystem, text }))
}

/// What can be done about a finding with these stacks, by who made them. Where there is nothing for
/// this kind of program, what one does that calls OpenSSL itself.
pub(super) fn remedies<'a>(
    finding: &str,
    holdings: impl Iterator<Item = &'a Holding> + Clone,
    program: Option<&str>,
) -> Vec<Remedy> {
    let files: BTreeSet<&str> =
        holdings.clone().flat_map(|held| &held.modules).map(String::as_str).collect();
    let functions: BTreeSet<&str> =
        holdings.flat_map(|held| &held.calls).map(|call| call.function.as_str()).collect();
    let ecosystems = ecosystems(&files, &functions, program);
    let mut chosen: Vec<Remedy> =
        ecosystems.into_iter().flat_map(|one| entries(finding, one)).collect();
    if chosen.is_empty() {
        chosen.extend(entries(finding, Ecosystem::C));
    }
    chosen.extend(entries(finding, Ecosystem::OpensslCnf));
    chosen
}

fn entries(finding: &str, ecosystem: Ecosystem) -> impl Iterator<Item = Remedy> {
    let is_wanted =
        move |(of, remedy): &&(&str, Remedy)| *of == finding && remedy.ecosystem == ecosystem;
    REMEDIES.iter().filter(is_wanted).map(|(_, remedy)| *remedy)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnosis::every_rule;

    #[test]
    fn every_line_is_an_entry_of_a_finding_and_every_finding_has_one_for_c() {
        for line in TABLE.lines().filter(|line| !line.starts_with('#') && !line.is_empty()) {
            let (finding, remedy) = entry(line).unwrap_or_else(|| panic!("{line}"));
            assert!(every_rule().any(|rule| rule.id == finding), "{line}");
            assert!(remedy.text.ends_with(['.', ';']), "{line}");
            assert_eq!(line.split('\t').count(), 3, "{line}");
        }
        for rule in every_rule() {
            assert!(entries(rule.id, Ecosystem::C).next().is_some(), "{} has no remedy", rule.id);
        }
    }
}
