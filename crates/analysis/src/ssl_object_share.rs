//! What one SSL object costs in a program whose connections nobody counted.

use std::collections::BTreeMap;
use std::num::NonZeroU64;

use profile::Profile;

use crate::counts::Counts;
use crate::group::{By, group};
use crate::objects::{Object, objects, objects_made};
use crate::per_connection::divide;
use crate::top::Top;

/// The shares of one SSL object in what was held at a capture. Each end of a connection has one.
#[derive(Clone, Debug, PartialEq)]
pub struct SslObjectShare {
    /// Whether what was there before the first connection is taken off. If not, the figures are at
    /// most right: everything that OpenSSL holds is in them.
    pub less_baseline: bool,
    /// Requested bytes.
    pub bytes: f64,
    /// Blocks.
    pub blocks: f64,
    /// SSL objects that were made since the baseline.
    pub made: u64,
    /// Allocations since the baseline for each of them; `None` when none was made.
    pub allocations: Option<f64>,
    /// The shares site by site.
    pub top: Top,
}

impl SslObjectShare {
    /// `None` when no SSL object was live at the capture, or when the profile does not know its
    /// objects, bytes or blocks.
    pub fn of(captured: &Profile, baseline: Option<&Profile>) -> Option<SslObjectShare> {
        let ssl = |counts: Option<BTreeMap<Object, i64>>| {
            counts.and_then(|counts| counts.get(&Object::Ssl).copied()).unwrap_or_default()
        };
        let live = u64::try_from(ssl(objects(captured))).ok().and_then(NonZeroU64::new)?;
        let before = baseline.map_or(0, |baseline| ssl(objects_made(baseline)));
        let made = u64::try_from(ssl(objects_made(captured)) - before).unwrap_or_default();
        let allocated = |profile: &Profile| Counts::total(profile).alloc_blocks.unwrap_or_default();
        let allocations = allocated(captured) - baseline.map_or(0, allocated);

        let rows = group(captured, By::Site);
        let rows_before = baseline.map(|baseline| group(baseline, By::Site));
        let top = Top::per_connection(&rows, rows_before.as_deref(), live);
        Some(SslObjectShare {
            less_baseline: baseline.is_some(),
            bytes: top.bytes?,
            blocks: top.blocks?,
            made,
            allocations: NonZeroU64::new(made).map(|made| divide(allocations, made)),
            top,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::category::OPENSSL_DOMAIN;
    use crate::sample_profile::{push_values, stack};

    const SSL: [(&str, &str); 2] =
        [("ossl_ssl_connection_new_int", "ssl/ssl_lib.c"), ("SSL_new", "ssl/ssl_lib.c")];
    const CONTEXT: [(&str, &str); 1] = [("SSL_CTX_new_ex", "ssl/ssl_lib.c")];

    /// SSL objects of 1,000 bytes, and a context; all that was made before is gone.
    fn profile(live: i64, made: i64) -> Profile {
        let mut profile = Profile::of_heap();
        let values = vec![live, 1_000 * live, made, 1_000 * made, live, 1_000 * live];
        push_values(&mut profile, OPENSSL_DOMAIN, &stack(&SSL), values);
        push_values(&mut profile, OPENSSL_DOMAIN, &stack(&CONTEXT), vec![1, 90, 1, 90, 1, 90]);
        profile
    }

    #[test]
    fn what_was_there_before_is_in_no_share() {
        let share = SslObjectShare::of(&profile(3, 10), Some(&profile(0, 4))).expect("three live");
        assert!(share.less_baseline);
        assert_eq!((share.bytes, share.blocks), (1_000.0, 1.0));
        assert_eq!((share.made, share.allocations), (6, Some(1.0)));
        assert_eq!(share.top.bytes, Some(1_000.0));
    }

    #[test]
    fn without_a_baseline_everything_is_shared_out() {
        let share = SslObjectShare::of(&profile(3, 10), None).expect("three live");
        assert!(!share.less_baseline);
        assert_eq!((share.bytes, share.made), (3_090.0 / 3.0, 10));
        assert_eq!(share.allocations, Some(1.1));
    }

    #[test]
    fn where_no_object_is_live_there_is_no_share() {
        assert_eq!(SslObjectShare::of(&profile(0, 10), None), None);
    }
}
