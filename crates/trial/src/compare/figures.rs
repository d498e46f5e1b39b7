//! The figures of one configuration, from its run and from the rounds without the recorder.

use std::collections::BTreeMap;

use analysis::column::Column;
use analysis::group::By;
use analysis::repetition::{median, spread};
use capture::Capture;
use capture::records::comparison::Figures;
use capture::records::scale::Scale;
use echo_server::Configuration;

use super::Rates;
use crate::TrialError;

/// The category of zlib's state.
const ZLIB: &str = "compression.zlib";

/// What was found of one configuration. `capture` is of a run that ended well.
pub fn figures(
    configuration: &Configuration,
    capture: &Capture,
    rates: &Rates,
    scale: Option<Scale>,
) -> Result<Figures, TrialError> {
    let record = capture.run().expect("the capture was made by a run");
    let cost = record.per_connection.as_ref();
    let zlib = capture
        .clone()
        .part(None)?
        .top(By::Site, Column::InUse)
        .rows
        .iter()
        .filter(|row| row.key.category == ZLIB)
        .filter_map(|row| row.bytes)
        .fold(0.0, |sum, bytes| sum + bytes);
    Ok(Figures {
        name: configuration.name.clone(),
        summary: configuration.summary.clone(),
        connections: record.connections.map(std::num::NonZeroU64::get),
        openssl_bytes_per_connection: cost.map(|cost| cost.bytes),
        blocks_per_connection: cost.map(|cost| cost.blocks),
        allocs_per_handshake: cost.map(|cost| cost.allocations),
        rss_per_connection: median(&rates.rss_per_connection),
        rss_per_connection_spread: spread(&rates.rss_per_connection),
        handshakes_per_second: median(&rates.handshakes_per_second),
        handshakes_per_second_spread: spread(&rates.handshakes_per_second),
        server_cpu_us_per_handshake: median(&rates.server_cpu_us),
        zlib_bytes_per_connection: cost.map(|_| zlib),
        objects: record.at_rest.objects.clone(),
        added_objects: added(&record.at_rest.objects, &record.baseline.objects),
        scale,
        versions: Some(record.versions.clone()),
    })
}

/// Objects of each kind that were not there before.
fn added(now: &BTreeMap<String, i64>, before: &BTreeMap<String, i64>) -> BTreeMap<String, i64> {
    let earlier = |kind: &String| before.get(kind).copied().unwrap_or_default();
    now.iter().map(|(kind, number)| (kind.clone(), number - earlier(kind))).collect()
}
