//! Workloads that measure what recording costs, beside its peers.

pub mod callgrind;
pub mod clock;
pub mod echo_server;
pub mod handshakes;
pub mod hooks;
pub mod machine;
pub mod made_up_stacks;
pub mod openssl;
pub mod oracle;
pub mod pairs;
pub mod peers;
pub mod python;
pub mod recorded;
pub mod roots;
pub mod rounds;
pub mod table;
pub mod took;
