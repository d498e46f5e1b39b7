//! Where seeds come from: the fixtures, and what the C compiler makes of a few lines.

use std::fs;
use std::path::Path;
use std::process::Command;

const FIXTURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../fixtures");

/// The files of a folder of the fixtures whose names end in one of `endings`, in the order of
/// their names.
pub(crate) fn fixtures(folder: &str, endings: &[&str]) -> Vec<Vec<u8>> {
    let folder = Path::new(FIXTURES).join(folder);
    let entries = fs::read_dir(&folder).expect("the fixtures are there");
    let mut files: Vec<_> = entries.map(|entry| entry.expect("it can be listed").path()).collect();
    files.retain(|path| endings.iter().any(|ending| path.to_string_lossy().ends_with(ending)));
    files.sort();
    assert!(!files.is_empty(), "{} has no file that ends in {endings:?}", folder.display());
    files.iter().map(|path| fs::read(path).expect("it can be read")).collect()
}

/// A file of the reference captures.
pub(crate) fn reference(file: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../profiles/reference");
    fs::read(folder.join(file)).expect("the reference captures are there")
}

/// A small library: what the C compiler makes of one of the OpenSSLs in the fixtures.
pub(crate) fn library(options: &[&str]) -> Vec<u8> {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let library = folder.path().join("library.so");
    let output = Command::new("cc")
        .args(["-shared", "-fPIC", "-O1", "-o"])
        .args([&library, &Path::new(FIXTURES).join("openssls/library.c")])
        .args(options)
        .output()
        .expect("a C compiler: on Debian, apt install gcc");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    fs::read(&library).expect("the compiler wrote it")
}
