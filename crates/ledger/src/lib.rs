//! The ledger: the one place where the profiled process and the tool meet.
//!
//! A ledger is a file of fixed layout. The profiled process maps it shared and counts in it (the
//! writer half, [`Ledger`]); the tool reads it with plain file reads, while the process runs or
//! after its end, however it ended (the reader half, [`Snapshot::read`] and
//! [`Snapshot::read_file`]).
//!
//! ```text
//! ┌────────┬──────────┬─────────┬───────┬────────────────┬───────┐
//! │ header │ modules  │ strings │ sites │ frames         │ cells │
//! └────────┴──────────┴─────────┴───────┴────────────────┴───────┘
//!   4 KiB    /proc/     file      56 B    return addresses  64 B: one thread's
//!            self/maps  names     a site  of all stacks     counts at one site
//! ```
//!
//! * A **site** is written once and never changes. Its stack is a run of the frames region.
//! * A **cell** has one writer, the thread that owns it, so counting needs no atomic
//!   read-modify-write. What a site holds is the sum over its cells.
//! * The **peak** is kept by epochs: the header's epoch rises whenever the process's total in use
//!   reaches a new maximum, and a cell saves what it held before its first change in a new epoch.
//!   So each event costs a comparison, and the sum over the cells is the highest total to the byte.
//! * A ledger may be **sampled**: only some blocks are counted, at sites that also know the size of
//!   their blocks, and the reader makes estimates of the counts. See [`Sampling`].

mod account;
mod cell;
mod coverage;
mod error;
mod fences;
mod layout;
mod mapping;
mod modules;
mod peak;
mod reader;
mod sampling;
mod sandbox;
mod site_key;
mod snapshot;
mod statistic;
mod word;
mod writer;

pub use account::{Account, Lease, Stored};
pub use cell::{Cell, Cells};
pub use contract::{Outcome, Way};
pub use coverage::{Coverage, Found};
pub use error::LedgerError;
pub use layout::{Capacities, FRAMES_PER_SITE};
pub use mapping::{CreateError, largest_file};
pub use peak::{Accounts, Change, Peak, Share, Threads};
pub use sampling::{Estimate, Sampling, Uncertainty};
pub use sandbox::{Permit, forget_permits, give_up_sandbox, is_sandboxed, prepare_for_sandbox};
pub use site_key::{SiteId, SiteKey, StackEnd};
pub use snapshot::{Counts, Inherited, Module, Site, Snapshot, Statistics};
pub use statistic::Statistic;
pub use writer::Ledger;
