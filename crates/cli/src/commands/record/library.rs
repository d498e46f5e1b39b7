//! Where the library to preload is.

use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::failure::Failure;

const NAME: &str = "libtlsheap_preload.so";

/// Looks for it where builds and installations put it: beside this program, in cargo's `deps`
/// and in `../lib`. Of several, the newest: cargo leaves old ones lying beside the program.
pub fn find() -> Result<PathBuf, Failure> {
    let program = std::env::current_exe().context("cannot find this program's own file")?;
    let folder = program.parent().unwrap_or(Path::new("/"));
    let places =
        [folder.join(NAME), folder.join("deps").join(NAME), folder.join("../lib").join(NAME)];
    let age = |path: &&PathBuf| path.metadata().and_then(|data| data.modified()).ok();
    let Some(path) = places.iter().filter(|path| path.is_file()).max_by_key(age) else {
        return Err(Failure::usage(format!(
            "the library to preload, {NAME}, is not beside {}: `cargo install` leaves it behind; \
             build it with `cargo build --release -p preload` in tlsheap's source, and copy it \
             from target/release to {}",
            program.display(),
            folder.display()
        )));
    };
    let path = path.canonicalize().with_context(|| format!("cannot use {}", path.display()))?;
    // The dynamic loader takes both for separators and knows no way to quote them.
    if path.to_string_lossy().contains([':', ' ', '\t', '\n']) {
        return Err(Failure::usage(format!(
            "the dynamic loader cannot preload {}: its path holds a blank or a colon; copy \
             tlsheap and {NAME} to another folder",
            path.display()
        )));
    }
    Ok(path)
}
