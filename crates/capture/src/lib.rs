//! What is known of one moment of a process.
//!
//! A [`Capture`] is that in memory, wherever it came from: a run of the reference server, a
//! recording of any program, a moment of a series, a ledger, or a profile of any format.
//! [`Capture::open`] reads one; what an engine has just measured is one already, and a
//! [`folder`] is one on disk. [`records`] are the parts that are JSON there, typed both ways;
//! [`json`] is what commands print.
//!
//! Nothing here draws or words anything: that is for whoever shows a capture.
//!
//! ```
//! use std::path::Path;
//!
//! use analysis::column::Column;
//! use analysis::group::By;
//! use capture::Capture;
//!
//! // A comparison of the project's own, as `tlsheap run` has written it.
//! let run = Path::new("../../profiles/reference/tls13");
//! let capture = Capture::open(run)?;
//! let record = capture.run().expect("it was made by a run");
//! assert_eq!(record.configuration, "tls13");
//! let top = capture.top(By::Category, Column::InUse);
//! assert_eq!(top.bytes, record.per_connection.as_ref().map(|cost| cost.bytes));
//! # Ok::<(), capture::CaptureError>(())
//! ```

#![forbid(unsafe_code)]

pub mod capture;
mod error;
pub mod examined;
mod fault;
pub mod folder;
pub mod held;
pub mod json;
pub mod machine;
pub mod part;
pub mod part_of_folder;
pub mod records;
pub mod secrets;
mod temporary_name;
pub mod timeline;
mod whole;
pub mod whole_file;

pub use capture::{Capture, Counted, Known, Moments};
pub use error::CaptureError;
pub use examined::Examined;
pub use fault::Fault;
pub use part::Part;
pub use whole::memory_of_others;
