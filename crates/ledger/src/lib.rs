//! The ledger: the one place where the profiled process and the tool meet.
//!
//! A ledger is a file of fixed layout. The profiled process maps it shared and counts in it (the
//! crate `ledger-writer`); the tool reads it with plain file reads, while the process runs or after
//! its end, however it ended ([`Snapshot::read`] and [`Snapshot::read_file`]). This crate is the
//! layout and the reader, which take nothing on trust and have no unsafe code.
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
//! * What a site holds is the sum over its **cells**, each of which has one writer.
//! * The **peak** is kept by epochs: the header's epoch rises whenever the process's total in use
//!   reaches a new maximum, and a cell saves what it held before its first change in a new epoch.
//!   So the sum over the cells is the highest total to the byte.
//! * A ledger may be **sampled**: only some blocks are counted, at sites that also know the size of
//!   their blocks, and the reader makes estimates of the counts. See [`Sampling`].

#![forbid(unsafe_code)]

mod coverage;
mod error;
pub mod layout;
mod modules;
mod reader;
mod sampling;
mod snapshot;
mod statistic;

pub use contract::{Outcome, Way};
pub use coverage::{Coverage, Found};
pub use error::LedgerError;
pub use layout::{Capacities, FRAMES_PER_SITE};
pub use sampling::{Estimate, Sampling, Uncertainty};
pub use snapshot::{Counts, Inherited, Module, Site, Snapshot, Statistics};
pub use statistic::Statistic;
