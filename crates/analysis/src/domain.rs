//! A part of a profile: what one owner of memory holds.

use std::collections::BTreeSet;

use contract::{Domain, labels};
use profile::{Profile, Sample};

/// Who asked for the memory of a sample: an OpenSSL, where the sample does not say.
pub fn of_sample(sample: &Sample) -> Domain {
    sample.label(labels::DOMAIN).and_then(Domain::from_word).unwrap_or_default()
}

/// Keeps the samples of one domain, such as [`crate::category::OPENSSL_DOMAIN`].
pub fn keep(profile: &mut Profile, domain: &str) {
    profile.samples_mut().retain(|sample| sample.label(labels::DOMAIN) == Some(domain));
}

/// Leaves the samples of one domain out.
pub fn leave_out(profile: &mut Profile, domain: &str) {
    profile.samples_mut().retain(|sample| sample.label(labels::DOMAIN) != Some(domain));
}

/// The domains that samples of the profile name.
pub fn present(profile: &Profile) -> BTreeSet<&str> {
    profile.samples().iter().filter_map(|sample| sample.label(labels::DOMAIN)).collect()
}

/// The sum of a column over OpenSSL's samples, or over all where the profile has none of those.
pub fn total_of_openssl(profile: &Profile, column: usize) -> i64 {
    let openssl = Domain::Openssl.word();
    let is_openssl = |sample: &&Sample| sample.label(labels::DOMAIN) == Some(openssl);
    let mut own = profile.samples().iter().filter(is_openssl).peekable();
    match own.peek() {
        Some(_) => own.fold(0, |sum, sample| sum.saturating_add(sample.values[column])),
        None => profile.total(column),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::category::{OPENSSL_DOMAIN, RUST_DOMAIN};
    use crate::group::Counts;
    use crate::sample_profile::{push, stack};

    #[test]
    fn each_domain_is_kept_for_itself() {
        let mut profile = Profile::of_heap();
        push(&mut profile, OPENSSL_DOMAIN, &stack(&[("SSL_new", "ssl/ssl_lib.c")]), 1, 300);
        push(&mut profile, RUST_DOMAIN, &stack(&[("accept", "src/server.rs")]), 2, 50);
        assert_eq!(present(&profile), [OPENSSL_DOMAIN, RUST_DOMAIN].into());
        let mut rust = profile.clone();
        keep(&mut rust, RUST_DOMAIN);
        assert_eq!(Counts::total(&rust).inuse_bytes, Some(50));
        let mut others = profile.clone();
        leave_out(&mut others, OPENSSL_DOMAIN);
        assert_eq!(others.samples(), rust.samples());
        keep(&mut profile, OPENSSL_DOMAIN);
        assert_eq!(Counts::total(&profile).inuse_bytes, Some(300));
        assert_eq!(present(&profile), [OPENSSL_DOMAIN].into());
    }
}
