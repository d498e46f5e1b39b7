//! The reference TLS echo server: on connect it says `welcome!`, then it echoes whatever it gets.
//!
//! What makes it a reference is how OpenSSL is set up, which is the matter of a
//! [`Configuration`]: from a context and a certificate store for each connection, as Node 0.4 had
//! it in 2011, to one context whose idle connections keep no buffers. The server itself costs as
//! little as it can, so that a profile shows OpenSSL and not the server.
//!
//! ```text
//! configuration ──► context, trust_store, compression, certificate   (what OpenSSL is told)
//!                        │
//! server ── accepts ──► connection ── handshake, welcome, echo       (one task each)
//!    └───────── event, counters, negotiation ──► the program         (what happened)
//! ```
//!
//! Programs that contain this library have jemalloc as their allocator.

use libz_sys as _; // linked for OpenSSL, whose static library calls it

mod allocator;
mod certificate;
mod compression;
mod configuration_error;
mod connection;
mod context;
mod counters;
mod event;
mod heap_statistics;
mod negotiation;
mod serve_error;
mod server;
pub mod thread_state;
mod trust_store;

pub mod configuration;
pub mod heap_profile;
pub mod profiling;
pub mod signal;

pub use allocator::openssl_heap;
pub use certificate::{CertificateError, CertificateSource};
pub use compression::{is_available as zlib_is_available, method_count as compression_methods};
pub use configuration::{Configuration, ConfigurationError};
pub use counters::{Counters, ErrorCount, ErrorKind, Totals};
pub use event::{Event, Observer};
pub use heap_statistics::{HeapStatistics, openssl_usable_bytes};
pub use negotiation::{Negotiation, NegotiationCount};
pub use serve_error::ServeError;
pub use server::{Options, Server};

/// What the server sends as soon as the handshake is done.
pub const WELCOME: &[u8] = b"welcome!\n";
