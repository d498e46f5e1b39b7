//! What a load found.

use serde::{Deserialize, Serialize};

use crate::failure::FailureCount;
use crate::latency::Latency;

/// What a load found. The field names are stable.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Report {
    /// Connections asked for.
    pub connections: usize,
    /// Connections that were welcomed.
    pub connected: usize,
    /// Connections that were echoed or answered at least once, or are held where nothing is asked.
    pub echoed: usize,
    /// Echoes and answers that came back right.
    pub echoes: u64,
    /// From the first connection begun to the last one welcomed.
    pub connecting_seconds: f64,
    /// Connections welcomed, for each second of `connecting_seconds`. It says what this load did,
    /// not what the server can: handshakes are paced.
    pub handshakes_per_second: f64,
    /// From connecting to the handshake's end, TCP included.
    pub handshake_latency: Latency,
    /// From saying hello to the last byte of its echo, or from a question to its answer's.
    pub echo_latency: Latency,
    /// What went wrong, by kind; empty when nothing did.
    pub failures: Vec<FailureCount>,
}

impl Report {
    /// Whether every connection was made, welcomed, echoed right and closed, all to the end.
    /// Those that were told to close before their first echo are not held against it.
    pub fn is_clean(&self) -> bool {
        self.failures.is_empty()
    }
}
