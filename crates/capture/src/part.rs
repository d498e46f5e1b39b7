//! Whose memory is looked at.

use analysis::category::{HEAP_DOMAIN, MAPPING_DOMAIN, OPENSSL_DOMAIN, PYTHON_DOMAIN, RUST_DOMAIN};
use analysis::domain;
use profile::Profile;

/// Whose memory to look at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Part {
    /// What OpenSSL asked for: exact.
    Openssl,
    /// What everybody else asked the malloc family for: exact.
    Heap,
    /// What everybody mapped from the kernel, but for the allocator: exact.
    Mapping,
    /// What Python asked for, object by object: exact.
    Python,
    /// What Rust asked for: sampled by jemalloc, and scaled up.
    Rust,
    /// Everything.
    Whole,
}

impl Part {
    /// The value of the label `domain` on its samples; `None` for all of them.
    pub fn label(self) -> Option<&'static str> {
        match self {
            Part::Openssl => Some(OPENSSL_DOMAIN),
            Part::Heap => Some(HEAP_DOMAIN),
            Part::Mapping => Some(MAPPING_DOMAIN),
            Part::Python => Some(PYTHON_DOMAIN),
            Part::Rust => Some(RUST_DOMAIN),
            Part::Whole => None,
        }
    }

    /// What to look at when nobody says: OpenSSL's memory where there is any, so that totals are
    /// exact.
    pub fn usual(profile: &Profile) -> Part {
        let has_openssl = domain::present(profile).contains(OPENSSL_DOMAIN);
        if has_openssl { Part::Openssl } else { Part::Whole }
    }
}
