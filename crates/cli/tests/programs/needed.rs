//! Programs that the tests need. Where everything should be, none may be missing; elsewhere what
//! is missing is said, and its test is skipped.

#![allow(dead_code, reason = "each test program uses its part of this")]

use std::path::{Path, PathBuf};

/// The folder of the small servers.
pub const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/programs");

/// The variable that names a virtual environment with the packages of `requirements.txt`.
const ENVIRONMENT: &str = "TLSHEAP_TEST_VENV";

/// The place of a program: on the PATH, or where daemons lie.
pub fn program(name: &str) -> Option<String> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain([PathBuf::from("/usr/sbin")]);
    found(name, folders.map(|folder| folder.join(name)).find(|path| path.is_file()))
}

/// The newest PostgreSQL of the distribution, which keeps its programs out of the PATH.
pub fn postgresql() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let folders = versions.map(|entry| entry.path().join("bin"));
    let newest = folders.filter(|folder| folder.join("postgres").is_file()).max();
    found("postgresql", newest).map(PathBuf::from)
}

/// The distribution's Python, if the distribution's Twisted and pyOpenSSL are there for it.
pub fn python_with_twisted() -> Option<String> {
    let python = Path::new("/usr/bin/python3");
    let packages = Path::new("/usr/lib/python3/dist-packages");
    let there = ["twisted", "OpenSSL"].iter().all(|name| packages.join(name).is_dir());
    found(
        "python3-twisted with python3-openssl",
        (there && python.is_file()).then(|| python.into()),
    )
}

/// The Python of the virtual environment with Twisted and pyOpenSSL from PyPI: the one that the
/// environment names, or target/venv.
pub fn python_of_environment() -> Option<String> {
    let folder = match std::env::var_os(ENVIRONMENT) {
        Some(folder) => PathBuf::from(folder),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/venv"),
    };
    let python = folder.join("bin/python");
    let what = "Twisted from PyPI (python3 -m venv target/venv && target/venv/bin/pip install -r \
                fixtures/programs/requirements.txt, or TLSHEAP_TEST_VENV)";
    found(what, python.exists().then_some(python))
}

fn found(name: &str, path: Option<PathBuf>) -> Option<String> {
    if path.is_none() {
        assert!(std::env::var_os("CI").is_none(), "missing: {name}");
        println!("skipped: {name} is not installed");
    }
    path.map(|path| path.to_str().expect("a path in UTF-8").to_owned())
}
