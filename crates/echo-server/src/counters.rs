//! What the server counts, readable by other threads while it runs.

use std::fmt;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use openssl::ssl::SslRef;
use serde::{Deserialize, Serialize};

use crate::negotiation::{Negotiation, NegotiationCount, NegotiationCounts};

/// Why a connection ended otherwise than by its client's or the server's wish.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ErrorKind {
    /// The client did not finish the handshake in time.
    HandshakeTimeout,
    /// The client hung up during the handshake.
    HandshakeAborted,
    /// The handshake failed: no TLS, nothing in common, or a certificate refused.
    HandshakeFailed,
    /// OpenSSL could not set the connection up on the server's side.
    SetupFailed,
    /// The connection broke after the handshake.
    ConnectionBroken,
}

impl ErrorKind {
    /// All kinds, in the order in which they are listed.
    pub const ALL: [ErrorKind; 5] = [
        ErrorKind::HandshakeTimeout,
        ErrorKind::HandshakeAborted,
        ErrorKind::HandshakeFailed,
        ErrorKind::SetupFailed,
        ErrorKind::ConnectionBroken,
    ];
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ErrorKind::HandshakeTimeout => "handshake not finished in time",
            ErrorKind::HandshakeAborted => "client hung up during the handshake",
            ErrorKind::HandshakeFailed => "handshake failed",
            ErrorKind::SetupFailed => "connection could not be set up",
            ErrorKind::ConnectionBroken => "connection broke",
        })
    }
}

/// How often something failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ErrorCount {
    /// What failed.
    pub kind: ErrorKind,
    /// How often.
    pub count: u64,
}

/// What the server did up to now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Totals {
    /// Connections that are open now, handshaking ones among them.
    pub open: usize,
    /// Connections taken since the start.
    pub accepted: u64,
    /// Connections turned away because too many were open.
    pub refused: u64,
    /// Handshakes done.
    pub handshakes: u64,
    /// Failures by kind, without the kinds that did not occur.
    pub errors: Vec<ErrorCount>,
    /// What connections agreed on, and how many of them did.
    pub negotiated: Vec<NegotiationCount>,
}

/// What the server counts. Other threads may read it at any time.
#[derive(Debug, Default)]
pub struct Counters {
    open: AtomicUsize,
    accepted: AtomicU64,
    refused: AtomicU64,
    handshakes: AtomicU64,
    errors: [AtomicU64; ErrorKind::ALL.len()],
    negotiated: Mutex<NegotiationCounts>,
}

impl Counters {
    /// Connections that are open now, handshaking ones among them.
    pub fn open(&self) -> usize {
        self.open.load(Relaxed)
    }

    /// Everything. The counters are read one after another while others count on.
    pub fn totals(&self) -> Totals {
        let errors = ErrorKind::ALL
            .into_iter()
            .map(|kind| ErrorCount { kind, count: self.errors[kind as usize].load(Relaxed) })
            .filter(|error| error.count > 0)
            .collect();
        Totals {
            open: self.open(),
            accepted: self.accepted.load(Relaxed),
            refused: self.refused.load(Relaxed),
            handshakes: self.handshakes.load(Relaxed),
            errors,
            negotiated: self.negotiated().sorted(),
        }
    }

    /// Counts a connection that is open until the returned value is dropped.
    pub(crate) fn open_one(self: &Arc<Counters>) -> OpenConnection {
        self.accepted.fetch_add(1, Relaxed);
        self.open.fetch_add(1, Relaxed);
        OpenConnection(Arc::clone(self))
    }

    pub(crate) fn count_refused(&self) {
        self.refused.fetch_add(1, Relaxed);
    }

    /// Counts a finished handshake; returns what was agreed on when nobody did before.
    pub(crate) fn count_handshake(&self, connection: &SslRef) -> Option<Negotiation> {
        self.handshakes.fetch_add(1, Relaxed);
        self.negotiated().count(connection)
    }

    /// Counts a failure; says whether it is the first of its kind.
    pub(crate) fn count_error(&self, kind: ErrorKind) -> Occurrence {
        match self.errors[kind as usize].fetch_add(1, Relaxed) {
            0 => Occurrence::First,
            _ => Occurrence::Repeated,
        }
    }

    fn negotiated(&self) -> MutexGuard<'_, NegotiationCounts> {
        // A list that is only appended to is whole even if its last user panicked.
        self.negotiated.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether something happened before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Occurrence {
    First,
    Repeated,
}

/// A connection that is counted as open; no longer once this is dropped.
#[derive(Debug)]
pub(crate) struct OpenConnection(Arc<Counters>);

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Relaxed);
    }
}
