//! The beginning of a ledger before its time.

use crate::{current, openssls, start};

/// Makes the ledger if there is none, although nothing has been allocated: later that may not be
/// possible. Nothing is done in a process without OpenSSL.
pub fn begin_early() {
    if current::current().is_none() && openssls::is_any() {
        start::start();
    }
}
