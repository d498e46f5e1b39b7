//! What comes into the program keeps to deny.toml: its licence, where it comes from, and that no
//! dependency takes any version. `cargo deny` checks the same and looks into licence files too, but
//! is a program that has to be built first; this is part of every test run.

mod workspace;

use std::collections::BTreeSet;
use std::fs;

use serde::Deserialize;
use spdx::{Expression, Licensee, ParseMode};
use workspace::{Dependency, Package, Packages, TARGETS, root};

/// The entries of deny.toml. One that is not listed here is an error: it would be read by
/// `cargo deny` alone.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rules {
    graph: Graph,
    licenses: Licences,
    bans: Bans,
    sources: Sources,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Graph {
    targets: Vec<String>,
    /// Assumed.
    #[serde(rename = "all-features")]
    _all_features: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Licences {
    allow: Vec<String>,
    exceptions: Vec<Exception>,
    /// Of the texts of licences, which only `cargo deny` reads.
    #[serde(rename = "confidence-threshold")]
    _confidence_threshold: f64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Exception {
    #[serde(rename = "crate")]
    package: String,
    allow: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Bans {
    wildcards: Level,
    allow_wildcard_paths: bool,
    /// Reported by `cargo deny`, and never refused.
    #[serde(rename = "multiple-versions")]
    _multiple_versions: Level,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Sources {
    unknown_registry: Level,
    unknown_git: Level,
    allow_registry: Vec<String>,
    allow_git: Vec<String>,
}

#[derive(Deserialize, PartialEq, Debug)]
#[serde(rename_all = "kebab-case")]
enum Level {
    Warn,
    Deny,
}

#[test]
fn every_package_has_a_licence_that_may_come_in() {
    let rules = Rules::of_workspace();
    assert_none(Packages::compiled().iter().filter_map(|package| rules.wrong_licence(package)));
}

#[test]
fn no_licence_is_allowed_that_nothing_needs() {
    let rules = Rules::of_workspace();
    let packages = Packages::compiled();
    for (position, licence) in rules.licenses.allow.iter().enumerate() {
        let mut fewer = Rules::of_workspace();
        fewer.licenses.allow.remove(position);
        let needed = packages.iter().any(|package| fewer.wrong_licence(package).is_some());
        assert!(needed, "deny.toml: no package needs {licence}");
    }
    for exception in &rules.licenses.exceptions {
        let there = packages.iter().any(|package| package.name == exception.package);
        assert!(there, "deny.toml: an exception for {}, which is not there", exception.package);
    }
}

#[test]
fn licences_are_held_for_what_the_program_is_built_for() {
    assert_eq!(Rules::of_workspace().graph.targets, TARGETS);
}

#[test]
fn every_package_comes_from_where_it_may() {
    let rules = Rules::of_workspace();
    assert_eq!(rules.sources.unknown_registry, Level::Deny);
    assert_eq!(rules.sources.unknown_git, Level::Deny);
    assert_none(Packages::compiled().iter().filter_map(|package| rules.wrong_source(package)));
}

#[test]
fn no_dependency_takes_any_version() {
    let rules = Rules::of_workspace();
    assert_eq!(rules.bans.wildcards, Level::Deny);
    let members = Packages::of_workspace();
    let all =
        members.iter().flat_map(|member| {
            member.dependencies.iter().filter(|it| rules.is_any_version(it)).map(|dependency| {
                format!("{} takes any version of {}", member.name, dependency.name)
            })
        });
    assert_none(all);
}

#[test]
fn a_licence_is_refused_unless_one_of_the_choices_is_allowed_as_a_whole() {
    let rules = Rules::of_workspace();
    let refused = |licence: Option<&str>| rules.wrong_licence(&made_up(licence, None)).is_some();
    assert!(!refused(Some("MIT OR GPL-3.0-only")));
    assert!(!refused(Some("MIT/Apache-2.0")));
    assert!(!refused(Some("(MIT OR GPL-3.0-only) AND ISC")));
    assert!(refused(Some("MIT AND GPL-3.0-only")));
    assert!(refused(Some("GPL-3.0-only")));
    assert!(refused(Some("CDDL-1.0")), "an exception is for one package");
    assert!(refused(Some("Apache-2.0 WITH LLVM-exception")), "its terms are others");
    assert!(refused(Some("as you like it")));
    assert!(refused(None));
}

#[test]
fn a_package_is_refused_that_comes_from_elsewhere() {
    let rules = Rules::of_workspace();
    let refused = |source| rules.wrong_source(&made_up(Some("MIT"), source)).is_some();
    assert!(!refused(None));
    assert!(!refused(Some("registry+https://github.com/rust-lang/crates.io-index")));
    assert!(refused(Some("registry+https://example.com/index")));
    assert!(refused(Some("git+https://github.com/rust-lang/crates.io-index#0123456")));
}

impl Rules {
    fn of_workspace() -> Rules {
        let text = fs::read_to_string(root().join("deny.toml")).expect("it is there");
        toml::from_str(&text).unwrap_or_else(|error| panic!("deny.toml: {error}"))
    }

    /// Why a package's licence keeps it out.
    fn wrong_licence(&self, package: &Package) -> Option<String> {
        let name = format!("{} {}", package.name, package.version);
        let Some(licence) = &package.license else {
            return Some(format!("{name} names no licence in its manifest"));
        };
        let expression = match Expression::parse_mode(licence, ParseMode::LAX) {
            Ok(expression) => expression,
            Err(error) => return Some(format!("{name}: {}: {licence:?}", error.reason)),
        };
        let exceptions = self.licenses.exceptions.iter();
        let exceptions = exceptions.filter(|exception| exception.package == package.name);
        let allowed: Vec<Licensee> = exceptions
            .flat_map(|exception| &exception.allow)
            .chain(&self.licenses.allow)
            .map(|licence| Licensee::parse(licence).expect("deny.toml has SPDX names"))
            .collect();
        let met = expression
            .evaluate(|required| allowed.iter().any(|licence| licence.satisfies(required)));
        (!met).then(|| format!("{name} is under {licence}, which deny.toml does not allow"))
    }

    /// Why the place that a package comes from keeps it out.
    fn wrong_source(&self, package: &Package) -> Option<String> {
        let source = package.source.as_ref()?;
        let known = match source.split_once('+') {
            Some(("registry", address)) => {
                self.sources.allow_registry.iter().any(|allowed| allowed == address)
            }
            Some(("git", address)) => {
                let repository = address.split(['?', '#']).next();
                self.sources.allow_git.iter().any(|allowed| Some(allowed.as_str()) == repository)
            }
            _ => false,
        };
        let Package { name, version, .. } = package;
        (!known).then(|| format!("{name} {version} comes from {source}"))
    }

    fn is_any_version(&self, dependency: &Dependency) -> bool {
        let of_folder = dependency.path.is_some() && self.bans.allow_wildcard_paths;
        dependency.req == "*" && !of_folder
    }
}

fn assert_none(faults: impl Iterator<Item = String>) {
    let faults: BTreeSet<String> = faults.collect();
    assert!(faults.is_empty(), "{}", faults.into_iter().collect::<Vec<_>>().join("\n"));
}

fn made_up(licence: Option<&str>, source: Option<&str>) -> Package {
    Package {
        name: "made-up".into(),
        version: "1.0.0".into(),
        license: licence.map(Into::into),
        rust_version: None,
        source: source.map(Into::into),
        manifest_path: "/nowhere/Cargo.toml".into(),
        dependencies: Vec::new(),
    }
}
