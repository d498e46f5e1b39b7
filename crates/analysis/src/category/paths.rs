//! What memory is for, judged by the source file that a frame lies in, from the tables of domains.

use std::sync::LazyLock;

use contract::Domain;
use foldhash::{HashMap, HashMapExt};

use super::table::{Category, by_name, rows};
use crate::domain_tables;
use crate::short_name::c_name;

/// The category of a source file by itself, whoever called; `None` when the file is not one of a
/// domain whose sources are known, such as OpenSSL. `function` decides where a file serves several
/// owners.
pub fn of_source(file: &str, function: &str) -> Option<&'static Category> {
    Domain::ALL.into_iter().find_map(|domain| of_source_in(domain, file, function))
}

/// The category of a source file of that domain.
pub(super) fn of_source_in(
    domain: Domain,
    file: &str,
    function: &str,
) -> Option<&'static Category> {
    let rules = RULES.get(domain as usize)?;
    if rules.lengths.is_empty() || is_rust(file) {
        return None;
    }
    let function = c_name(function);
    // Files have few prefixes of their own; from the longest down, the first that is listed wins.
    let prefixes = rules.lengths.iter().filter_map(|length| file.get(..*length));
    prefixes
        .filter_map(|prefix| rules.by_prefix.get(prefix))
        .flatten()
        .find(|rule| rule.functions.matches(function))
        .map(|rule| rule.category)
}

/// Rust's sources may live under `crypto/` or `include/` too; OpenSSL has none.
fn is_rust(file: &str) -> bool {
    file.rsplit_once('.').is_some_and(|(_, ending)| ending == "rs")
}

/// One row of `paths.tsv`.
struct PathRule {
    functions: Functions,
    category: &'static Category,
}

/// The functions of a file to which a row applies.
enum Functions {
    Any,
    Named(Vec<&'static str>),
}

impl Functions {
    fn matches(&self, function: &str) -> bool {
        match self {
            Functions::Any => true,
            Functions::Named(names) => names.iter().any(|name| match name.strip_suffix('*') {
                Some(beginning) => function.starts_with(beginning),
                None => function == *name,
            }),
        }
    }
}

/// The rules of a domain: every frame of every stack is asked for, so that looking has to be cheap.
#[derive(Default)]
struct Rules {
    /// Those that name functions stand first.
    by_prefix: HashMap<&'static str, Vec<PathRule>>,
    /// How long prefixes are, the longest first.
    lengths: Vec<usize>,
}

/// The rules of each domain, in the order of [`Domain::ALL`]; empty where there are none.
static RULES: LazyLock<Vec<Rules>> = LazyLock::new(|| {
    Domain::ALL.into_iter().map(|domain| rules_of(domain_tables::of(domain).paths)).collect()
});

fn rules_of(table: &'static str) -> Rules {
    let mut paths: HashMap<&'static str, Vec<PathRule>> = HashMap::new();
    for [prefix, functions, category, _note] in rows(table) {
        let category = by_name(category).expect("a test holds that paths name categories");
        let rules = paths.entry(prefix).or_default();
        if functions == "*" {
            rules.push(PathRule { functions: Functions::Any, category });
        } else {
            let functions = Functions::Named(functions.split(',').collect());
            rules.insert(0, PathRule { functions, category });
        }
    }
    let mut lengths: Vec<usize> = paths.keys().map(|prefix| prefix.len()).collect();
    lengths.sort_unstable_by(|one, other| other.cmp(one));
    lengths.dedup();
    Rules { by_prefix: paths, lengths }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::super::table::all;
    use super::*;

    fn all_rows() -> impl Iterator<Item = [&'static str; 4]> {
        Domain::ALL.into_iter().flat_map(|domain| rows(domain_tables::of(domain).paths))
    }

    #[test]
    fn no_prefix_is_listed_twice_and_every_one_names_a_category() {
        let mut seen = HashSet::new();
        for [prefix, functions, category, _note] in all_rows() {
            assert!(seen.insert((prefix, functions)), "{prefix} {functions} is listed twice");
            assert!(by_name(category).is_some(), "{prefix} names {category:?}");
            assert!(!prefix.is_empty() && !functions.is_empty(), "{prefix:?} {functions:?}");
        }
        for (prefix, _) in &seen {
            assert!(seen.contains(&(*prefix, "*")), "{prefix} has no row for its other functions");
        }
    }

    #[test]
    fn every_category_is_reachable_from_a_path_or_from_the_code() {
        let functions = domain_tables::of(Domain::Mapping).functions;
        let by_function = rows(functions).map(|row| row[1]);
        let listed: HashSet<_> = all_rows().map(|row| row[2]).chain(by_function).collect();
        // Groups whose members cover all of their paths, and categories the code sets by itself.
        let unlisted = ["bio.buffers", "containers", "program", "unknown"];
        let of_domains = Domain::ALL.map(|domain| domain_tables::of(domain).category);
        for category in all() {
            let name = category.name;
            let is_set = unlisted.contains(&name) || of_domains.contains(&Some(name));
            assert!(listed.contains(name) || is_set, "nothing leads to {name}");
        }
    }

    #[test]
    fn the_longest_prefix_wins() {
        assert_eq!(of_source("crypto/bio/bio_lib.c", "BIO_new").unwrap().name, "bio");
        assert_eq!(of_source("crypto/bio/bss_bio.c", "bio_new").unwrap().name, "bio.buffers");
        assert_eq!(of_source("crypto/threads_pthread.c", "").unwrap().name, "containers.lock");
        assert_eq!(of_source("crypto/thread/arch.c", "").unwrap().name, "process.threads");
        assert_eq!(of_source("ssl/a_file_of_the_future.c", "").unwrap().name, "tls");
        assert_eq!(of_source("crypto/src/aead.rs", ""), None);
        assert_eq!(of_source("src/main.c", "main"), None);
        assert_eq!(of_source("", ""), None);
        assert_eq!(of_source("ünicode/crypto/", ""), None);
    }

    /// Files that ask for memory, by OpenSSL's version: `fixtures/openssl-sources`.
    #[test]
    fn every_allocating_file_of_every_version_has_a_category_of_its_own() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/openssl-sources");
        let versions = ["1.1.1w", "3.0.8", "3.2.1", "3.5.5", "3.6.3", "4.0.3"];
        for version in versions {
            let list = std::fs::read_to_string(format!("{folder}/{version}.txt")).unwrap();
            assert!(list.lines().count() > 200, "{version}");
            for file in list.lines() {
                let category = of_source(file, "").map(|category| category.name);
                // These three catch what no row of their parts claims.
                let caught = matches!(category, None | Some("tls" | "crypto" | "provider"));
                assert!(!caught, "{version}: {file} is {category:?}");
            }
        }
    }
}
