//! How exact a picture's figures are, in words for its subtitle.

use analysis::category::{HEAP_DOMAIN, MAPPING_DOMAIN, OPENSSL_DOMAIN, PYTHON_DOMAIN, RUST_DOMAIN};
use analysis::domain;
use profile::{Metric, Profile, Sample};

use crate::estimate::Estimate;

/// Which part of a profile is exact and which is sampled.
#[derive(Clone, Copy, Debug)]
pub enum Exactness {
    /// All of it is OpenSSL's.
    Exact,
    /// All of it is other code's, or that is in it too.
    ExactOthers {
        /// Whether OpenSSL's is in it.
        with_openssl: bool,
        /// What other code asked malloc for is in it.
        with_heap: bool,
        /// What was mapped from the kernel is in it.
        with_mappings: bool,
        /// Python's objects are in it, one by one.
        with_python: bool,
    },
    /// Rust's is in it, every block counted.
    ExactRust {
        /// OpenSSL's is in it too.
        with_openssl: bool,
    },
    /// All of it is Rust's.
    Sampled,
    /// Both are in it.
    Both,
    /// OpenSSL's was sampled by the recorder.
    Estimated {
        /// All of it.
        estimate: Estimate,
        /// Whether Rust's is in it too, sampled by jemalloc.
        with_rust: bool,
    },
    /// Its samples do not say whose they are.
    Unknown,
}

/// How exact a column of a profile is, by the domains of its samples.
pub fn exactness(profile: &Profile, column: usize) -> Exactness {
    let present = domain::present(profile);
    let with_rust = present.contains(RUST_DOMAIN);
    if let Some(estimate) = Estimate::of(profile, column) {
        return Exactness::Estimated { estimate, with_rust };
    }
    let with_openssl = present.contains(OPENSSL_DOMAIN);
    let [with_heap, with_mappings, with_python] =
        [HEAP_DOMAIN, MAPPING_DOMAIN, PYTHON_DOMAIN].map(|domain| present.contains(domain));
    if (with_heap || with_mappings || with_python) && !with_rust {
        return Exactness::ExactOthers { with_openssl, with_heap, with_mappings, with_python };
    }
    if with_rust && counts_rust(profile) {
        return Exactness::ExactRust { with_openssl };
    }
    match (with_openssl, with_rust) {
        (true, true) => Exactness::Both,
        (true, false) => Exactness::Exact,
        (false, true) => Exactness::Sampled,
        (false, false) => Exactness::Unknown,
    }
}

/// Whether Rust's blocks were counted: of a sample, jemalloc only knows what is in use.
fn counts_rust(profile: &Profile) -> bool {
    let Some(column) = profile.column(Metric::AllocObjects) else { return false };
    let of_rust = |sample: &&Sample| domain::of_sample(sample).word() == RUST_DOMAIN;
    profile.samples().iter().filter(of_rust).any(|sample| sample.values[column] > 0)
}

impl Exactness {
    /// For a subtitle.
    pub fn phrase(self) -> String {
        match self {
            Exactness::Exact => "OpenSSL's part, exact".to_owned(),
            Exactness::ExactOthers { with_openssl, with_heap, with_mappings, with_python } => {
                let of_malloc = match (with_openssl, with_heap) {
                    (true, _) => Some("all of malloc's"),
                    (false, true) => Some("malloc's part without OpenSSL's"),
                    (false, false) => None,
                };
                let python = with_python.then_some("Python's objects");
                let mapped = with_mappings.then_some("all mappings");
                let which: Vec<&str> = [of_malloc, python, mapped].into_iter().flatten().collect();
                format!("{}, exact", which.join(", "))
            }
            Exactness::ExactRust { with_openssl: true } => {
                "OpenSSL's part and Rust's, exact".to_owned()
            }
            Exactness::ExactRust { with_openssl: false } => "Rust's part, exact".to_owned(),
            Exactness::Sampled => "Rust's part, sampled".to_owned(),
            Exactness::Both => "OpenSSL's part exact, Rust's sampled".to_owned(),
            Exactness::Estimated { estimate, with_rust } => {
                let rust = if with_rust { "; Rust's sampled too" } else { "" };
                format!("OpenSSL's part {estimate}{rust}")
            }
            Exactness::Unknown => "whole process".to_owned(),
        }
    }
}
