//! `tlsheap diff`: what changed between two captures.

use std::num::NonZeroU64;
use std::path::{Path, PathBuf};

use analysis::diff::{
    DiffRow, Margins, by_category, diff_rows, diff_versions, margin_of_category, margins_of_totals,
};
use analysis::moved::Versions;
use clap::Args;
use report::bytes::{give_or_take, human};
use report::differential::{DifferentialOptions, Ratio, SideOf, differential};
use report::table;

use crate::capture::{Capture, Exactness, GroupBy, ViewOptions, exactness};
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
        Ok(Capture::open_domain(path, options.view.domain)?
            .of_process(options.view.process.as_deref())?
            .under(&options.view.under))
    };
    let (before, after) = (open(&options.before)?, open(&options.after)?);
    let connections = before.connections.zip(after.connections).filter(|_| !options.whole);
    let by = options.view.by;
    // Per connection, what was there before the first one is nobody's.
    let [old, new] = [&before, &after].map(|capture| match connections {
        Some(_) => capture.grown_rows(by.by()),
        None => capture.rows(by.by()),
    });
    let rows = match by {
        GroupBy::Site => diff_versions(&old, &new, connections, versions(&before, &after)),
        _ => diff_rows(&old, &new, connections),
    };
    if let Some(path) = &options.flame {
        whole_file::write(path, &draw(&before, &after, connections)?)?;
    }
    if options.view.json {
        let per_connection = connections.is_some();
        return output::print_json(&DiffJson::new(&before, &after, by, &rows, per_connection));
    }
    let margins = margins_of_totals(&old, &new, connections);
    let mut text = heading(&before, &after, &rows, connections.is_some(), margins);
    text += &of_which(&rows, by);
    text += "\n";
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

fn heading(
    before: &Capture,
    after: &Capture,
    rows: &[DiffRow],
    per_connection: bool,
    margins: Margins,
) -> String {
    let sum = |of: fn(&analysis::diff::Change) -> f64| -> f64 {
        rows.iter().filter_map(|row| row.inuse_bytes.as_ref().map(of)).sum()
    };
    let (old, new) = (sum(|change| change.before), sum(|change| change.after));
    let change =
        if old == 0.0 { String::new() } else { format!(" ({:+.1} %)", (new - old) / old * 100.0) };
    let what = if per_connection { "a connection" } else { "in use" };
    let [from, to] = [before, after].map(|capture| match &capture.openssl {
        // The versions explain a change where they differ.
        Some(version) if before.openssl != after.openssl => {
            format!("{} ({})", capture.name, short_version(version))
        }
        _ => capture.name.clone(),
    });
    let [was, is] = [(old, margins.before), (new, margins.after)]
        .map(|(bytes, margin)| give_or_take(bytes, margin, human));
    let mut text = format!("{from} → {to}: {was} → {is} {what}{change}\n");
    if let Some(margin) = margins.change {
        let within = if (new - old).abs() > margin { "" } else { ": within error" };
        let change = give_or_take(new - old, Some(margin), human);
        text += &format!("estimated from samples; changed by {change} (95 %){within}\n");
    }
    text
}

/// The categories that make most of the change: `of which tls.record_layer +8.8 KB, …`.
fn of_which(rows: &[DiffRow], by: GroupBy) -> String {
    /// Categories named, and the least share of the change that is worth a name.
    const MOST: usize = 4;
    const LEAST: f64 = 0.02;
    if !matches!(by, GroupBy::Site | GroupBy::Category) {
        return String::new();
    }
    let changes = by_category(rows);
    let moved: f64 = changes.iter().map(|(_, change)| change.delta().abs()).sum();
    let named: Vec<String> = changes
        .iter()
        .filter(|(_, change)| change.delta().abs() >= moved * LEAST)
        .take(MOST)
        .map(|(category, change)| {
            let sign = if change.delta() > 0.0 { "+" } else { "" };
            let margin = margin_of_category(rows, category);
            format!("{category} {sign}{}", give_or_take(change.delta(), margin, human))
        })
        .collect();
    match named.join(", ") {
        named if named.is_empty() => String::new(),
        // With their intervals they may be too long for one line.
        named if rows.iter().any(|row| row.bytes_margins.change.is_some()) => {
            output::wrapped(&format!("of which {named}"), 0) + "\n"
        }
        named => format!("of which {named}\n"),
    }
}

/// `OpenSSL 3.0.19` of `OpenSSL 3.0.19 27 Jan 2026`.
fn short_version(version: &str) -> String {
    version.split_whitespace().take(2).collect::<Vec<_>>().join(" ")
}

/// Whether lines mean the same on both sides.
fn versions(before: &Capture, after: &Capture) -> Versions {
    Versions::of(before.openssl.as_deref(), after.openssl.as_deref())
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
    let after_side = side(after, Ratio::ONE)?;
    let options = DifferentialOptions::titled(match exactness(&after.profile, after_side.column) {
        Exactness::Exact | Exactness::Estimated { with_rust: false, .. } => "OpenSSL bytes in use",
        _ => "bytes in use",
    });
    Ok(differential(&side(before, scale)?, &after_side, &options)?)
}
