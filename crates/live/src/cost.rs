//! What one connection holds, at a moment that nobody has chosen.

use analysis::steps::StepCost;
use ledger::Counts;

use crate::Connections;

/// What one connection holds of OpenSSL's memory.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Cost {
    /// By the steps of memory with the number of connections, while it was watched.
    Steps(Box<StepCost>),
    /// The number of connections has not changed enough since the first look: all that OpenSSL
    /// holds, divided by their number. What was there before them is in it, so it is at most this.
    AtMost {
        /// Bytes for each.
        bytes: f64,
        /// Blocks for each.
        blocks: f64,
    },
    /// There are no connections, or a sample does not know them.
    Unknown,
}

impl Cost {
    pub(crate) fn at_most(openssl: &Counts, connections: Option<Connections>) -> Cost {
        match connections {
            Some(Connections { live, .. }) if live > 0 => Cost::AtMost {
                bytes: openssl.inuse_bytes as f64 / live as f64,
                blocks: openssl.inuse_blocks as f64 / live as f64,
            },
            _ => Cost::Unknown,
        }
    }

    /// Bytes for each connection.
    pub fn bytes(&self) -> Option<f64> {
        match self {
            Cost::Steps(cost) => Some(cost.open.bytes),
            Cost::AtMost { bytes, .. } => Some(*bytes),
            Cost::Unknown => None,
        }
    }

    /// Blocks for each connection.
    pub fn blocks(&self) -> Option<f64> {
        match self {
            Cost::Steps(cost) => Some(cost.open.blocks),
            Cost::AtMost { blocks, .. } => Some(*blocks),
            Cost::Unknown => None,
        }
    }

    /// The word for how it is known, in JSON and among the labels of metrics.
    pub fn how(&self) -> &'static str {
        match self {
            Cost::Steps(_) => "steps",
            Cost::AtMost { .. } => "at_most",
            Cost::Unknown => "unknown",
        }
    }
}
