//! Every reader of files that come from elsewhere, with what has to hold whatever it is given, and
//! something to begin with. `cargo fuzz` runs them with libFuzzer; `tests/mutated.rs` runs them
//! with inputs from the [`mutation`] of the seeds, on any compiler.

#![forbid(unsafe_code)]

pub mod any;
pub mod budget;
pub mod comparison;
pub mod coverage;
pub mod debug_file;
pub mod dhat;
pub mod finder;
pub mod folded;
pub mod jemalloc_heap;
pub mod ledger;
pub mod mutation;
pub mod names;
pub mod perf_map;
pub mod pprof;
pub mod run_json;
mod seeds;
pub mod smaps;
pub mod symbols;
pub mod timeline;
pub mod what_if;

/// What a reader made of an input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The reader took it.
    Read,
    /// The reader refused it with an error.
    Refused,
}

/// A reader that is fuzzed.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// What the program for libFuzzer is called.
    pub name: &'static str,
    /// Reads an input. Panics where something does not hold.
    pub read: fn(&[u8]) -> Answer,
    /// Inputs to begin with, at least one of which can be read.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

/// Lists modules with a `read` and `seeds` each.
macro_rules! targets {
    ($($name:ident)*) => {
        [$(Target { name: stringify!($name), read: $name::read, seeds: $name::seeds }),*]
    };
}

/// All of them.
pub const ALL: [Target; 18] = targets! {
    any budget comparison coverage debug_file dhat finder folded jemalloc_heap ledger names
    perf_map pprof run_json smaps symbols timeline what_if
};
