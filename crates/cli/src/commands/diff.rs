//! `tlsheap diff`: what changed between two captures.

use std::num::NonZeroU64;
use std::path::{Path, PathBuf};

use analysis::column::Column;
use analysis::diff::{
    Change, DiffRow, Margins, by_category, diff_rows, diff_versions, margin_of_category,
    margins_of_totals,
};
use analysis::group::By;
use analysis::moved::Versions;
use analysis::notation::{give_or_take, human};
use analysis::ratio::Estimated;
use capture::json::top::DiffJson;
use capture::{Capture, Part, whole_file};
use clap::Args;
use profile::harmless::harmless;
use report::column_note::column_note;
use report::differential::{DifferentialOptions, Ratio, SideOf, differential};
use report::exactness::{Exactness, exactness};
use report::table;
use report::wrapping::wrapped;

use crate::commands::top::table_options;
use crate::failure::Failure;
use crate::output;
use crate::view::ViewOptions;

#[derive(Debug, Args)]
pub struct Options {
    /// What it was: a run folder, a profile of any format, or a ledger; `-` is a profile on standard
    /// input
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
        Ok(Capture::open_part(path, options.view.domain.map(Part::from))?
            .of_process(options.view.process.as_deref())?
            .under(&options.view.under))
    };
    let (before, after) = (open(&options.before)?, open(&options.after)?);
    let column = Capture::common_column(&[&before, &after], options.view.column)?;
    let connections = before.connections_of(column).zip(after.connections_of(column));
    let connections = connections.filter(|_| !options.whole);
    let by = options.view.by.by();
    // Per connection, what was there before the first one is nobody's.
    let sides = |by: By| {
        [&before, &after].map(|capture| match connections {
            Some(_) => capture.grown_rows(by, column),
            None => capture.rows(by, column),
        })
    };
    let [old, new] = sides(by);
    let rows = match by {
        By::Site => diff_versions(&old, &new, connections, versions(&before, &after)),
        _ => diff_rows(&old, &new, connections),
    };
    if let Some(path) = &options.flame {
        whole_file::write(path, &draw(&before, &after, connections, column)?)?;
    }
    if options.view.json {
        let per_connection = connections.is_some();
        return output::print_json(&DiffJson::new(
            &before,
            &after,
            (by, column),
            &rows,
            per_connection,
        ));
    }
    let margins = margins_of_totals(&old, &new, connections);
    let what = match (connections, column) {
        (Some(_), Column::Allocated) => "ever allocated for a connection",
        (Some(_), _) => "a connection",
        (None, column) => column.phrase(),
    };
    let mut text = heading(&before, &after, &rows, what, margins);
    if let Some(note) = column_note(&[&before, &after], column, options.view.column) {
        text += &wrapped(&note, 0, output::medium());
        text += "\n";
    }
    if matches!(by, By::Site | By::Category) {
        // Of their own rows: margins of many sites do not add up to that of what they hold.
        let [old, new] = sides(By::Category);
        text += &of_which(&diff_rows(&old, &new, connections));
    }
    text += "\n";
    let changed: Vec<DiffRow> =
        rows.into_iter().filter(|row| row.bytes.is_none_or(|c| c.delta() != 0.0)).collect();
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
    what: &str,
    margins: Margins,
) -> String {
    let sum = |of: fn(&Change) -> f64| -> f64 {
        rows.iter().filter_map(|row| row.bytes.as_ref().map(of)).sum()
    };
    let (old, new) = (sum(|change| change.before), sum(|change| change.after));
    let bytes = Change { before: old, after: new };
    let change = bytes.relative_within(margins).map_or_else(String::new, in_percent);
    let [from, to] = [before, after].map(|capture| match &capture.openssl {
        // The versions explain a change where they differ.
        Some(version) if before.openssl != after.openssl => {
            format!("{} ({})", harmless(&capture.name), harmless(&short_version(version)))
        }
        _ => harmless(&capture.name).into_owned(),
    });
    let [was, is] = [(old, margins.before), (new, margins.after)]
        .map(|(bytes, margin)| give_or_take(bytes, margin, human));
    let heading = format!("{from} → {to}: {was} → {is} {what}{change}");
    let mut text = wrapped(&heading, 0, output::medium()) + "\n";
    if let Some(margin) = margins.change {
        let within = if bytes.is_significant(margins) { "" } else { ": within error" };
        let change = give_or_take(bytes.delta(), Some(margin), human);
        text += &format!("estimated from samples; changed by {change} (95 %){within}\n");
    }
    text
}

/// ` (-96.0 ± 1.8 %)`.
fn in_percent(relative: Estimated) -> String {
    let percent = relative.figure * 100.0;
    let margin = relative.margin.map(|margin| format!(" ± {:.1}", margin * 100.0));
    format!(" ({percent:+.1}{} %)", margin.unwrap_or_default())
}

/// Of rows by category those that make most of the change: `of which tls.record_layer +8.8 KB, …`.
fn of_which(rows: &[DiffRow]) -> String {
    /// Categories named, and the least share of the change that is worth a name.
    const MOST: usize = 4;
    const LEAST: f64 = 0.02;
    let changes = by_category(rows);
    let moved: f64 = changes.iter().map(|(_, change)| change.delta().abs()).sum();
    let named: Vec<String> = changes
        .iter()
        .filter(|(_, change)| change.delta().abs() >= moved * LEAST)
        .take(MOST)
        .map(|(category, change)| {
            let sign = if change.delta() > 0.0 { "+" } else { "" };
            let margin = margin_of_category(rows, category);
            let category = harmless(category);
            format!("{category} {sign}{}", give_or_take(change.delta(), margin, human))
        })
        .collect();
    match named.join(", ") {
        named if named.is_empty() => String::new(),
        named => wrapped(&format!("of which {named}"), 0, output::medium()) + "\n",
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
    column: Column,
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
            column: match capture.profile.column(column.bytes()) {
                Some(column) => column,
                None => capture.column(None)?,
            },
            name: &capture.name,
            scale,
        })
    };
    let after_side = side(after, Ratio::ONE)?;
    let whose = match exactness(&after.profile, after_side.column) {
        Exactness::Exact | Exactness::Estimated { with_rust: false, .. } => "OpenSSL bytes",
        _ => "bytes",
    };
    let options = DifferentialOptions::titled(&format!("{whose} {}", column.phrase()));
    Ok(differential(&side(before, scale)?, &after_side, &options)?)
}
