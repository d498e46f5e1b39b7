//! `compare.json`: the figures of each configuration. Documented in docs/json.md.

use std::collections::BTreeMap;

use analysis::slope::{Fit, Growth, Slopes};
use echo_server::Configuration;
use serde::{Deserialize, Serialize};

use crate::commands::compare::bare_server::Rates;
use crate::commands::run::Done;
use crate::machine::Machine;
use crate::run_record::Versions;

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

/// The line through several numbers of connections.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Scale {
    /// At how many connections.
    pub connections: Vec<u64>,
    pub bytes: FitRecord,
    pub blocks: FitRecord,
    /// The sites that are not constant, the largest slope first.
    pub sites: Vec<SiteSlope>,
    /// How many sites do not change with the connections.
    pub constant_sites: usize,
}

/// One site's line.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SiteSlope {
    pub file: String,
    pub line: u32,
    pub function: String,
    pub category: String,
    /// It holds more at each larger number of connections.
    pub grows: bool,
    pub bytes: FitRecord,
    pub blocks: FitRecord,
}

/// value = fixed + per_connection × connections.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct FitRecord {
    pub fixed: f64,
    pub per_connection: f64,
    pub r_squared: f64,
}

impl Comparison {
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
            .sum();
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

impl Scale {
    /// The lines through captures at these numbers of connections.
    pub fn new(connections: Vec<u64>, slopes: &Slopes) -> Scale {
        let changing = slopes.rows.iter().filter(|row| row.growth != Growth::Constant);
        Scale {
            connections,
            bytes: slopes.bytes.into(),
            blocks: slopes.blocks.into(),
            sites: changing
                .map(|row| SiteSlope {
                    file: row.key.file.clone(),
                    line: row.key.line,
                    function: row.key.function.clone(),
                    category: row.key.category.clone(),
                    grows: row.growth == Growth::Grows,
                    bytes: row.bytes.into(),
                    blocks: row.blocks.into(),
                })
                .collect(),
            constant_sites: slopes.rows.iter().filter(|row| row.growth == Growth::Constant).count(),
        }
    }
}

impl From<Fit> for FitRecord {
    fn from(fit: Fit) -> FitRecord {
        FitRecord { fixed: fit.fixed, per_connection: fit.per_connection, r_squared: fit.r_squared }
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

fn spread(values: &[f64]) -> Option<(f64, f64)> {
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
