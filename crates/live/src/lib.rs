//! Recorded processes as they are now: followed from outside, at no cost to them, and shown to
//! whoever asks.
//!
//! A [`Target`] says where the ledgers are of a process, of a tree of processes or of a recording
//! in progress. A [`Follower`] reads them at a moment, names what is new in them, and gives a
//! [`View`]: what each category and site holds, connections and what each of them costs, the rate
//! of allocations. A [`Comparison`] holds one view beside an earlier one: since the first look, or
//! since a mark. [`server`] answers over HTTP: the page, Go's `/debug/pprof`, `/metrics`.
//!
//! Nothing here prints or knows a command line. The processes are not asked anything: their ledgers
//! are read as files, and the kernel is asked what it says of them.

#![forbid(unsafe_code)]

mod comparison;
mod cost;
mod error;
mod followed;
mod follower;
mod losses;
mod rates;
mod resident;
pub mod server;
mod target;
mod view;
pub mod words;

pub use analysis::row_stacks::RowStack;
pub use comparison::{Comparison, LiveRow, Order};
pub use cost::Cost;
pub use error::LiveError;
pub use follower::Follower;
pub use rates::Rates;
pub use resident::Resident;
pub use target::Target;
pub use view::{Connections, ProcessView, View};
