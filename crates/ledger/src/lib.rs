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
//!
//! A ledger of one site at which one thread allocated three blocks of 32 bytes and freed one:
//!
//! ```
//! use std::mem::offset_of;
//!
//! use contract::Source;
//! use ledger::layout::{
//!     CellRecord, FILE_NULL, Header, MAGIC, Regions, SITE_READY, SiteRecord, VERSION,
//! };
//! use ledger::{Capacities, Snapshot};
//!
//! let capacities = Capacities { sites: 1, frames: 8, cells: 1 };
//! let Regions { sites, frames, cells, end, .. } = Regions::of(&capacities);
//! let mut file = vec![0_u8; end as usize];
//! let mut put = |region: u64, offset: usize, bytes: &[u8]| {
//!     let at = region as usize + offset;
//!     file[at..at + bytes.len()].copy_from_slice(bytes);
//! };
//!
//! put(0, offset_of!(Header, version), &VERSION.to_le_bytes());
//! put(0, offset_of!(Header, file_bytes), &end.to_le_bytes());
//! put(0, offset_of!(Header, pid), &77_u64.to_le_bytes());
//! put(0, offset_of!(Header, site_capacity), &capacities.sites.to_le_bytes());
//! put(0, offset_of!(Header, frame_capacity), &capacities.frames.to_le_bytes());
//! put(0, offset_of!(Header, cell_capacity), &capacities.cells.to_le_bytes());
//! put(0, offset_of!(Header, sites_used), &2_u64.to_le_bytes()); // number 0 is no site
//! put(0, offset_of!(Header, frames_used), &1_u64.to_le_bytes());
//! put(0, offset_of!(Header, cells_used), &1_u64.to_le_bytes());
//!
//! put(sites, offset_of!(SiteRecord, line), &210_u32.to_le_bytes());
//! put(sites, offset_of!(SiteRecord, file), &FILE_NULL.to_le_bytes());
//! put(sites, offset_of!(SiteRecord, depth), &1_u32.to_le_bytes());
//! put(frames, 0, &0x5555_0000_1234_u64.to_le_bytes());
//! put(sites, offset_of!(SiteRecord, state), &SITE_READY.to_le_bytes());
//!
//! put(cells, offset_of!(CellRecord, alloc_blocks), &3_u64.to_le_bytes());
//! put(cells, offset_of!(CellRecord, alloc_bytes), &96_u64.to_le_bytes());
//! put(cells, offset_of!(CellRecord, free_blocks), &1_u64.to_le_bytes());
//! put(cells, offset_of!(CellRecord, free_bytes), &32_u64.to_le_bytes());
//! put(cells, offset_of!(CellRecord, site), &1_u32.to_le_bytes());
//!
//! // Last, so that a file that is being made is no ledger yet.
//! assert!(Snapshot::read(&file, "made.ledger").is_err());
//! file[..8].copy_from_slice(&MAGIC);
//!
//! let snapshot = Snapshot::read(&file, "made.ledger")?;
//! assert_eq!(snapshot.pid, 77);
//! let [site] = &snapshot.sites[..] else { panic!("one site was written") };
//! assert_eq!((site.line, site.stack.as_slice()), (210, &[0x5555_0000_1234][..]));
//! assert_eq!(site.source, Source::openssl(0));
//! assert_eq!((site.counts.inuse_blocks, site.counts.inuse_bytes), (2, 64));
//! assert_eq!(snapshot.totals().alloc_bytes, 96);
//! # Ok::<(), ledger::LedgerError>(())
//! ```

#![forbid(unsafe_code)]

mod coverage;
mod error;
pub mod layout;
pub mod live;
mod modules;
mod reader;
mod sampling;
mod snapshot;
mod statistic;

pub use contract::{Outcome, TlsLibrary, Way};
pub use coverage::{Coverage, Found, Other};
pub use error::LedgerError;
pub use layout::{Capacities, FRAMES_PER_SITE};
pub use reader::Reading;
pub use sampling::{Estimate, Sampling, Uncertainty};
pub use snapshot::{Counts, Inherited, Module, Site, Snapshot, Statistics};
pub use statistic::Statistic;
