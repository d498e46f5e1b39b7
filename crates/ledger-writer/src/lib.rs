//! The writing half of the ledger: a file mapped into the process that counts in it.
//!
//! What is where in the file, [`ledger::layout`](::ledger::layout) says; other processes read it
//! with [`Snapshot`](::ledger::Snapshot). This crate is for code inside a profiled process, and
//! never for the tool.
//!
//! ```text
//! Ledger ─► Cell: one thread's counts at one site
//!   │         └─► Account: the thread's share of the margin ─► fences ─► Permit
//!   ├─────► Peak: the pool of the margin, and the highest total
//!   └─────► Mapping: the file's pages, populated before they are touched
//! ```
//!
//! * A **cell** has one writer, the thread that owns it, so counting needs no atomic
//!   read-modify-write.
//! * The **peak** is kept by epochs: the epoch rises whenever the process's total in use reaches a
//!   new maximum, and a cell saves what it held before its first change in a new epoch. So each
//!   event costs a comparison, and the sum over the cells is the highest total to the byte.
//! * Nothing that is reached from an allocation allocates, locks, or touches a page that is not
//!   there; and behind a system-call filter nothing here makes a call that a heap does not make
//!   ([`Permit`]).

#![expect(
    clippy::inline_always,
    reason = "each event counts here, in some instructions: as calls of their own they would send \
              the thread's lease through memory"
)]

mod account;
mod atomics;
mod cell;
mod fences;
mod ledger;
mod mapping;
mod peak;
mod permit;
mod sandbox;
mod site_key;
mod word;

pub use account::{Account, Lease, Stored};
pub use cell::{Cell, Cells};
pub use mapping::{CreateError, addresses_are_limited, largest_file};
pub use peak::{Accounts, Change, Share, Threads};
pub use permit::{Permit, forget_permits, is_sandboxed};
pub use sandbox::{give_up_sandbox, prepare_for_sandbox};
pub use site_key::{SiteId, SiteKey, StackEnd};

pub use crate::ledger::Ledger;
