//! One object, and what can be recorded in it.

use std::path::{Path, PathBuf};

use finder::Elf;
use ledger::Way;
use serde::Serialize;

use crate::found::way_in_words;

/// A program or library, and the TLS libraries in it.
#[derive(Debug)]
pub struct Object {
    pub path: PathBuf,
    pub tls: Vec<Tls>,
    /// Whether it can load further libraries while it runs.
    pub loads_later: bool,
}

/// A TLS library in an object, as `--json` prints it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Tls {
    /// The object's path.
    pub object: String,
    /// `OpenSSL`, or the library that it is instead.
    pub library: &'static str,
    /// The version in its own words; `null` where the file does not say it.
    pub version: Option<String>,
    /// The way in, in a word of [`Way`]; `null` for other libraries.
    pub way: Option<&'static str>,
    /// Whether it can be recorded.
    pub recordable: bool,
    /// How, or why not and what would help.
    pub why: String,
}

impl Object {
    /// Looks at the object in the file at `path`.
    pub fn of(path: &Path, elf: &Elf) -> Object {
        Object { path: path.to_owned(), tls: tls(path, elf), loads_later: loads_later(path, elf) }
    }
}

/// Libraries that call `dlopen` for things of their own, which are no TLS libraries.
const LOADING: [&str; 6] = ["libc.", "libdl.", "libcrypto.", "libssl.", "libgcc_s.", "libstdc++."];

fn loads_later(path: &Path, elf: &Elf) -> bool {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    elf.imports(&["dlopen"]) && !LOADING.iter().any(|library| name.starts_with(library))
}

fn tls(path: &Path, elf: &Elf) -> Vec<Tls> {
    let object = path.display().to_string();
    let openssl = finder::find(elf).map(|found| openssl(&object, elf, &found));
    let others = finder::other_libraries(elf).into_iter().map(|other| Tls {
        object: object.clone(),
        library: other.name(),
        version: None,
        way: None,
        recordable: false,
        why: format!("it is not OpenSSL, and {}", other.obstacle()),
    });
    openssl.into_iter().chain(others).collect()
}

fn openssl(object: &str, elf: &Elf, openssl: &finder::Openssl) -> Tls {
    let (recordable, why) = match openssl.way {
        Way::Nowhere => (
            false,
            "its symbols were stripped, and its code is not recognised: a build that is not \
             stripped could be recorded"
                .to_owned(),
        ),
        _ if !openssl.since_1_1 => (
            false,
            "it is older than 1.1.0, whose memory functions are not told who calls them: a build \
             with a newer one could be recorded"
                .to_owned(),
        ),
        way => (true, way_in_words(way).to_owned()),
    };
    Tls {
        object: object.to_owned(),
        library: "OpenSSL",
        version: finder::version(elf),
        way: Some(openssl.way.word()),
        recordable,
        why,
    }
}
