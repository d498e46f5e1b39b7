//! Counts every OpenSSL allocation by file:line and call stack, from inside the process.
//!
//! The host hands over OpenSSL's `CRYPTO_set_mem_functions` and the allocator that OpenSSL's
//! blocks come from; this crate links no OpenSSL. From then on each malloc, realloc and free of
//! OpenSSL is counted in the [ledger], which another process reads.
//!
//! What the host can rely on:
//!
//! * Pointers pass through unchanged; there is no header in front of a block.
//! * Nothing here allocates through the recorded path, takes a lock, or unwinds into C.
//! * When a table is full, the program runs on and the ledger says what was dropped.
//! * A forked child of [`install()`] runs on unrecorded: the ledger is its parent's. One of
//!   [`prepare`] gets a ledger of its own, in which what it has from its parent is kept apart.
//! * After [`prepare_for_sandbox`] the recorder makes no system call that a heap does not make.
//!
//! What the host owes: [`install()`] or [`OpensslNumber::put_into`] comes before OpenSSL's first
//! allocation. For [`install()`], the program and its OpenSSL are built with frame pointers.
//!
//! ```text
//! hooks ─► threads ─► habits: the stack is one seen before ─► cell ─► ledger
//!   │         └ new ─► stack ─► sites ─► cell, segments ─► a new habit
//!   ├────► blocks (pointer → cell, size)
//!   └────► below (the heap, or the program's own functions)
//!
//! sampling has hooks of its own: most blocks ─► below, the others to the same tables.
//! ```

#[cfg(not(all(target_os = "linux", target_pointer_width = "64", target_endian = "little")))]
compile_error!("the recorder is written for 64-bit little-endian Linux");

mod below;
mod blocks;
mod habits;
mod heap;
mod hooks;
mod install;
mod memory;
mod openssls;
mod process;
mod recorder;
mod sampling;
mod sandbox;
mod segments;
mod sites;
mod stack;
mod thread_word;
mod threads;
mod trace;
mod unwind;

pub use heap::{
    FreeFn, Getter, Heap, MallocFn, MemoryFunctions, OpensslFunctions, ReallocFn, Setter,
};
pub use install::{
    InstallError, Options, check_in_place, for_each_live_block, install, note_replaced,
    site_of_block,
};
pub use ledger::Sampling;
pub use openssls::{MOST_OPENSSLS, OpensslNumber, add_openssl};
pub use process::{Preparation, begin_early, note_new_modules, note_unloading, prepare};
pub use sampling::SampleOptions;
pub use sandbox::{give_up_sandbox, is_sandboxed, prepare_for_sandbox};
pub use stack::StackSource;
