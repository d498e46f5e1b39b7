//! What is drawn as one area.

use analysis::category::{MAPPING_DOMAIN, is_openssls};
use analysis::over_time::Series;
use analysis::timeline::Timeline;

use crate::palette;

/// Groups that never reach this share of the highest value are drawn as one.
const SMALL: f64 = 0.01;

/// Parts of what is mapped that never reach this share are drawn with the rest of it.
const SMALL_PART: f64 = 0.05;

/// The name of what is mapped and has no part of its own in the picture, where others have.
const OTHER_MAPPINGS: &str = "other mappings";

/// The name of all small groups together.
pub(super) const SMALL_GROUPS: &str = "other OpenSSL";

const SMALL_COLOUR: &str = "#d9d5c8";

/// What is drawn as one area.
pub(super) struct Layer {
    pub name: String,
    pub colour: String,
    pub bytes: Vec<u64>,
    /// Half the width of the 95 % interval of each; `None` where they are exact.
    pub margins: Option<Vec<u64>>,
}

/// The groups by their highest value, the largest first; small ones together behind them, and what
/// is not OpenSSL's last: whatever its size, but for small parts of what is mapped, which are drawn
/// with all that has no part of its own there.
pub(super) fn layers(timeline: &Timeline) -> Vec<Layer> {
    let highest =
        timeline.series.iter().map(|series| most(&series.bytes)).max().unwrap_or_default();
    let smallest = highest as f64 * SMALL;
    let (openssl, others): (Vec<&Series>, Vec<&Series>) =
        timeline.series.iter().partition(|series| is_openssls(&series.group));
    let (mut large, small): (Vec<&Series>, Vec<&Series>) =
        openssl.into_iter().partition(|series| most(&series.bytes) as f64 > smallest);
    large.sort_by_key(|series| std::cmp::Reverse(most(&series.bytes)));
    let in_colour = |series: Series, colour: String| Layer {
        name: series.group,
        colour,
        bytes: series.bytes,
        margins: series.margins,
    };
    let layer =
        |series: &Series| in_colour(series.clone(), palette::of_series(&series.group).hex());
    let mut layers: Vec<Layer> = large.into_iter().map(layer).collect();
    if small.iter().any(|series| most(&series.bytes) > 0) {
        let small = Series::together(SMALL_GROUPS, timeline.seconds.len(), &small);
        layers.push(in_colour(small, SMALL_COLOUR.to_owned()));
    }
    let is_small_part = |series: &&Series| {
        is_mapped(series) && (most(&series.bytes) as f64) < highest as f64 * SMALL_PART
    };
    let (parts, others): (Vec<&Series>, Vec<&Series>) =
        others.into_iter().partition(|it| it.group == MAPPING_DOMAIN || is_small_part(it));
    let has_parts = others.iter().copied().any(is_mapped);
    layers.extend(others.into_iter().map(layer));
    if !parts.is_empty() {
        let mut rest = layer(&Series::together(MAPPING_DOMAIN, timeline.seconds.len(), &parts));
        if has_parts {
            OTHER_MAPPINGS.clone_into(&mut rest.name);
        }
        layers.push(rest);
    }
    layers
}

fn is_mapped(series: &Series) -> bool {
    series.group.starts_with(MAPPING_DOMAIN)
}

fn most(bytes: &[u64]) -> u64 {
    bytes.iter().copied().max().unwrap_or_default()
}
