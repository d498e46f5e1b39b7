//! Why a capture could not be read, looked at or written.

use std::io;
use std::path::{Path, PathBuf};

use ledger::{LedgerError, Sampling};
use profile::ReadError;
use thiserror::Error;

/// What is wrong with a capture, with a file of its folder, or with what was asked of it. All of
/// these are for the user to put right: another file, another folder, another option.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CaptureError {
    /// The system did not hand out a file.
    #[error("cannot read {}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A ledger came through a pipe.
    #[error(
        "standard input is a ledger, which is read where it lies while its process writes to it: \
         name the file"
    )]
    LedgerPiped,
    /// There is a folder, a device, a pipe or the like where a file should be.
    #[error("{} is not a regular file", .0.display())]
    NotAFile(PathBuf),
    /// The file is larger than any that was written.
    #[error("{} is too large: at most {limit} bytes are read", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The limit in bytes.
        limit: u64,
    },
    /// The system did not take a file.
    #[error("cannot write {}", path.display())]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A path without a last part, such as `/` or `..`, was given for a file.
    #[error("cannot write {}: the output has no file name", .0.display())]
    NoFileName(PathBuf),
    /// The folder that was named for the output has something in it.
    #[error(
        "the output folder {} exists and is not empty: choose another with --out", .0.display()
    )]
    FolderTaken(PathBuf),
    /// The folder that was named for the output cannot be looked into.
    #[error("cannot use {} as the output folder: choose another with --out", path.display())]
    FolderUnusable {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The folder that was named for the output cannot be made.
    #[error("cannot make the output folder {}: choose another with --out", path.display())]
    FolderNotMade {
        /// The folder.
        path: PathBuf,
        /// What the system said; `None` where the path has no last part.
        source: Option<io::Error>,
    },
    /// The finished folder did not get its name.
    #[error("cannot make {}", path.display())]
    FolderNotNamed {
        /// The name.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A folder was named that no run has made.
    #[error("{} is no run folder: it has no {}", .0.display(), crate::folder::RUN)]
    NoRunFolder(PathBuf),
    /// A file that has to be JSON is not, or says something else than its shape does.
    #[error("{}: {what}", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// What it should be, as "not JSON".
        what: &'static str,
        /// Where in it, and what was expected.
        source: serde_json::Error,
    },
    /// JSON of the right kind whose fields are not those of its shape.
    #[error("{}", path.display())]
    Shape {
        /// The file.
        path: PathBuf,
        /// Which field, and what was expected.
        source: serde_json::Error,
    },
    /// JSON of another version of its shape.
    #[error("{}: expected {what} of schema {expected}, found {found}", path.display())]
    Schema {
        /// The file.
        path: PathBuf,
        /// What it should describe, as "a run".
        what: &'static str,
        /// The version that can be read.
        expected: u32,
        /// The version it says, or `none`.
        found: String,
    },
    /// A table of memory over time that breaks its own rules.
    #[error("{}: {why}", path.display())]
    Timeline {
        /// The file.
        path: PathBuf,
        /// Line and column, what was expected and what was found.
        why: String,
    },
    /// A comparison that names a folder outside itself.
    #[error("{}: the configuration {name:?} names no folder beside it", path.display())]
    NoFolderBeside {
        /// The comparison's file.
        path: PathBuf,
        /// The configuration's name.
        name: String,
    },
    /// The part that was asked for is not in the capture.
    #[error("{capture} has no {part}: {}", has(.present, .none))]
    NoSuchPart {
        /// The capture's name.
        capture: String,
        /// What was asked for, as "domain rust" or "process 17".
        part: String,
        /// What it has instead.
        present: Vec<String>,
        /// How it is said that there is nothing.
        none: &'static str,
    },
    /// The profile has no such column.
    #[error("{capture} has no {column} column: it has {}", .present.join(", "))]
    NoColumn {
        /// The capture's name.
        capture: String,
        /// The column.
        column: &'static str,
        /// The profile's columns.
        present: Vec<String>,
    },
    /// The profile has no columns at all.
    #[error("{0} has no values")]
    NoValues(String),
    /// The profile does not say what is in use.
    #[error(
        "{0} says nothing about blocks and bytes in use: it needs the columns inuse_objects and \
         inuse_space"
    )]
    NothingInUse(String),
    /// A sampled capture was given where every block has to be known.
    #[error(
        "{capture} was sampled every {}, and {what} rests on exact counts of blocks and objects: \
         record again without --sample",
        analysis::notation::interval(*.sampling)
    )]
    Sampled {
        /// The capture's name.
        capture: String,
        /// How it was sampled.
        sampling: Sampling,
        /// What was to be made of it, as "a diagnosis".
        what: &'static str,
    },
    /// Nothing was named.
    #[error("no capture is named")]
    NoneNamed,
    /// The profile could not be read.
    #[error(transparent)]
    Profile(#[from] ReadError),
    /// The ledger could not be read.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

impl CaptureError {
    /// For `map_err` behind a call that reads the file at `path`.
    pub fn reading(path: &Path) -> impl FnOnce(io::Error) -> CaptureError {
        let path = path.to_owned();
        |source| CaptureError::Unreadable { path, source }
    }

    /// For `map_err` behind a call that writes the file at `path`.
    pub fn writing(path: &Path) -> impl FnOnce(io::Error) -> CaptureError {
        let path = path.to_owned();
        |source| CaptureError::Unwritable { path, source }
    }
}

fn has(present: &[String], none: &str) -> String {
    match present.join(", ") {
        has if has.is_empty() => none.to_owned(),
        has => format!("it has {has}"),
    }
}
