//! The oldest compiler that README.md promises is the one that the manifest asks for, and nothing
//! that comes in asks for a newer one. That our own code calls nothing of the standard library that
//! is newer, clippy's `incompatible_msrv` holds: see CONTRIBUTING.md.

mod workspace;

use std::fs;

use workspace::{Package, Packages, root};

#[test]
fn no_package_asks_for_a_newer_compiler_than_the_workspace() {
    let ours = of_workspace();
    let wanting: Vec<_> = Packages::compiled()
        .iter()
        .filter(|package| asked_for(package).is_some_and(|theirs| theirs > ours))
        .map(|package| format!("{} {}", package.name, package.version))
        .collect();
    assert!(wanting.is_empty(), "newer than {ours:?}: {wanting:?}");
}

#[test]
fn the_readme_names_the_oldest_compiler() {
    let (major, minor) = of_workspace();
    let readme = fs::read_to_string(root().join("README.md")).expect("it is there");
    let promise = format!("a Rust toolchain ({major}.{minor} or newer)");
    assert!(readme.contains(&promise), "README.md does not say {promise:?}");
}

/// The one compiler that all members of the workspace ask for.
fn of_workspace() -> (u32, u32) {
    let asked: Vec<_> = Packages::of_workspace().iter().map(asked_for).collect();
    let first = asked[0].expect("the workspace says which compiler it needs");
    assert!(asked.iter().all(|it| *it == Some(first)), "members ask for different compilers");
    first
}

/// The oldest compiler of a package, without the number of its patches.
fn asked_for(package: &Package) -> Option<(u32, u32)> {
    let mut numbers = package.rust_version.as_ref()?.split('.').map(|number| {
        number.parse().unwrap_or_else(|_| panic!("{}: {:?}", package.name, package.rust_version))
    });
    Some((numbers.next()?, numbers.next().unwrap_or(0)))
}
