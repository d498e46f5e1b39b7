//! Puts tlsheap's library into a process that runs, and has it put everything back: by `ptrace`, in
//! one thread, at a point at which that harms nobody.
//!
//! ```text
//! target ──────► what speaks against it, before anything is done
//! safe_point ──► a thread in a system call that neither allocators nor the loader make
//!   frames ────► and below no signal handler
//!   injection ─► that call undone; on a stack of ours: system calls, and functions
//!     hand_over ► files of ours, as descriptors of the process
//!     placed ───► the library as a file there for a moment, where there is no /proc
//!     visit ────► dlopen, and the library's function; then everything is put back
//! outside ─────► after that: no thread is in the library any more
//! tracee, memory, areas: the kernel's interfaces to all of that
//! earlier ─────► apart from it: SSL objects that are there already, counted from outside
//! ```
//!
//! What the process can rely on:
//!
//! * One thread is stopped, for some milliseconds; the others run on, so that a lock which one of
//!   them holds is given back, and waited for as anybody does.
//! * The program does not see that a system call was interrupted.
//! * General registers, floating-point and vector registers, the signal mask, `errno`, and the stack
//!   are as they were. The environment is not touched.
//! * Where there is no such point in time, or something speaks against it, nothing is done, and the
//!   reason is a sentence. Nothing is ever forced.
//!
//! It is written for x86-64 and the GNU C library, and takes Linux 5.6.

#![cfg(target_os = "linux")]

mod areas;
mod earlier;
mod error;
mod memory;
mod placed;
mod target;

#[cfg(target_arch = "x86_64")]
mod frames;
#[cfg(target_arch = "x86_64")]
mod hand_over;
#[cfg(target_arch = "x86_64")]
mod injection;
#[cfg(target_arch = "x86_64")]
mod outside;
#[cfg(target_arch = "x86_64")]
mod safe_point;
#[cfg(target_arch = "x86_64")]
mod tracee;
#[cfg(target_arch = "x86_64")]
mod visit;

#[cfg(not(target_arch = "x86_64"))]
mod elsewhere;
#[cfg(not(target_arch = "x86_64"))]
use elsewhere as visit;

use std::time::Duration;

pub use earlier::{Earlier, earlier};
pub use error::AttachError;
pub use target::{Prospect, Target};
pub use visit::{attach, detach};

/// How long the process's thread is waited for at most, until it comes to a point at which it can
/// be stopped.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// What came of a visit.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Done {
    /// What the library found: the text of a coverage file.
    pub coverage: String,
    /// How long the thread stood still, or did our work.
    pub stopped: Duration,
    /// Processor time of the thread during that.
    pub processor: Duration,
}
