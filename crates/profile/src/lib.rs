//! Profiles: the model, the symbols of a process, and the file formats.
//!
//! * [`Profile`] is what everything else works on: samples over stacks.
//! * [`from_ledger()`] makes one of what a recorder counted, with the names that [`Symbols`] finds.
//! * [`pprof`] is the native file format; [`folded`] stacks are read and written as well,
//!   [`jemalloc_heap`] and [`dhat`] are read, [`speedscope`] is written. [`read_any()`] tells them apart
//!   by their content.
//!
//! Every reader takes its input as hostile: what is wrong with it comes back as a [`ReadError`].
//!
//! ```
//! use profile::{Metric, Profile, folded, pprof};
//!
//! let text = "main;SSL_new;ssl/ssl_lib.c:730 4096\nmain;BIO_new;crypto/bio/bio_lib.c:83 128\n";
//! let bytes = Profile::of_heap().sample_types()[1].clone();
//! let profile = folded::read(text.as_bytes(), "text", bytes)?;
//! let column = profile.column(Metric::InuseSpace).expect("that is what was read");
//! assert_eq!(profile.total(column), 4_224);
//!
//! let written = pprof::write(&profile);
//! let again = pprof::read(&written, "bytes in memory")?;
//! assert_eq!(again.total(column), 4_224);
//! # Ok::<(), profile::ReadError>(())
//! ```

#![forbid(unsafe_code)]

pub mod allocator_frames;
#[cfg(test)]
mod arbitrary;
mod column_sums;
pub mod dhat;
mod domain_tables;
mod error;
pub mod folded;
mod from_ledger;
pub mod harmless;
mod heap_wrappers;
pub mod jemalloc_heap;
mod merge;
mod model;
mod named;
pub mod openssl_wrappers;
pub mod pprof;
mod read_any;
mod room;
mod same_code;
pub mod smaps;
pub mod source_path;
pub mod speedscope;
pub mod symbols;
mod tables;
mod text_lines;
mod uncertainty;

pub use error::{Position, ReadError};
pub use ledger::{Sampling, Uncertainty};

pub use from_ledger::{
    DROPPED_SITES, Places, TRUNCATED, from_ledger, from_ledger_with, from_recording,
    from_recording_with_places,
};
pub use merge::{Merged, merge};
pub use model::*;
pub use read_any::{Content, MAX_FILE_BYTES, parse_any, read_any, read_standard_input};
pub use symbols::{Symbolisation, Symbols};
