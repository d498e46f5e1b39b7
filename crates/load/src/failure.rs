//! What can go wrong on a connection.

use std::fmt::{self, Display};
use std::io;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::stream::is_end;

/// What went wrong on a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum FailureKind {
    /// No TCP connection.
    Connect,
    /// No TLS handshake.
    Handshake,
    /// The server took too long for the handshake.
    HandshakeTimeout,
    /// The server said something else first.
    WelcomeWrong,
    /// The server said nothing.
    WelcomeTimeout,
    /// What came back is not what was sent.
    EchoWrong,
    /// Nothing, or too little, came back.
    EchoTimeout,
    /// The server answered what it should not have, or spoke without being asked.
    AnswerWrong,
    /// The server did not answer, or not to the end.
    AnswerTimeout,
    /// The server closed the connection.
    ClosedByServer,
    /// The connection broke otherwise.
    Broken,
    /// The server did not close after the client did.
    CloseTimeout,
}

impl Display for FailureKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            FailureKind::Connect => "no connection",
            FailureKind::Handshake => "handshake failed",
            FailureKind::HandshakeTimeout => "handshake not finished in time",
            FailureKind::WelcomeWrong => "wrong welcome",
            FailureKind::WelcomeTimeout => "no welcome in time",
            FailureKind::EchoWrong => "wrong echo",
            FailureKind::EchoTimeout => "no echo in time",
            FailureKind::AnswerWrong => "wrong answer",
            FailureKind::AnswerTimeout => "no answer in time",
            FailureKind::ClosedByServer => "closed by the server",
            FailureKind::Broken => "connection broke",
            FailureKind::CloseTimeout => "server did not close in time",
        })
    }
}

/// How often something went wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct FailureCount {
    /// What.
    pub kind: FailureKind,
    /// On how many connections.
    pub count: u64,
    /// What the first of them was, in the words of OpenSSL or the system.
    pub example: String,
}

/// What went wrong on one connection.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) kind: FailureKind,
    pub(crate) detail: String,
}

impl Failure {
    pub(crate) fn new(kind: FailureKind, detail: impl Display) -> Failure {
        Failure { kind, detail: detail.to_string() }
    }

    pub(crate) fn timeout(kind: FailureKind, what: &str, patience: Duration) -> Failure {
        Failure::new(kind, format_args!("no {what} within {patience:?}"))
    }

    /// The failure that a failed read or write means.
    pub(crate) fn of_read(error: io::Error) -> Failure {
        let kind = if is_end(&error) { FailureKind::ClosedByServer } else { FailureKind::Broken };
        Failure::new(kind, error)
    }
}
