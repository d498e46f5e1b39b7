//! What a helper process is to do.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use echo_server::Configuration;
use load::{CompressionOffer, Conversation, Protocol};
use serde::{Deserialize, Serialize};

use crate::run::RustPart;

/// What a helper process is to do.
#[derive(Clone, Debug)]
pub(crate) enum Order {
    Serve(ServeOrder),
    Load(LoadOrder),
}

/// Serve as the reference server does.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ServeOrder {
    /// How.
    pub configuration: Configuration,
    /// Where. Default: port 4433 of this machine.
    pub listen: SocketAddr,
    /// The new file in which every OpenSSL allocation is counted. Default: none are.
    pub ledger: Option<PathBuf>,
    /// Room for allocation sites in it. Default: 65,536.
    pub sites: u32,
    /// Bytes between samples, on average, where not every block is counted.
    pub sample: Option<u64>,
    /// Whether the blocks of Rust are counted in the ledger as well, every one. Default: they are not.
    pub rust: RustPart,
    /// Lets jemalloc sample one byte in 2 to the power of this, on average.
    pub heap_profile: Option<u32>,
    /// Files of the certificate chain and of its key, PEM. Default: one is made at start.
    pub certificate: Option<(PathBuf, PathBuf)>,
    /// Connections that may be open at once.
    pub limit: ConnectionLimit,
    /// How long a client may take for the handshake. Default: 10 seconds.
    pub handshake_timeout: Duration,
    /// The file for the certificate and key that clients have to show.
    pub client_identity: Option<PathBuf>,
}

/// Connections that a server takes at once; further ones are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ConnectionLimit {
    /// So many; a system that does not allow as many open files is an obstacle.
    Exactly(usize),
    /// So many, or as many as the system allows.
    AtMost(usize),
}

impl ConnectionLimit {
    /// The number.
    pub fn number(self) -> usize {
        match self {
            ConnectionLimit::Exactly(number) | ConnectionLimit::AtMost(number) => number,
        }
    }
}

impl ServeOrder {
    /// Without a recorder, with the defaults.
    pub fn of(configuration: Configuration) -> ServeOrder {
        ServeOrder {
            configuration,
            listen: SocketAddr::from(([127, 0, 0, 1], 4433)),
            ledger: None,
            sites: 65_536,
            sample: None,
            rust: RustPart::Sampled,
            heap_profile: None,
            certificate: None,
            limit: ConnectionLimit::AtMost(10_000),
            handshake_timeout: Duration::from_secs(10),
            client_identity: None,
        }
    }
}

/// Put load on a server.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[non_exhaustive]
pub struct LoadOrder {
    /// The server.
    pub address: SocketAddr,
    /// What is done there. Default: 200 connections until told to close.
    pub work: Work,
    /// Local addresses to connect from, in turn. Default: as many as are needed.
    pub from: Vec<IpAddr>,
    /// What is said on each connection. Default: an echo.
    pub conversation: Conversation,
    /// How long the server may take for each step. Default: 30 seconds.
    pub patience: Duration,
    /// The TLS version to speak. Default: any.
    pub protocol: Protocol,
    /// Whether to offer compression. Default: no.
    pub compression: CompressionOffer,
    /// The server's name in the handshake.
    pub server_name: Option<String>,
    /// The file of the certificate chain and private key to show, PEM.
    pub identity: Option<PathBuf>,
    /// The file of the authorities that the server's certificate is checked against, PEM.
    /// Default: it is not checked.
    pub authorities: Option<PathBuf>,
}

/// What a load does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Work {
    /// Opens connections and keeps them.
    Keep {
        /// How many.
        connections: usize,
        /// How often each says hello; `None` for [`load::Options::usual_interval`].
        interval: Option<Duration>,
        /// How long to stay after every connection has been answered once; `None` until told.
        hold: Option<Duration>,
        /// Handshakes under way at a time.
        pace: usize,
    },
    /// Does full handshakes one after another.
    Handshakes {
        /// For how long.
        time: Duration,
        /// Under way at a time.
        workers: usize,
    },
}

impl Work {
    /// So many connections until told to close.
    pub fn keep(connections: usize) -> Work {
        Work::Keep { connections, interval: None, hold: None, pace: 16 }
    }

    /// Handshakes for so long.
    pub fn handshakes(time: Duration) -> Work {
        Work::Handshakes { time, workers: 8 }
    }
}

impl LoadOrder {
    /// The usual load on this server.
    pub fn to(address: SocketAddr) -> LoadOrder {
        LoadOrder {
            address,
            work: Work::keep(200),
            from: Vec::new(),
            conversation: Conversation::Echo,
            patience: Duration::from_secs(30),
            protocol: Protocol::Any,
            compression: CompressionOffer::None,
            server_name: None,
            identity: None,
            authorities: None,
        }
    }

    /// These clients at other work.
    #[must_use]
    pub fn at(&self, work: Work) -> LoadOrder {
        LoadOrder { work, ..self.clone() }
    }
}
