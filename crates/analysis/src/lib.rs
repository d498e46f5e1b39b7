//! What a heap profile means: pure functions from profiles to figures.
//!
//! Nothing here reads files or prints. [`category`] says what memory is for, [`group`] adds
//! samples up to rows, [`per_connection`] and [`diff`] compare rows, [`objects`] counts OpenSSL's
//! objects, and [`telling`] picks the few functions of a stack that explain it.
#![forbid(unsafe_code)]

pub mod category;
pub mod diff;
pub mod group;
pub mod objects;
pub mod origin;
pub mod per_connection;
pub mod short_name;
pub mod slope;
pub mod telling;
pub mod top;
pub mod under;

#[cfg(test)]
mod sample_profile;
