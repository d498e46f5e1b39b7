//! What changes in the code of the process while it is recorded.

use ledger_writer::Permit;

use crate::{current, unwind};

/// Adds the files that were mapped into the process since its ledger was made, so that addresses
/// in them get names. One thread at a time may call it.
pub fn note_new_modules() {
    if let Some(_permit) = Permit::ask()
        && let Some(recorder) = current::current()
        && let Ok(map) = std::fs::read("/proc/self/maps")
    {
        recorder.ledger.add_modules(&map);
    }
}

/// Forgets what is known of code: a library has been unloaded, and another may come to its place.
pub fn note_unloading() {
    unwind::forget();
}
