//! What `serve --json` and `load --json` write to standard output, and what `serve --json` may be
//! asked for on standard input: one JSON object a line.

use std::net::SocketAddr;
use std::path::PathBuf;

use echo_server::HeapStatistics;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// A line of `serve --json`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum ServerEvent {
    /// The server takes connections.
    Listening {
        /// Where.
        address: SocketAddr,
        /// The configuration's name.
        configuration: String,
        /// For example `OpenSSL 4.0.3 …`.
        openssl: String,
        /// The server's process.
        pid: u32,
    },
    /// A connection agreed on something that none did before it.
    Negotiated {
        /// Protocol, cipher, group and compression.
        #[serde(flatten)]
        negotiated: Value,
    },
    /// Something went wrong that the server survived.
    Warning {
        /// What.
        message: String,
    },
    /// Connections and jemalloc's figures, as asked for by `statistics`.
    Statistics {
        /// Connections that are open, handshaking ones among them.
        open: usize,
        /// The figures.
        jemalloc: HeapStatistics,
    },
    /// jemalloc's figures, as asked for by `heap`; the dump is written.
    Heap {
        /// The figures.
        jemalloc: HeapStatistics,
        /// OpenSSL's blocks with each size rounded up to jemalloc's size class; 0 without a ledger.
        openssl_usable_bytes: u64,
    },
    /// jemalloc could not do what `heap` asked for.
    HeapFailed {
        /// Why.
        message: String,
    },
    /// The server has stopped by itself.
    Stopped {
        /// What it did.
        totals: Value,
    },
}

/// A line that `serve --json` understands.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case")]
pub enum ServerRequest {
    /// Say jemalloc's figures. Costs some tens of microseconds.
    Statistics,
    /// Write a heap dump, and say jemalloc's figures. Costs milliseconds.
    Heap {
        /// Where to; without it, nothing is written.
        path: Option<PathBuf>,
    },
}

/// A line of `load --json`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum LoadEvent {
    /// Some connections are there.
    Progress {
        /// How many have been welcomed.
        connected: usize,
        /// How many have been echoed at least once.
        echoed: usize,
        /// How many have failed.
        failed: usize,
    },
    /// Every connection has been echoed at least once, or has failed.
    AtRest {
        /// How many are open.
        connections: usize,
    },
    /// The connections are being closed.
    Closing,
    /// All are closed.
    Finished {
        /// What the load found.
        report: Value,
        /// Every connection was made, echoed right and closed.
        clean: bool,
    },
}
