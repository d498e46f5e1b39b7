//! Builds the library that `record` preloads, so that it can be embedded: whoever has the program
//! has the library, and the two always fit.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    match library() {
        Ok(path) => println!("cargo::rustc-env=TLSHEAP_LIBRARY={}", path.display()),
        Err(why) => {
            for line in why.lines() {
                println!("cargo::error={line}");
            }
        }
    }
}

/// What the library is made of. Its tests and benches do not matter here.
const SOURCES: [&str; 17] = [
    "Cargo.toml",
    "Cargo.lock",
    ".cargo/config.toml",
    "crates/preload/Cargo.toml",
    "crates/preload/build.rs",
    "crates/preload/src",
    "crates/recorder/Cargo.toml",
    "crates/recorder/src",
    "crates/finder/Cargo.toml",
    "crates/finder/src",
    "crates/contract/Cargo.toml",
    "crates/contract/src",
    "crates/ledger/Cargo.toml",
    "crates/ledger/src",
    "crates/ledger-writer/Cargo.toml",
    "crates/ledger-writer/src",
    "crates/openssl-src/Cargo.toml", // the workspace patches it in: cargo reads it first
];

/// Variables that say how the program around this script is built, and would be taken for what
/// the user wants of the library: features, the lints' compiler, the place of its outputs.
const NOT_PASSED_ON: [&str; 6] = [
    "RUSTC_WORKSPACE_WRAPPER",
    "CLIPPY_ARGS",
    "CARGO_TARGET_DIR",
    "CARGO_BUILD_TARGET_DIR",
    "CARGO_BUILD_TARGET",
    "CARGO_BUILD_BUILD_DIR",
];

/// Builds the library with a cargo of its own: cargo has no stable way for one package to depend
/// on another's dynamic library. The outputs are this script's, so that neither waits for the
/// other's lock. It is always optimised: it runs in somebody's program.
fn library() -> Result<PathBuf, String> {
    let workspace = Path::new("../..");
    for source in SOURCES {
        println!("cargo::rerun-if-changed={}", workspace.join(source).display());
    }
    let variable = |name: &str| env::var(name).map_err(|error| format!("{name}: {error}"));
    let outputs = Path::new(&variable("OUT_DIR")?).join("preload");
    let (host, target) = (variable("HOST")?, variable("TARGET")?);

    let mut cargo = Command::new(variable("CARGO")?);
    cargo
        .current_dir(workspace)
        .args(["build", "--release", "--locked", "--package", "preload", "--lib"])
        // Names of its functions stay, for whoever looks at a core file; the rest of its debug
        // information would be most of the program.
        .args(["--config", "profile.release.debug=false"])
        .args(["--config", "profile.release.strip=\"debuginfo\""])
        .arg("--target-dir")
        .arg(&outputs);
    let mut folder = outputs;
    if target != host {
        cargo.args(["--target", &target]);
        folder.push(&target);
    }
    for name in NOT_PASSED_ON {
        cargo.env_remove(name);
    }
    let output = cargo.output().map_err(|error| format!("cannot start cargo: {error}"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(format!("the library that `record` preloads cannot be built:\n{said}"));
    }
    Ok(folder.join("release/libtlsheap_preload.so"))
}
