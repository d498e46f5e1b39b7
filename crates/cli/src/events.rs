//! What `serve --json` and `load --json` write to standard output: one JSON object a line.

use std::net::SocketAddr;

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
    /// The server has stopped by itself.
    Stopped {
        /// What it did.
        totals: Value,
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
