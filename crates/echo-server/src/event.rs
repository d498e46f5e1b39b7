//! What happens while the server runs, for the program around it to tell its user.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use openssl::ssl::SslRef;

use crate::counters::{ErrorKind, Totals};
use crate::negotiation::Negotiation;

/// Something that happened while the server ran.
#[derive(Debug)]
#[non_exhaustive]
pub enum Event<'a> {
    /// The server takes connections from now on.
    Listening {
        /// Where; with the port that the system chose when port 0 was asked for.
        address: SocketAddr,
        /// The configuration's name.
        configuration: &'a str,
        /// For example `OpenSSL 4.0.3 …`.
        openssl_version: &'static str,
    },
    /// A connection agreed on something that none did before it. How many agreed on what is in
    /// [`Totals::negotiated`].
    Negotiated(Negotiation),
    /// A client was turned away, its TCP connection closed, because as many connections as are
    /// allowed are open. Said once for each time the limit is reached, however many come.
    Refused {
        /// How many are allowed.
        limit: usize,
    },
    /// A connection could not be accepted, for want of file descriptors or memory. The server
    /// tries again after a while. Said once until one is accepted again.
    AcceptFailed {
        /// What the system said.
        error: &'a io::Error,
        /// How long the server waits.
        retry_in: Duration,
    },
    /// The first failure of its kind. How many there were is in [`Totals::errors`].
    ConnectionFailed {
        /// What kind.
        kind: ErrorKind,
        /// What OpenSSL or the system said.
        detail: String,
    },
    /// The server has stopped; everything it held is freed.
    Stopped {
        /// What it did.
        totals: &'a Totals,
    },
}

/// Is told what happens. Called from the server's tasks: it must not block for long.
pub trait Observer: Send + Sync + 'static {
    /// Something happened.
    fn event(&self, event: Event<'_>);

    /// A handshake is done; this is the live connection, for those who want to ask OpenSSL about
    /// it.
    fn connected(&self, _connection: &SslRef) {}
}

impl<F: Fn(Event<'_>) + Send + Sync + 'static> Observer for F {
    fn event(&self, event: Event<'_>) {
        self(event);
    }
}
