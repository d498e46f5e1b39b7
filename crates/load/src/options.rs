//! How much load, of which kind.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::identity::Identity;

/// How much load, and how fast.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Options {
    /// The server.
    pub address: SocketAddr,
    /// The local addresses that connections come from, in turn. Default: none, which leaves it to
    /// the system, or takes as many of 127.0.0.0/8 as a server on loopback needs to have a port
    /// for each connection.
    pub from: Vec<IpAddr>,
    /// How many connections. Default: 200.
    pub connections: usize,
    /// How many of them may be between connecting and the server's welcome at a time.
    /// Default: 16.
    pub handshakes_at_once: usize,
    /// What is said on each connection. Default: an echo.
    pub conversation: Conversation,
    /// How often each connection says hello, or asks what its conversation asks. Default: 5
    /// seconds.
    pub interval: Duration,
    /// How long to stay after every connection has been echoed once; `None` stays until told to
    /// close. Default: `None`.
    pub hold: Option<Duration>,
    /// How long the server may take for a handshake, a welcome, an echo or a goodbye, each from
    /// the moment it is asked for. Default: 30 seconds.
    pub patience: Duration,
    /// How the clients set TLS up.
    pub client: ClientOptions,
}

/// All connections together say no more than so many hellos a second, unless they are told to:
/// what it takes to answer them is not to get in the way of those that are still connecting.
const HELLOS_A_SECOND: usize = 2_000;

impl Options {
    /// How often each of so many connections says hello, when nothing else is asked for: every 5
    /// seconds, or seldomer with more than 10,000.
    pub fn usual_interval(connections: usize) -> Duration {
        let needed = Duration::from_secs(connections.div_ceil(HELLOS_A_SECOND) as u64);
        needed.max(Duration::from_secs(5))
    }

    /// The defaults, for this server.
    pub fn to(address: SocketAddr) -> Options {
        Options {
            address,
            from: Vec::new(),
            connections: 200,
            handshakes_at_once: 16,
            conversation: Conversation::Echo,
            interval: Duration::from_secs(5),
            hold: None,
            patience: Duration::from_secs(30),
            client: ClientOptions::default(),
        }
    }
}

/// What client and server say to each other over TLS, and before it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Conversation {
    /// The server says [`WELCOME`](crate::WELCOME); [`HELLO`](crate::HELLO) has to come back.
    #[default]
    Echo,
    /// The client asks an HTTP/1.1 server for one document, again and again on one connection.
    /// The status has to be one of success, and each document the same as the first.
    Http {
        /// The document, from `/` on.
        path: String,
    },
    /// The client says PING to a Redis server, and has to be answered with PONG.
    Redis,
    /// The client asks a PostgreSQL server for TLS, and then to be let in. Who is let in without
    /// a password asks an empty query from time to time; others are held where the password would
    /// be.
    Postgres {
        /// The user to come as, and the database of the same name.
        user: String,
    },
    /// The handshake alone: nothing is said, and what the server says is not listened to.
    Tls,
}

/// How clients set TLS up.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct ClientOptions {
    /// The version to speak. Default: any.
    pub protocol: Protocol,
    /// Whether to offer compression. Default: no.
    pub compression: CompressionOffer,
    /// The certificate to show when the server asks for one. Default: none.
    pub identity: Option<Identity>,
    /// The name to ask for in the handshake (SNI), and the one that a checked certificate has to
    /// be for. Default: none, and then the certificate has to be for the address.
    pub server_name: Option<String>,
    /// Whether the server's certificate is checked. Default: no, as a server that makes its own
    /// certificate at start is the usual partner.
    pub verification: Verification,
}

/// The TLS version a client speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Protocol {
    /// Whatever both ends can.
    #[default]
    Any,
    /// TLS 1.2 only.
    Tls12,
    /// TLS 1.3 only.
    Tls13,
}

/// Whether a client offers compression.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum CompressionOffer {
    /// No compression is offered.
    #[default]
    None,
    /// zlib is offered; goes with [`Protocol::Tls12`] only, since OpenSSL offers compression only
    /// when TLS 1.3 is out of the question.
    Zlib,
}

/// Whether a client checks the server's certificate.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Verification {
    /// Every certificate is taken.
    #[default]
    Off,
    /// The certificate must lead to one of these authorities, given as PEM text.
    Authorities(Vec<u8>),
}
