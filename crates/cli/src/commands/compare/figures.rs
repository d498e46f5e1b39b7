//! `compare.json`: the figures of each configuration. Documented in docs/json.md.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context;
use echo_server::Configuration;
use serde::{Deserialize, Serialize};

use crate::commands::compare::bare_server::Rates;
use crate::commands::run::Done;
use crate::failure::Failure;
use crate::machine::Machine;
use crate::run_record::Versions;
use crate::scale::Scale;

/// The version of this shape.
const SCHEMA: u32 = 1;

/// All configurations, in the order in which they were named.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Comparison {
    pub schema: u32,
    pub configurations: Vec<Figures>,
    pub machine: Machine,
    pub versions: Option<Versions>,
    pub command: Vec<String>,
}

/// One configuration. What was not measured is `null`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Figures {
    pub name: String,
    pub summary: String,
    pub connections: Option<u64>,
    pub openssl_bytes_per_connection: Option<f64>,
    pub blocks_per_connection: Option<f64>,
    /// Allocations from connecting to the capture: handshake, welcome, echoes.
    pub allocs_per_handshake: Option<f64>,
    /// Growth of resident memory, measured on a server without the recorder: median.
    pub rss_per_connection: Option<f64>,
    pub rss_per_connection_spread: Option<(f64, f64)>,
    /// Full handshakes in a second, on a server without the recorder: median.
    pub handshakes_per_second: Option<f64>,
    pub handshakes_per_second_spread: Option<(f64, f64)>,
    /// The server's processor time for each of them, in microseconds: median.
    pub server_cpu_us_per_handshake: Option<f64>,
    pub zlib_bytes_per_connection: Option<f64>,
    /// Live objects with all connections open.
    pub objects: BTreeMap<String, i64>,
    pub scale: Option<Scale>,
    #[serde(skip)]
    pub versions: Option<Versions>,
}

impl Comparison {
    /// Reads the figures of a comparison made before.
    pub fn read(path: &Path) -> Result<Comparison, Failure> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read {}", path.display()))?;
        let comparison: Comparison = serde_json::from_str(&text)
            .with_context(|| format!("{}: not the figures of a comparison", path.display()))?;
        if comparison.schema == SCHEMA {
            return Ok(comparison);
        }
        Err(Failure::usage(format!(
            "{}: expected a comparison of schema {SCHEMA}, found {}",
            path.display(),
            comparison.schema
        )))
    }

    /// The comparison, made now on this machine.
    pub fn new(configurations: Vec<Figures>) -> Comparison {
        Comparison {
            schema: SCHEMA,
            versions: configurations.first().and_then(|figures| figures.versions.clone()),
            configurations,
            machine: Machine::this(),
            command: std::env::args().collect(),
        }
    }
}

impl Figures {
    /// What was found of one configuration.
    pub fn new(
        configuration: &Configuration,
        done: &Done,
        rates: &Rates,
        scale: Option<Scale>,
    ) -> Figures {
        let record = &done.record;
        let cost = record.per_connection.as_ref();
        let zlib = done
            .top
            .rows
            .iter()
            .filter(|row| row.key.category == "compression.zlib")
            .filter_map(|row| row.bytes)
            .fold(0.0, |sum, bytes| sum + bytes);
        Figures {
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
            scale,
            versions: Some(record.versions.clone()),
        }
    }
}

/// The middle value; the mean of the middle two of an even number.
pub fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    match sorted.len() {
        0 => None,
        odd if odd % 2 == 1 => Some(sorted[middle]),
        _ => Some(f64::midpoint(sorted[middle - 1], sorted[middle])),
    }
}

/// The least and the most.
pub fn spread(values: &[f64]) -> Option<(f64, f64)> {
    let least = values.iter().copied().min_by(f64::total_cmp)?;
    let most = values.iter().copied().max_by(f64::total_cmp)?;
    Some((least, most))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!(spread(&[3.0, 1.0, 2.0]), Some((1.0, 3.0)));
    }
}
