//! What the page says of memory that is still there when all connections are closed.

use analysis::category::{OPENSSL_DOMAIN, RUST_DOMAIN};
use analysis::column::Column;
use analysis::diff::{Change, diff_versions};
use analysis::group::{By, Row, group_in};
use analysis::moved::Versions;
use capture::{Capture, CaptureError};

use super::subject::Told;
use crate::html::{Stays, StaysOf};

/// By site, what is more than before the first connection; `None` where either moment is not known.
pub(super) fn after_close(told: &Told) -> Result<Option<Stays>, CaptureError> {
    let Some(moments) = told.capture.around_connections()? else { return Ok(None) };
    let counts_rust = counts_rust(&told.capture);
    let [before, after] = moments.map(|profile| {
        let mut rows = group_in(&profile, By::Site, Column::InUse);
        // A sample at two moments says nothing of what came in between.
        rows.retain(|row| row.key.domain != RUST_DOMAIN || counts_rust);
        rows
    });
    let is_others = |row: &Row| row.key.domain != OPENSSL_DOMAIN;
    let of = if before.iter().chain(&after).any(is_others) {
        StaysOf::Everything
    } else {
        StaysOf::Openssl
    };
    let mut rows = diff_versions(&before, &after, None, Versions::of(None, None));
    rows.retain(|row| row.bytes.is_some_and(|change| change.delta() > 0.0));
    rows.sort_by(|one, other| {
        let delta = |change: Option<Change>| change.map_or(0.0, Change::delta);
        delta(other.bytes).total_cmp(&delta(one.bytes))
    });
    Ok(Some(Stays { of, rows }))
}

/// Whether each block of Rust's was counted, and none sampled.
fn counts_rust(capture: &Capture) -> bool {
    let rust = capture.run().and_then(|run| run.at_rest.rust);
    rust.is_none_or(|rust| rust.counted.is_some())
}
