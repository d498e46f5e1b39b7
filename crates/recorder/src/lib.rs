//! Counts every OpenSSL allocation by file:line and call stack, from inside the process.
//!
//! The host hands over the allocator that OpenSSL's blocks come from ([`install()`]) and, now or
//! later, OpenSSL's `CRYPTO_set_mem_functions`; this crate links no OpenSSL. From then on each
//! malloc, realloc and free of OpenSSL is counted in the [ledger], which another process reads.
//!
//! What the host can rely on:
//!
//! * Pointers pass through unchanged; there is no header in front of a block.
//! * Nothing here allocates through the recorded path, takes a lock, or unwinds into C.
//! * When a table is full, the program runs on and the ledger says what was dropped.
//! * A forked child never counts in its parent's ledger. Whether it gets one of its own, in which
//!   what it has from its parent is kept apart, is the host's to say ([`Children`]).
//! * After [`prepare_for_sandbox`] the recorder makes no system call that a heap does not make.
//!
//! What the host owes: the hooks come into an OpenSSL before its first allocation. Where stacks are
//! read by [`StackSource::FramePointers`], the program and its OpenSSL are built with them.
//!
//! ```text
//! hooks ─► events ─► habits: the stack is one seen before ─► cell ─► ledger
//!   │         └ new ─► stack ─► sites ─► cell, segments ─► a new habit
//!   ├────► blocks (pointer → cell, size)
//!   └────► below (the heap, or the program's own functions)
//!
//! The malloc family as everybody else calls it comes the same way (family), where the host has it,
//! and so do the blocks of a jemalloc that is linked in under names of its own (jemalloc), and
//! those of Rust's global allocator, where that tells of them (rust), and Python's objects (python);
//! so does what the program maps from the kernel (mappings), with a table of its own (pieces).
//!
//! sampling has hooks of its own: most blocks ─► below, the others to the same tables.
//! ```

#![expect(
    clippy::inline_always,
    reason = "each event of OpenSSL's passes here in some tens of nanoseconds: a call of its own \
              sends the caller's fields through memory, and frame_pointer must be its caller's"
)]

#[cfg(not(all(target_os = "linux", target_pointer_width = "64", target_endian = "little")))]
compile_error!("the recorder is written for 64-bit little-endian Linux");

mod attach;
mod below;
mod blocks;
mod bounds;
mod caller;
mod current;
mod deep;
mod early;
mod error;
mod events;
mod family;
mod frame_pointer;
mod function;
mod habits;
mod heap;
mod heritage;
mod hooks;
mod index;
mod install;
mod jemalloc;
mod live_blocks;
mod lock;
mod mappings;
mod memory;
mod modules;
mod moves;
mod numbers;
mod openssls;
mod options;
mod pieces;
mod process;
mod python;
mod recorder;
mod rust;
mod sampling;
mod sandbox;
mod segments;
mod sites;
mod stack;
mod start;
mod thread_word;
mod threads;
mod trace;
mod unwind;
mod valgrind;

pub use attach::{Handed, attach, detach, sweep};
pub use blocks::FirstLevel;
pub use contract::PeakOf;
pub use early::begin_early;
pub use error::InstallError;
pub use family::{
    MallocFamily, count_family, count_no_family, counted, know_family, prepare_thread,
};
pub use function::{AtomicFn, FunctionPointer, address_of, function_at};
pub use heap::{
    FreeFn, Getter, Heap, MallocFn, MemoryFunctions, OpensslFunctions, ReallocFn, Setter,
};
pub use install::{check_in_place, install, note_replaced};
pub use jemalloc::{JemallocHooks, jemalloc_hooks};
pub use ledger::Sampling;
pub use live_blocks::{for_each_live_block, site_of_block};
pub use mappings::{
    LeftOut, MappingFamily, count_mappings_above, counted_mappings, leave_mappings_of,
};
pub use modules::{note_new_modules, note_unloading};
pub use numbers::MOST_OPENSSLS;
pub use openssls::{OpensslNumber, add_openssl};
pub use options::{Children, LedgerPlace, Options};
pub use python::{PythonAllocator, count_python, python_allocator};
pub use rust::{count_rust, counts_rust, rust_gives, rust_resizes, rust_takes_back};
pub use sampling::{SampleOptions, counts_a_part};
pub use sandbox::{
    give_up_sandbox, is_sandboxed, lift_filter, prepare_behind_filter, prepare_for_sandbox,
};
pub use stack::StackSource;
pub use start::note_late;
pub use threads::{is_at_own_work, own_work};
