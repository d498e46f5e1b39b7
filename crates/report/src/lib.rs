//! Flamegraphs, tables and pictures of what `analysis` found, and the page of captures.
//!
//! Everything here turns figures into text or bytes, and nothing is calculated beyond layout;
//! [`folder`] alone writes, and [`page::read`] alone reads. One kilobyte is 1,000 bytes.
#![forbid(unsafe_code)]

pub mod account;
pub mod call_graph;
pub mod column_note;
pub mod differential;
pub mod drawable;
pub mod estimate;
pub mod exactness;
pub mod findings;
mod fit;
pub mod flamegraph;
pub mod folder;
mod frame_colours;
mod frame_titles;
mod frame_tree;
pub mod heap;
pub mod html;
pub mod junit;
pub mod losses;
pub mod medium;
pub mod memory;
pub mod page;
pub mod palette;
mod program_stacks;
pub mod review;
pub mod table;
pub mod timeline;
pub mod wrapping;
