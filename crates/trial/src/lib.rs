//! A server or a program under a load of ours: what is measured, and what is compared.
//!
//! [`run()`] measures the reference server with one configuration, [`compare()`] several, and
//! [`what_if`] tries fixes, on the reference server or on any program. [`loaded`] records any
//! program from its first connection to its last. [`scale`] fits a line
//! through runs with several numbers of connections. Server and load are processes of their own:
//! the front end lends a [`HelperProgram`] that can be both, is told how the trial goes on through
//! [`Progress`], and gets captures and figures back. Nothing here prints, draws or names files of
//! a run folder.
//!
//! ```
//! use echo_server::Configuration;
//! use trial::run::Options;
//!
//! let mut options = Options::of(Configuration::standard("tls13")?);
//! options.connections = 50;
//! assert_eq!(options.warm_up, 16);
//! # Ok::<(), echo_server::ConfigurationError>(())
//! ```
//!
//! `tests/engines.rs` has a whole front end in one file.

#![forbid(unsafe_code)]

mod available_memory;
pub mod compare;
mod error;
pub mod front_end;
mod glance;
pub mod helper;
mod listening;
pub mod loaded;
pub mod run;
mod runtime;
pub mod scale;
pub mod what_if;
pub mod workload;

pub use compare::compare;
pub use error::TrialError;
pub use front_end::{FrontEnd, Progress, Silent};
pub use helper::HelperProgram;
pub use run::run;
pub use workload::Workload;
