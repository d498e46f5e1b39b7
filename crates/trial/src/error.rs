//! Why a trial failed, and whose fault that is.

use std::io;

use capture::{CaptureError, Fault};
use echo_server::heap_profile::JemallocError;
use echo_server::profiling::ProfilingError;
use echo_server::{ConfigurationError, ServeError};
use ledger::LedgerError;
use load::ClientError;
use load::fd_limit::FdLimitError;
use recording::RecordingError;
use thiserror::Error;

/// Why a trial failed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TrialError {
    /// What was asked for cannot be done, in a sentence that says what to ask for instead.
    #[error("{0}")]
    Refused(String),
    /// The server, the load or the program failed, in a sentence.
    #[error("{0}")]
    Failed(String),
    /// A configuration could not be used.
    #[error(transparent)]
    Configuration(#[from] ConfigurationError),
    /// The system allows fewer files than there are to be connections.
    #[error(transparent)]
    FileLimit(#[from] FdLimitError),
    /// A file of the trial could not be read or written.
    #[error(transparent)]
    Capture(#[from] CaptureError),
    /// The server's ledger could not be read.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// A program could not be recorded.
    #[error(transparent)]
    Recording(#[from] RecordingError),
    /// The reference server could not start.
    #[error(transparent)]
    Serve(#[from] ServeError),
    /// The recorder could not be switched on in the reference server.
    #[error(transparent)]
    Profiling(#[from] ProfilingError),
    /// jemalloc could not be asked to sample.
    #[error(transparent)]
    HeapProfile(#[from] JemallocError),
    /// Clients could not be set up.
    #[error(transparent)]
    Clients(#[from] ClientError),
    /// A file that holds a certificate or key could not be used.
    #[error("{file}")]
    Identity {
        /// The file.
        file: String,
        /// What is wrong with it.
        source: ClientError,
    },
    /// A helper process said something that is none of its words.
    #[error("the {name} said something unexpected: {line}")]
    Unexpected {
        /// What the process is, as "server".
        name: &'static str,
        /// What it said.
        line: String,
        /// What was expected.
        source: serde_json::Error,
    },
    /// The system refused something that a trial needs.
    #[error("cannot {what}")]
    System {
        /// What, as "start the server".
        what: String,
        /// What the system said.
        source: io::Error,
    },
    /// Somebody pressed Ctrl-C.
    #[error("interrupted")]
    Interrupted,
}

impl TrialError {
    /// Whose fault it is.
    pub fn fault(&self) -> Fault {
        match self {
            TrialError::Failed(_) => Fault::Program,
            TrialError::Interrupted => Fault::Interrupted,
            TrialError::Recording(error) => error.fault(),
            _ => Fault::User,
        }
    }

    /// The profiled program failed, said in a sentence.
    pub(crate) fn failed(sentence: impl Into<String>) -> TrialError {
        TrialError::Failed(sentence.into())
    }

    /// For `map_err` behind a call that asks the system for something.
    pub(crate) fn system(what: impl Into<String>) -> impl FnOnce(io::Error) -> TrialError {
        let what = what.into();
        |source| TrialError::System { what, source }
    }
}
