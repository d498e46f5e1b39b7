//! What cargo says of the workspace: its packages, and what each of them depends on.

#![allow(dead_code, reason = "each test program uses its part of this")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;

/// Packages, as `cargo metadata` prints them.
#[derive(Deserialize)]
pub struct Packages {
    packages: Vec<Package>,
}

/// One package.
#[derive(Deserialize)]
pub struct Package {
    /// Its name in its manifest.
    pub name: String,
    /// Its version.
    pub version: String,
    /// An SPDX expression, if its manifest has one.
    pub license: Option<String>,
    /// The oldest compiler that builds it, if its manifest says so.
    pub rust_version: Option<String>,
    /// Where it comes from; `None` for a package of a folder.
    pub source: Option<String>,
    /// The path of its Cargo.toml.
    pub manifest_path: PathBuf,
    /// What its manifest lists, for all platforms and features.
    pub dependencies: Vec<Dependency>,
}

/// One entry in a list of dependencies.
#[derive(Deserialize)]
pub struct Dependency {
    /// The package that is depended on.
    pub name: String,
    /// Which versions will do.
    pub req: String,
    /// `None` for an ordinary dependency, else "dev" or "build".
    pub kind: Option<String>,
    /// The folder, for a package that is named by its place.
    pub path: Option<PathBuf>,
}

/// What the program is built for.
pub const TARGETS: [&str; 2] = ["x86_64-unknown-linux-gnu", "aarch64-unknown-linux-gnu"];

impl Packages {
    /// The members of the workspace alone, with which cargo needs nothing but this folder.
    pub fn of_workspace() -> Vec<Package> {
        Packages::asked(&["--no-deps"]).packages
    }

    /// Every package that is compiled for one of [`TARGETS`], for tests and build scripts too, in
    /// the order of their names and versions.
    pub fn compiled() -> Vec<Package> {
        let mut compiled = BTreeMap::new();
        for target in TARGETS {
            let of_target = Packages::asked(&["--all-features", "--filter-platform", target]);
            for package in of_target.packages {
                compiled.insert((package.name.clone(), package.version.clone()), package);
            }
        }
        assert!(compiled.len() > 100, "only {} packages were found", compiled.len());
        compiled.into_values().collect()
    }

    fn asked(arguments: &[&str]) -> Packages {
        let output = Command::new(env!("CARGO"))
            .args(["metadata", "--format-version=1", "--locked"])
            .args(arguments)
            .current_dir(root())
            .output()
            .expect("cargo can be started");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "cargo metadata {arguments:?}: {said}");
        serde_json::from_slice(&output.stdout).expect("cargo prints what it documents")
    }
}

impl Package {
    /// The folder that its manifest lies in.
    pub fn folder(&self) -> &Path {
        self.manifest_path.parent().expect("a manifest lies in a folder")
    }
}

/// The folder of the workspace.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("it is there")
}
