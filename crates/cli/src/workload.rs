//! What is put on each of several subjects that are compared: the same connections, and the same
//! handshakes.

use std::time::Duration;

use clap::Args;

use crate::arguments::{connections, duration};

/// The same load for each subject.
#[derive(Clone, Debug, Args)]
pub struct Workload {
    /// How many connections to open
    #[arg(long, short = 'n', value_name = "N", default_value = "200", value_parser = connections)]
    pub connections: usize,
    /// How often each connection says hello
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = duration)]
    pub interval: Duration,
    /// How long to wait between the last connection's first echo and the capture
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = duration)]
    pub hold: Duration,
    /// Connections to make and close before each baseline is taken
    #[arg(long, value_name = "N", default_value_t = 16)]
    pub warm_up: usize,
    /// How often to measure what a recorder would disturb (handshakes per second, resident
    /// memory), turn by turn; 0 leaves it out
    #[arg(long, value_name = "N", default_value_t = 3)]
    pub repeat: usize,
    /// How long each of these measurements does full handshakes
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = duration)]
    pub rate_time: Duration,
}

impl Workload {
    /// How many connections a server must take, those of the warm-up among them.
    pub fn most_connections(&self) -> usize {
        self.connections.saturating_add(self.warm_up)
    }
}
