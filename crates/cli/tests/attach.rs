//! `tlsheap record --pid` on programs under load: nobody notices, everything is put back, and what is
//! counted is exact. What cannot be attached to is refused, and unharmed.
//!
//! The long run, with stop times, is `cargo run --release -p attach --example rounds`; docs/attach.md
//! has its table.

use load as _; // for the zlib that OpenSSL calls

#[path = "programs/certificate.rs"]
mod certificate;
#[path = "programs/clients.rs"]
mod clients;
#[path = "programs/daemons.rs"]
mod daemons;
#[path = "programs/needed.rs"]
mod needed;
mod program;
#[path = "programs/server.rs"]
mod server;

#[path = "attach/process.rs"]
mod process;
#[path = "attach/recording.rs"]
mod recording;
#[path = "attach/rounds.rs"]
mod rounds;
#[path = "attach/workshop.rs"]
mod workshop;

#[path = "attach/arrivals.rs"]
mod arrivals;
#[path = "attach/counts.rs"]
mod counts;
#[path = "attach/earlier.rs"]
mod earlier;
#[path = "attach/endings.rs"]
mod endings;
#[path = "attach/loaded.rs"]
mod loaded;
#[path = "attach/namespaces.rs"]
mod namespaces;
#[path = "attach/refusals.rs"]
mod refusals;
#[path = "attach/servers.rs"]
mod servers;
#[path = "attach/trees.rs"]
mod trees;
#[path = "attach/whole.rs"]
mod whole;
