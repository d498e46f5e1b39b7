//! What changes in the code of the process while it is recorded.

use ledger_writer::Permit;

use crate::{current, unwind};

/// Adds the files that were mapped into the process since its ledger was made, so that addresses
/// in them get names. `loaded` says in the form of the kernel's map what the loader knows of them,
/// for a process that cannot read that. One thread at a time may call it.
pub fn note_new_modules(loaded: impl FnOnce() -> Vec<u8>) {
    if let Some(_permit) = Permit::ask()
        && let Some(recorder) = current::current()
    {
        let map = std::fs::read("/proc/self/maps").unwrap_or_else(|_| loaded());
        recorder.ledger.add_modules(&map);
    }
}

/// Forgets what is known of code: a library has been unloaded, and another may come to its place.
pub fn note_unloading() {
    unwind::forget();
}
