//! Workloads that measure what recording costs, beside its peers.

pub mod clock;
pub mod handshakes;
pub mod hooks;
pub mod openssl;
