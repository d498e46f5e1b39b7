//! TLS clients that check every echo and every answer: the load that is put on a server.
//!
//! Two kinds: [`run()`] opens connections, keeps them, and says hello on each from time to time;
//! [`closed_loop()`] does nothing but handshakes, one after another, to see how many there are in a
//! second.
//!
//! What the server has to do is in [`Conversation`]: without another choice, it says `welcome!\n`
//! after the handshake and echoes what it is sent.

use libz_sys as _; // linked for OpenSSL, whose static library calls it

mod client;
mod client_error;
mod closed_loop;
mod connection;
mod control;
mod event;
mod failure;
mod identity;
mod latency;
mod local_addresses;
mod options;
mod report;
mod run;
mod stream;
mod talk;
mod tally;

pub mod fd_limit;

pub use client_error::ClientError;
pub use closed_loop::{ClosedLoopOptions, ClosedLoopReport, Goal, closed_loop};
pub use control::{Closer, Control};
pub use event::{Event, Observer};
pub use failure::{FailureCount, FailureKind};
pub use identity::Identity;
pub use latency::Latency;
pub use options::{ClientOptions, CompressionOffer, Conversation, Options, Protocol, Verification};
pub use report::Report;
pub use run::run;
pub use talk::{HELLO, WELCOME};
