//! What a server and a load say on standard output, as `serve --json` and `load --json` do, and
//! what a server may be asked for on standard input: one JSON object a line.

use std::net::SocketAddr;
use std::path::PathBuf;

use echo_server::{HeapStatistics, Negotiation, Totals};
use load::{ClosedLoopReport, FailureCount, Report};
use serde::{Deserialize, Serialize};

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
        negotiated: Negotiation,
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
        totals: Totals,
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
        report: Found,
        /// Every connection was made, echoed right and closed.
        clean: bool,
    },
}

/// What a load found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Found {
    /// Connections that were kept.
    Kept(Report),
    /// Handshakes one after another.
    Handshakes(ClosedLoopReport),
}

impl Found {
    /// What went wrong, by kind.
    pub fn failures(&self) -> &[FailureCount] {
        match self {
            Found::Kept(report) => &report.failures,
            Found::Handshakes(report) => &report.failures,
        }
    }

    /// Why the load failed, in a sentence; `None` when everything went right.
    pub fn failure(&self) -> Option<String> {
        let first = self.failures().first()?;
        Some(match self {
            Found::Kept(report) => {
                let failed: u64 = report.failures.iter().map(|failure| failure.count).sum();
                format!("{failed} of the connections failed")
            }
            Found::Handshakes(_) => {
                format!("{} handshakes failed, {}: {}", first.count, first.kind, first.example)
            }
        })
    }
}

impl ServerEvent {
    /// What a server says of an event; `None` for one that is told where it happens.
    pub fn of(event: &echo_server::Event<'_>) -> Option<ServerEvent> {
        use echo_server::Event;

        Some(match event {
            Event::Listening { address, configuration, openssl_version } => {
                ServerEvent::Listening {
                    address: *address,
                    configuration: (*configuration).to_owned(),
                    openssl: (*openssl_version).to_owned(),
                    pid: std::process::id(),
                }
            }
            Event::Negotiated(negotiation) => {
                ServerEvent::Negotiated { negotiated: negotiation.clone() }
            }
            Event::Refused { limit } => ServerEvent::Warning {
                message: format!(
                    "connections are refused: {limit} are open, and --limit allows no more"
                ),
            },
            Event::AcceptFailed { error, retry_in } => ServerEvent::Warning {
                message: format!(
                    "cannot accept connections: {error}; trying again in {retry_in:?}"
                ),
            },
            Event::ConnectionFailed { kind, detail } => {
                ServerEvent::Warning { message: format!("{kind}: {detail}") }
            }
            // Told with its totals when the run returns.
            _ => return None,
        })
    }
}

impl LoadEvent {
    /// What a load says of an event; `None` for one that it says nothing of.
    pub fn of(event: &load::Event<'_>) -> Option<LoadEvent> {
        use load::Event;

        Some(match event {
            Event::Progress { connected, echoed, failed } => {
                LoadEvent::Progress { connected: *connected, echoed: *echoed, failed: *failed }
            }
            Event::AtRest { connections } => LoadEvent::AtRest { connections: *connections },
            Event::Closing => LoadEvent::Closing,
            Event::Finished(report) => LoadEvent::Finished {
                report: Found::Kept((*report).clone()),
                clean: report.is_clean(),
            },
            _ => return None,
        })
    }
}
