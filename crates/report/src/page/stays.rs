//! What the page says of memory that is still there when all connections are closed.

use analysis::column::Column;
use analysis::diff::{Change, diff_versions};
use analysis::moved::Versions;
use capture::CaptureError;

use super::subject::Told;
use crate::html::Stays;

/// By site, what is more than before the first connection; `None` where either moment is not known.
pub(super) fn after_close(told: &Told) -> Result<Option<Stays>, CaptureError> {
    let (Some(closed), true) = (told.capture.closed()?, told.capture.baseline.is_some()) else {
        return Ok(None);
    };
    let [before, after] = [told.baseline_rows(Column::InUse), told.rows(&closed, Column::InUse)];
    let mut rows = diff_versions(&before, &after, None, Versions::of(None, None));
    rows.retain(|row| row.bytes.is_some_and(|change| change.delta() > 0.0));
    rows.sort_by(|one, other| {
        let delta = |change: Option<Change>| change.map_or(0.0, Change::delta);
        delta(other.bytes).total_cmp(&delta(one.bytes))
    });
    Ok(Some(Stays { rows }))
}
