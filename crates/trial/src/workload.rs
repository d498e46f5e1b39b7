//! What is put on each of several subjects that are compared: the same connections, and the same
//! handshakes.

use std::time::Duration;

/// A load that each subject gets alike.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Workload {
    /// How many connections to open. Default: 200.
    pub connections: usize,
    /// How often each says hello. Default: every second.
    pub interval: Duration,
    /// How long to wait between the last connection's first echo and the capture. Default: 1
    /// second.
    pub hold: Duration,
    /// Connections to make and close before each baseline is taken. Default: 16.
    pub warm_up: usize,
    /// How often to measure what a recorder would disturb (handshakes per second, resident
    /// memory), turn by turn; 0 leaves it out. Default: 3.
    pub repeat: usize,
    /// How long each of these measurements does full handshakes. Default: 2 seconds.
    pub rate_time: Duration,
}

impl Default for Workload {
    fn default() -> Workload {
        Workload {
            connections: 200,
            interval: Duration::from_secs(1),
            hold: Duration::from_secs(1),
            warm_up: 16,
            repeat: 3,
            rate_time: Duration::from_secs(2),
        }
    }
}

impl Workload {
    /// How many connections a server must take, those of the warm-up among them.
    pub fn most_connections(&self) -> usize {
        self.connections.saturating_add(self.warm_up)
    }
}
