//! What the two ends of a connection agreed on, asked of OpenSSL.

use std::ffi::{CStr, c_char};
use std::fmt;

use foreign_types::ForeignTypeRef;
use openssl::ssl::SslRef;
use serde::{Deserialize, Serialize};

/// What the two ends of a connection agreed on, in OpenSSL's words.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Negotiation {
    /// For example `TLSv1.2`.
    pub protocol: String,
    /// For example `ECDHE-ECDSA-AES256-GCM-SHA384`.
    pub cipher: String,
    /// The key exchange group, for example `x25519`; `none` without one.
    pub group: String,
    /// For example `zlib compression`; `none` without it.
    pub compression: String,
}

impl Negotiation {
    /// Asks a connection whose handshake is done.
    pub fn of(ssl: &SslRef) -> Negotiation {
        Parts::of(ssl).to_owned()
    }
}

impl fmt::Display for Negotiation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}, {}, group {}, compression {}",
            self.protocol, self.cipher, self.group, self.compression
        )
    }
}

/// How many connections agreed on what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct NegotiationCount {
    /// What they agreed on.
    #[serde(flatten)]
    pub negotiation: Negotiation,
    /// How many connections.
    pub connections: u64,
}

/// A list of what connections agreed on. There are one or two kinds in practice, so counting one
/// more is a glance at a short list, and allocates only for a kind not seen before.
#[derive(Debug, Default)]
pub(crate) struct NegotiationCounts(Vec<NegotiationCount>);

impl NegotiationCounts {
    /// Counts a connection. Returns what it agreed on when it is the first of its kind.
    pub(crate) fn count(&mut self, ssl: &SslRef) -> Option<Negotiation> {
        let parts = Parts::of(ssl);
        if let Some(known) = self.0.iter_mut().find(|known| parts.are(&known.negotiation)) {
            known.connections += 1;
            return None;
        }
        let negotiation = parts.to_owned();
        self.0.push(NegotiationCount { negotiation: negotiation.clone(), connections: 1 });
        Some(negotiation)
    }

    /// All kinds, sorted.
    pub(crate) fn sorted(&self) -> Vec<NegotiationCount> {
        let mut counts = self.0.clone();
        counts.sort_by(|a, b| a.negotiation.cmp(&b.negotiation));
        counts
    }
}

/// A negotiation's words, still OpenSSL's own.
struct Parts<'a> {
    protocol: &'a str,
    cipher: &'a str,
    group: &'a str,
    compression: &'a str,
}

impl Parts<'_> {
    fn of(ssl: &SslRef) -> Parts<'_> {
        // SAFETY: the connection is live. The group's name belongs to its context, the method is
        // static, and so is its name; a NULL method has a NULL name.
        let (group, compression) = unsafe {
            let method = openssl_sys::SSL_get_current_compression(ssl.as_ptr());
            (
                text(openssl_sys::SSL_get0_group_name(ssl.as_ptr())),
                text(openssl_sys::SSL_COMP_get_name(method)),
            )
        };
        Parts {
            protocol: ssl.version_str(),
            cipher: ssl.current_cipher().map_or("none", |cipher| cipher.name()),
            group,
            compression,
        }
    }

    fn are(&self, other: &Negotiation) -> bool {
        self.protocol == other.protocol
            && self.cipher == other.cipher
            && self.group == other.group
            && self.compression == other.compression
    }

    fn to_owned(&self) -> Negotiation {
        Negotiation {
            protocol: self.protocol.to_owned(),
            cipher: self.cipher.to_owned(),
            group: self.group.to_owned(),
            compression: self.compression.to_owned(),
        }
    }
}

/// `none` for NULL and for what is not UTF-8, which OpenSSL's names always are.
///
/// # Safety
///
/// `name` is NULL, or a C string that lives as long as `'a`.
unsafe fn text<'a>(name: *const c_char) -> &'a str {
    if name.is_null() {
        return "none";
    }
    // SAFETY: by this function's contract.
    unsafe { CStr::from_ptr(name) }.to_str().unwrap_or("none")
}
