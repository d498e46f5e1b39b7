//! The beginning of a ledger before its time.

use crate::{current, family, openssls, start};

/// Makes the ledger if there is none, although nothing has been allocated: later that may not be
/// possible. Nothing is done in a process without OpenSSL, unless all that it allocates is
/// counted.
pub fn begin_early() {
    if current::current().is_none() && (openssls::is_any() || family::is_counted()) {
        start::start();
    }
}
