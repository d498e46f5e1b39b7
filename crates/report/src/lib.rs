//! Flamegraphs, tables and pictures of what `analysis` found.
//!
//! Everything here turns figures into text or bytes; nothing is calculated beyond layout, read or
//! written. One kilobyte is 1,000 bytes.
#![forbid(unsafe_code)]

pub mod differential;
pub mod findings;
mod fit;
pub mod flamegraph;
mod frame_colours;
mod frame_titles;
mod frame_tree;
pub mod html;
pub mod junit;
pub mod palette;
pub mod review;
pub mod table;
pub mod timeline;

/// How figures are written for people, at its former path.
pub use analysis::notation as bytes;
