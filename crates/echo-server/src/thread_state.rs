//! What OpenSSL keeps for each thread.

use openssl::error::ErrorStack;
use openssl::rand::{rand_bytes, rand_priv_bytes};

/// Has OpenSSL make what it keeps for the calling thread: to be called when a runtime starts one.
/// Otherwise the first connection that the thread serves makes it, and it looks like what that
/// connection costs.
pub fn prepare() {
    // Its two generators of random numbers and its queue of errors. What fails fails again when a
    // connection needs it, where it is told.
    let mut byte = [0];
    let _ = rand_bytes(&mut byte);
    let _ = rand_priv_bytes(&mut byte);
    let _ = ErrorStack::get();
}
