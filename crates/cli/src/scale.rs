//! The slope: one configuration at several numbers of connections, and the line through them.

use std::num::NonZeroU64;
use std::path::Path;

use analysis::group::By;
use analysis::slope::{Fit, Growth, Slopes, slopes};
use echo_server::Configuration;
use indicatif::ProgressBar;
use report::bytes::{exact, one_decimal, rounded};
use report::table::{self, Colour};
use serde::{Deserialize, Serialize};

use crate::capture::Capture;
use crate::commands::run::{self, run_into};
use crate::failure::Failure;

/// Sites shown of a slope.
const SITES: usize = 10;

/// The line through several numbers of connections. Documented in docs/json.md.
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

/// Says which numbers of connections make no line, before anything is started.
pub fn check(numbers: &[usize]) -> Result<(), Failure> {
    let mut different = numbers.to_vec();
    different.sort_unstable();
    different.dedup();
    if different.len() == 1 {
        return Err(Failure::usage(
            "--scale needs at least two different numbers of connections, as in --scale 50,100,200",
        ));
    }
    Ok(())
}

/// Runs at each of these numbers of connections, in folders inside `folder` that are removed
/// again, and fits. `None` when there are no numbers.
pub fn measure(
    template: &run::Options,
    configuration: &Configuration,
    numbers: &[usize],
    folder: &Path,
    progress: &ProgressBar,
) -> Result<Option<Scale>, Failure> {
    check(numbers)?;
    let mut captures = Vec::new();
    for (at, connections) in numbers.iter().enumerate() {
        progress.set_message(format!("{}: {connections} connections", configuration.name));
        let path = folder.join(format!(".scale-{at}"));
        let options = run::Options { connections: *connections, ..template.clone() };
        let seen = run_into(&options, configuration, &path)
            .and_then(|done| done.ended_well(&path))
            .and_then(|()| Capture::open(&path));
        // What cannot be removed stays beside the run and does no harm.
        let _ = std::fs::remove_dir_all(&path);
        let seen = seen?;
        captures.push((seen.connections.map_or(0, NonZeroU64::get), seen.rows(By::Site)));
        progress.inc(1);
    }
    let connections = captures.iter().map(|(connections, _)| *connections).collect();
    Ok(slopes(&captures).map(|slopes| Scale::new(connections, &slopes)))
}

impl Scale {
    fn new(connections: Vec<u64>, slopes: &Slopes) -> Scale {
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

    /// The line in words, and the sites that make it up.
    pub fn describe(&self, name: &str, colour: Colour) -> String {
        let at: Vec<String> = self.connections.iter().map(u64::to_string).collect();
        let mut text = format!("\n{name}, at {} connections:\n", at.join(", "));
        for (what, fit, say) in [
            ("bytes", &self.bytes, rounded as fn(f64) -> String),
            ("blocks", &self.blocks, one_decimal),
        ] {
            text += &format!(
                "  {what:6} = {} + {} × N   (R² {:.5})\n",
                rounded(fit.fixed),
                say(fit.per_connection),
                fit.r_squared,
            );
        }
        let growing = self.sites.iter().filter(|site| site.grows).count();
        text += &format!(
            "{growing} sites grow with N, {} are constant, {} change without rule\n",
            exact(self.constant_sites as i64),
            self.sites.len() - growing,
        );
        let shown: Vec<&SiteSlope> = self.sites.iter().take(SITES).collect();
        let cells: Vec<Vec<String>> = shown.iter().map(|site| site.cells()).collect();
        let headings = ["bytes × N", "+ fixed", "R²", "with N", "category", "site"];
        text += &table::plain(&headings, &cells, colour);
        if self.sites.len() > SITES {
            text += &format!("… and {} more\n", self.sites.len() - SITES);
        }
        text
    }
}

impl SiteSlope {
    fn cells(&self) -> Vec<String> {
        vec![
            rounded(self.bytes.per_connection),
            rounded(self.bytes.fixed),
            format!("{:.5}", self.bytes.r_squared),
            if self.grows { "grows" } else { "irregular" }.to_owned(),
            self.category.clone(),
            format!("{}:{}", self.file, self.line),
        ]
    }
}

impl From<Fit> for FitRecord {
    fn from(fit: Fit) -> FitRecord {
        FitRecord { fixed: fit.fixed, per_connection: fit.per_connection, r_squared: fit.r_squared }
    }
}
