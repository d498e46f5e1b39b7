//! What one SSL object costs.

use std::num::NonZeroU64;

use analysis::group::{By, Counts, group};
use analysis::objects::{Object, objects, objects_made};
use analysis::per_connection::divide;
use analysis::top::Top;
use profile::Profile;

use crate::recording::PerSslObject;

/// The shares of one SSL object in what was held at the capture.
pub struct Shares {
    pub record: PerSslObject,
    /// Site by site.
    pub top: Top,
}

impl Shares {
    /// `None` when no SSL object was live at the capture.
    pub fn of(captured: &Profile, baseline: Option<&Profile>) -> Option<Shares> {
        let ssl = |counts: Option<std::collections::BTreeMap<Object, i64>>| {
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
        let record = PerSslObject {
            less_baseline: baseline.is_some(),
            bytes: top.bytes?,
            blocks: top.blocks?,
            made,
            allocations: NonZeroU64::new(made).map(|made| divide(allocations, made)),
        };
        Some(Shares { record, top })
    }
}
