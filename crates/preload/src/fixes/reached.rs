//! The OpenSSLs that are reached. A stand-in knows its own by the place.

use std::sync::OnceLock;

use crate::fixes::openssl::{MOST, Openssl};

static REACHED: [OnceLock<Openssl>; MOST] = [const { OnceLock::new() }; MOST];

/// The OpenSSL at this place, if there is one.
pub(super) fn reached(at: usize) -> Option<&'static Openssl> {
    REACHED[at].get()
}

/// Where the OpenSSL is kept from now on; `None` when there is no place left.
pub(super) fn keep(openssl: &Openssl) -> Option<usize> {
    let known = |at: &usize| reached(*at).is_some_and(|known| known.is_same_as(openssl));
    if let Some(at) = (0..MOST).find(known) {
        return Some(at);
    }
    // Several threads may be at it.
    (0..MOST).find(|at| REACHED[*at].set(openssl.clone()).is_ok())
}
