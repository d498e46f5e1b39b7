//! What can be wrong with a ledger.

use std::io;

/// A ledger cannot be read. Every case but `Unreadable` is the file's fault.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LedgerError {
    /// The operating system refused.
    #[error("{file}: cannot read the ledger: {source}")]
    Unreadable {
        /// The file.
        file: String,
        /// What the system said.
        source: io::Error,
    },
    /// The file is no ledger.
    #[error("{file}: not a tlsheap ledger: expected {expected:?} at offset 0, found {found:?}")]
    Foreign {
        /// The file.
        file: String,
        /// The magic bytes.
        expected: String,
        /// What is there.
        found: String,
    },
    /// The ledger was written by another version of tlsheap.
    #[error(
        "{file}: ledger of version {found}, this tlsheap reads versions {oldest} to {newest}: \
         read it with the tlsheap that recorded it"
    )]
    Version {
        /// The file.
        file: String,
        /// The first version that can be read.
        oldest: u32,
        /// The last one, which is ours.
        newest: u32,
        /// The file's version.
        found: u32,
    },
    /// A value that cannot be.
    #[error("{file}: offset {offset}: {what}: expected {expected}, found {found}")]
    Invalid {
        /// The file.
        file: String,
        /// Byte offset of the value.
        offset: u64,
        /// What the value is.
        what: &'static str,
        /// What the value may be.
        expected: String,
        /// What the value is.
        found: String,
    },
}
