//! What a heap profile means: pure functions from profiles to figures.
//!
//! Nothing here reads files or prints. [`category`] says what memory is for, [`group`] adds
//! samples up to rows, [`domain`], [`process`] and [`under`] pick parts, [`composition`] adds rows
//! up by group and [`stacks`] samples by stack, [`per_connection`] and [`diff`] compare rows,
//! [`ratio`] divides estimates, [`objects`] counts OpenSSL's objects, [`rss_account`] explains
//! resident memory, [`footprint`] and [`memory_growth`] have what processes have to themselves,
//! [`timeline`] has memory over time, and [`telling`] picks the few functions of a stack that
//! explain it. [`mod@column`] says which of a profile's figures are looked at, [`script_names`]
//! which functions lack a name, [`cost`] and [`ssl_object_share`] what a connection costs
//! altogether, [`rust_in_use`] and [`recorder_memory`] what is not OpenSSL's, [`repetition`] what
//! came of measuring several times, and [`notation`] how figures are written.
//!
//! ```
//! use std::num::NonZeroU64;
//!
//! use analysis::group::{By, group};
//! use analysis::top::Top;
//! use profile::{Profile, folded};
//!
//! // Any profile will do: a ledger's, a pprof file, folded stacks.
//! let text = "serve;SSL_new;ssl/ssl_lib.c:730 40960\nserve;BIO_new;bio_lib.c:83 1280\n";
//! let bytes = Profile::of_heap().sample_types()[1].clone();
//! let profile = folded::read(text.as_bytes(), "text", bytes)?;
//!
//! let connections = NonZeroU64::new(10).expect("not zero");
//! let top = Top::per_connection(&group(&profile, By::Function), None, connections);
//! assert_eq!(top.bytes, Some(4_224.0));
//! assert_eq!(top.rows[0].key.function, "ssl/ssl_lib.c:730");
//! assert_eq!(top.rows[0].bytes, Some(4_096.0));
//! # Ok::<(), profile::ReadError>(())
//! ```
#![forbid(unsafe_code)]

pub mod account_growth;
pub mod block_sizes;
pub mod budget;
pub mod call_graph;
mod call_ids;
pub mod category;
pub mod column;
pub mod column_estimate;
pub mod composition;
pub mod cost;
pub mod counts;
pub mod diagnosis;
pub mod diff;
pub mod domain;
mod domain_tables;
pub mod footprint;
pub mod group;
mod interpreter;
pub mod inventory;
pub mod memory_growth;
pub mod moved;
pub mod notation;
mod object_kind;
pub mod objects;
pub mod origin;
pub mod over_time;
pub mod own_unit;
pub mod per_connection;
pub mod process;
pub mod ratio;
pub mod recorder_memory;
pub mod repetition;
pub mod resident;
pub mod resident_account;
pub mod row_stacks;
pub mod rss_account;
pub mod rust_in_use;
pub mod script_names;
pub mod short_name;
pub mod size_class;
pub mod slope;
pub mod ssl_object_share;
pub mod stacks;
pub mod steps;
pub mod telling;
pub mod timeline;
pub mod top;
pub mod under;

#[cfg(test)]
mod sample_profile;
