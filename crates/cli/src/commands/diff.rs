//! `tlsheap diff`: what changed between two captures.

use std::num::NonZeroU64;
use std::path::{Path, PathBuf};

use analysis::diff::{DiffRow, diff_rows};
use clap::Args;
use report::bytes::human;
use report::differential::{DifferentialOptions, Ratio, SideOf, differential};
use report::table;

use crate::capture::{Capture, Exactness, ViewOptions, exactness};
use crate::commands::top::table_options;
use crate::failure::Failure;
use crate::top_json::DiffJson;
use crate::{output, whole_file};

#[derive(Debug, Args)]
pub struct Options {
    /// What it was: a run folder, a profile of any format, or a ledger
    #[arg(value_name = "BEFORE")]
    pub before: PathBuf,
    /// What it is now
    #[arg(value_name = "AFTER")]
    pub after: PathBuf,
    /// Compare whole processes, even if both captures know their connections
    #[arg(long)]
    pub whole: bool,
    /// Draw a differential flamegraph too
    #[arg(long, value_name = "FILE")]
    pub flame: Option<PathBuf>,
    #[command(flatten)]
    pub view: ViewOptions,
}

/// Prints the table, and draws the picture if asked.
pub fn run(options: &Options) -> Result<(), Failure> {
    let open = |path: &Path| -> Result<Capture, Failure> {
        Ok(Capture::open_domain(path, options.view.domain)?.under(&options.view.under))
    };
    let (before, after) = (open(&options.before)?, open(&options.after)?);
    let connections = before.connections.zip(after.connections).filter(|_| !options.whole);
    let by = options.view.by;
    // Per connection, what was there before the first one is nobody's.
    let rows = match connections {
        Some(_) => diff_rows(&before.grown_rows(by.by()), &after.grown_rows(by.by()), connections),
        None => diff_rows(&before.rows(by.by()), &after.rows(by.by()), None),
    };
    if let Some(path) = &options.flame {
        whole_file::write(path, &draw(&before, &after, connections)?)?;
    }
    if options.view.json {
        let per_connection = connections.is_some();
        return output::print_json(&DiffJson::new(&before, &after, by, &rows, per_connection));
    }
    let mut text = heading(&before, &after, &rows, connections.is_some());
    let changed: Vec<DiffRow> =
        rows.into_iter().filter(|row| row.inuse_bytes.is_none_or(|c| c.delta() != 0.0)).collect();
    if changed.is_empty() {
        text += "nothing changed\n";
    } else {
        text += &table::diff(&changed, &table_options(&options.view));
    }
    if let Some(path) = &options.flame {
        text += &format!("\ndifferential flamegraph: {}\n", path.display());
    }
    output::print(&text)
}

fn heading(before: &Capture, after: &Capture, rows: &[DiffRow], per_connection: bool) -> String {
    let sum = |of: fn(&analysis::diff::Change) -> f64| -> f64 {
        rows.iter().filter_map(|row| row.inuse_bytes.as_ref().map(of)).sum()
    };
    let (old, new) = (sum(|change| change.before), sum(|change| change.after));
    let change =
        if old == 0.0 { String::new() } else { format!(" ({:+.1} %)", (new - old) / old * 100.0) };
    let what = if per_connection { "a connection" } else { "in use" };
    format!("{} → {}: {} → {} {what}{change}\n\n", before.name, after.name, human(old), human(new))
}

fn draw(
    before: &Capture,
    after: &Capture,
    connections: Option<(NonZeroU64, NonZeroU64)>,
) -> Result<Vec<u8>, Failure> {
    // Both sides as of the side after's number of connections.
    let scale = match connections {
        Some((old, new)) => Ratio { numerator: new.get(), denominator: old },
        None => Ratio::ONE,
    };
    let side = |capture, scale| -> Result<SideOf<'_>, Failure> {
        let capture: &Capture = capture;
        Ok(SideOf {
            profile: &capture.profile,
            column: capture.column(None)?,
            name: &capture.name,
            scale,
        })
    };
    let options = DifferentialOptions::titled(match exactness(&after.profile) {
        Exactness::Exact => "OpenSSL bytes in use",
        _ => "bytes in use",
    });
    Ok(differential(&side(before, scale)?, &side(after, Ratio::ONE)?, &options)?)
}
