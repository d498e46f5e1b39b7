//! What is drawn as one area, and OpenSSL's areas together.

use analysis::category::RUST_DOMAIN;
use analysis::over_time::Series;

use super::Timeline;
use crate::palette;

/// Groups that never reach this share of the highest value are drawn as one.
const SMALL: f64 = 0.01;

/// The name of all small groups together.
pub(super) const SMALL_GROUPS: &str = "other OpenSSL";

const SMALL_COLOUR: &str = "#d9d5c8";

/// What is drawn as one area.
pub(super) struct Layer {
    pub name: String,
    pub colour: String,
    pub bytes: Vec<u64>,
    /// As those of a series.
    pub margins: Option<Vec<u64>>,
}

/// Estimated bytes at each moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Estimated {
    /// The estimates.
    pub bytes: Vec<u64>,
    /// Half the width of the 95 % interval of each.
    pub margins: Vec<u64>,
    /// The lower ends of the intervals; there is never less than nothing.
    pub low: Vec<u64>,
    /// Their upper ends.
    pub high: Vec<u64>,
}

/// The groups by their highest value, the largest first; small ones together behind them, and Rust
/// last, whatever its size.
pub(super) fn layers(timeline: &Timeline) -> Vec<Layer> {
    let highest = timeline.series.iter().map(|series| most(&series.bytes)).max();
    let smallest = highest.unwrap_or_default() as f64 * SMALL;
    let (rust, openssl): (Vec<&Series>, Vec<&Series>) =
        timeline.series.iter().partition(|series| is_rust(series));
    let (mut large, small): (Vec<&Series>, Vec<&Series>) =
        openssl.into_iter().partition(|series| most(&series.bytes) as f64 > smallest);
    large.sort_by_key(|series| std::cmp::Reverse(most(&series.bytes)));
    let layer = |series: &Series| Layer {
        name: series.group.clone(),
        colour: palette::of_group(&series.group).hex(),
        bytes: series.bytes.clone(),
        margins: series.margins.clone(),
    };
    let mut layers: Vec<Layer> = large.into_iter().map(layer).collect();
    if small.iter().any(|series| most(&series.bytes) > 0) {
        layers.push(Layer {
            name: SMALL_GROUPS.to_owned(),
            colour: SMALL_COLOUR.to_owned(),
            bytes: sums(timeline, &small),
            margins: margins_of_sums(timeline, &small),
        });
    }
    layers.extend(rust.into_iter().map(layer));
    layers
}

/// All of OpenSSL's series together; `None` where they are exact.
pub(super) fn openssl(timeline: &Timeline) -> Option<Estimated> {
    let margins = timeline.openssl_margins.clone()?;
    let openssl: Vec<&Series> = timeline.series.iter().filter(|series| !is_rust(series)).collect();
    let bytes = sums(timeline, &openssl);
    let ends = |end: fn(u64, u64) -> u64| {
        bytes.iter().zip(&margins).map(|(bytes, margin)| end(*bytes, *margin)).collect()
    };
    let (low, high) = (ends(u64::saturating_sub), ends(u64::saturating_add));
    Some(Estimated { bytes, margins, low, high })
}

fn is_rust(series: &Series) -> bool {
    series.group == RUST_DOMAIN
}

fn most(bytes: &[u64]) -> u64 {
    bytes.iter().copied().max().unwrap_or_default()
}

fn sums(timeline: &Timeline, series: &[&Series]) -> Vec<u64> {
    let sum = |at: usize| series.iter().map(|series| series.bytes[at]).fold(0, u64::saturating_add);
    (0..timeline.seconds.len()).map(sum).collect()
}

/// Variances add up. Each series reckons with one more block of its own, which makes the margins of
/// the sums a little too wide.
fn margins_of_sums(timeline: &Timeline, series: &[&Series]) -> Option<Vec<u64>> {
    let margins: Vec<&Vec<u64>> = series.iter().filter_map(|one| one.margins.as_ref()).collect();
    let square = |margin: u64| (margin as f64).powi(2);
    let sum = |at: usize| margins.iter().map(|margins| square(margins[at])).sum::<f64>().sqrt();
    let whole = |at: usize| sum(at).round() as u64;
    (!margins.is_empty()).then(|| (0..timeline.seconds.len()).map(whole).collect())
}
