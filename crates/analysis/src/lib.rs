//! What a heap profile means: pure functions from profiles to figures.
//!
//! Nothing here reads files or prints. [`category`] says what memory is for, [`group`] adds
//! samples up to rows, [`domain`], [`process`] and [`under`] pick parts, [`composition`] adds rows
//! up by group and [`stacks`] samples by stack, [`per_connection`] and [`diff`] compare rows,
//! [`ratio`] divides estimates, [`objects`] counts OpenSSL's objects, [`rss_account`] explains
//! resident memory, [`timeline`] has memory over time, and [`telling`] picks the few functions of a
//! stack that explain it. [`cost`] and [`ssl_object_share`] say what a connection costs altogether,
//! [`rust_in_use`] and [`recorder_memory`] what is not OpenSSL's, [`repetition`] what came of
//! measuring several times, and [`notation`] how figures are written.
#![forbid(unsafe_code)]

pub mod budget;
pub mod category;
pub mod column_estimate;
pub mod composition;
pub mod cost;
pub mod counts;
pub mod diagnosis;
pub mod diff;
pub mod domain;
mod domain_tables;
pub mod group;
mod interpreter;
pub mod inventory;
pub mod moved;
pub mod notation;
mod object_kind;
pub mod objects;
pub mod origin;
pub mod over_time;
pub mod per_connection;
pub mod process;
pub mod ratio;
pub mod recorder_memory;
pub mod repetition;
pub mod resident;
pub mod rss_account;
pub mod rust_in_use;
pub mod short_name;
pub mod size_class;
pub mod slope;
pub mod ssl_object_share;
pub mod stacks;
pub mod telling;
pub mod timeline;
pub mod top;
pub mod under;

#[cfg(test)]
mod sample_profile;
