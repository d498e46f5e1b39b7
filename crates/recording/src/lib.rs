//! Records any program: starts it with the recorder preloaded into it and into whatever it starts,
//! watches the ledgers while it runs, and makes a [`Capture`](capture::Capture) of them.
//!
//! [`record`] does all of that; [`doctor`] says beforehand what could be recorded. Nothing here
//! prints: what is to be said comes back as values and sentences.
//!
//! ```
//! use recording::doctor::examine_program;
//!
//! // `sh` has no OpenSSL, and so there is nothing to record in it.
//! let examined = examine_program("sh".as_ref())?;
//! assert!(!examined.recordable && examined.libraries.is_empty());
//! let error = examine_program("no-such-program".as_ref()).expect_err("it is nowhere");
//! assert_eq!(error.fault(), capture::Fault::User);
//! # Ok::<(), recording::RecordingError>(())
//! ```

#![forbid(unsafe_code)]

mod accounts;
mod after_close;
mod attached;
mod control;
pub mod coverage;
pub mod descendants;
pub mod doctor;
mod error;
pub mod found;
mod gathering;
pub mod goals;
mod heap;
mod heap_looks;
mod holding;
pub mod in_progress;
mod keeper;
pub mod kernel;
pub mod ledger_folder;
pub mod live_sizes;
pub mod looks;
pub mod memory;
mod moments;
mod observer;
pub mod opening;
mod options;
mod over_time;
mod pace;
mod perf_maps;
pub mod place;
mod process_memory;
pub mod processes;
pub mod profiles;
pub mod program_file;
mod recognisable;
mod recording;
pub mod running;
pub mod sanitizers;
mod series;
mod signals;
pub mod watch;
mod without_connections;

pub use attached::AttachTo;
pub use control::{Control, Seen};
pub use error::{RecordingError, sentence};
pub use gathering::name_of;
pub use goals::{Goals, Reached, UNRECOGNISABLE};
pub use options::{Arguments, AtInterrupt, Earlier, Keep, Notice, Options, PythonObjects, Streams};
pub use place::Place;
pub use recording::{Recorded, record};
pub use series::move_all as move_series;
