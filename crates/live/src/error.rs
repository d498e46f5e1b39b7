//! Why something could not be watched.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use capture::Fault;
use ledger::LedgerError;
use thiserror::Error;

/// Why something could not be watched. All of it is for the user to put right.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LiveError {
    /// Nothing of this user's is being recorded.
    #[error(
        "nothing is being recorded here: start a program with `tlsheap record -- PROGRAM`, or name \
         what is to be watched, by a process's id or a ledger's path"
    )]
    NothingInProgress,
    /// There are several recordings, and none was named.
    #[error("there are several recordings: name one of them by a process's id: {}", .0.join(", "))]
    Several(Vec<String>),
    /// There is no such process.
    #[error("there is no process {0}")]
    NoProcess(u32),
    /// The process is not recorded.
    #[error(
        "process {0} is not recorded, and nothing that it has started is: start it with `tlsheap \
         record -- PROGRAM` (`tlsheap doctor {0}` says what could be recorded)"
    )]
    NotRecorded(u32),
    /// The kernel lets this user not look into the process.
    #[error("cannot look into process {pid}, which takes its own user or root")]
    NotAllowed {
        /// The process.
        pid: u32,
        /// What the system said.
        source: io::Error,
    },
    /// A run folder, in which nothing moves any more.
    #[error(
        "{path} is a recording that has ended: `tlsheap top {path}` and `tlsheap report {path}` \
         show it",
        path = .0.display()
    )]
    Finished(PathBuf),
    /// A folder without ledgers.
    #[error(
        "{} has no ledgers: name a process's id, a ledger, or the folder that `tlsheap record \
         --out` is going to make",
        .0.display()
    )]
    NoLedgers(PathBuf),
    /// A file or folder cannot be read.
    #[error("cannot read {}", path.display())]
    Unreadable {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A ledger cannot be read.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// A ledger is not taken for what its name says.
    #[error("{0}")]
    Refused(String),
    /// An address that others than this machine can reach.
    #[error(
        "{0} can be reached from other machines, and nobody is asked who they are: listen on \
         127.0.0.1, or say --public as well"
    )]
    Public(SocketAddr),
    /// The address cannot be listened on.
    #[error("cannot listen on {address}")]
    NotListening {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The page could not be made of a view.
    #[error(transparent)]
    Page(#[from] capture::CaptureError),
}

impl LiveError {
    /// Whose fault it is.
    pub fn fault(&self) -> Fault {
        Fault::User
    }
}
