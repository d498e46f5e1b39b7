//! Tells the program from which commit it is built, so that figures can say so; a build without
//! git, or from a source archive, says nothing.

use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    if let Some(commit) = commit() {
        println!("cargo::rustc-env=TLSHEAP_COMMIT={commit}");
    }
}

fn commit() -> Option<String> {
    // HEAD's log grows with every commit and checkout; what is there decides what is watched.
    for file in ["../../.git/HEAD", "../../.git/logs/HEAD"] {
        if Path::new(file).exists() {
            println!("cargo::rerun-if-changed={file}");
        }
    }
    let output = Command::new("git").args(["rev-parse", "--short=12", "HEAD"]).output().ok()?;
    let commit = String::from_utf8(output.stdout).ok().filter(|_| output.status.success())?;
    Some(commit.trim().to_owned())
}
