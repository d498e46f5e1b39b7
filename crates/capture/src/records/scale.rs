//! `scale.json`: the line through several numbers of connections. Documented in docs/json.md.

use analysis::slope::{Fit, Growth, Slopes};
use serde::{Deserialize, Serialize};

/// The line through several numbers of connections.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Scale {
    /// At how many connections.
    pub connections: Vec<u64>,
    /// Bytes in use.
    pub bytes: FitRecord,
    /// Blocks in use.
    pub blocks: FitRecord,
    /// The sites that are not constant, the largest slope first.
    pub sites: Vec<SiteSlope>,
    /// How many sites do not change with the connections.
    pub constant_sites: usize,
}

/// One site's line.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SiteSlope {
    /// The source file.
    pub file: String,
    /// The line in it.
    pub line: u32,
    /// The function that asked for memory.
    pub function: String,
    /// What the memory is for.
    pub category: String,
    /// Whether it holds more at each larger number of connections.
    pub grows: bool,
    /// Bytes in use.
    pub bytes: FitRecord,
    /// Blocks in use.
    pub blocks: FitRecord,
}

/// value = fixed + per_connection × connections.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct FitRecord {
    /// What is there without connections.
    pub fixed: f64,
    /// What each connection adds.
    pub per_connection: f64,
    /// How well the line fits: 1 where it goes through every point.
    pub r_squared: f64,
}

impl Scale {
    /// What was found at so many connections.
    pub fn new(connections: Vec<u64>, slopes: &Slopes) -> Scale {
        let constant = |growth: Growth| growth == Growth::Constant;
        Scale {
            connections,
            bytes: slopes.bytes.into(),
            blocks: slopes.blocks.into(),
            sites: slopes
                .rows
                .iter()
                .filter(|row| !constant(row.growth))
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
            constant_sites: slopes.rows.iter().filter(|row| constant(row.growth)).count(),
        }
    }
}

impl From<Fit> for FitRecord {
    fn from(fit: Fit) -> FitRecord {
        FitRecord { fixed: fit.fixed, per_connection: fit.per_connection, r_squared: fit.r_squared }
    }
}
