//! `tlsheap top`: what holds memory, heaviest first.

use std::num::NonZeroU64;
use std::path::PathBuf;

use analysis::call_graph::{self, Held};
use analysis::category::unknown_share;
use analysis::column::Column;
use analysis::group::By;
use analysis::inventory::Inventory;
use analysis::notation::{
    exact, give_or_take, human, interval, one_decimal, percent_give_or_take, rounded,
};
use analysis::objects::Object;
use analysis::own_unit::OwnUnit;
use analysis::row_stacks::row_stacks;
use analysis::stacks::{ColumnOf, grown_stacks};
use analysis::top::{Figures, Top};
use capture::json::top::TopJson;
use capture::records::recorder::RecorderRecord;
use capture::{Capture, Counted, Part};
use clap::Args;
use profile::Profile;
use profile::harmless::harmless;
use report::call_graph::{Depth, Scale};
use report::column_note::column_note;
use report::losses::losses;
use report::table::{self, TableOptions};
use report::wrapping::wrapped;

use crate::failure::Failure;
use crate::output;
use crate::view::ViewOptions;

#[derive(Debug, Args)]
pub struct Options {
    /// A run folder, a pprof profile, a heap dump of jemalloc's, a file of DHAT's, folded stacks, or
    /// a ledger; `-` is a profile on standard input
    #[arg(value_name = "CAPTURE")]
    pub capture: PathBuf,
    /// Connections open at the capture, where it does not say so itself
    #[arg(long, value_name = "N")]
    pub connections: Option<NonZeroU64>,
    /// Whole stacks below the rows: of each the three that hold most
    #[arg(long, conflicts_with = "json")]
    pub stacks: bool,
    /// Instead of rows: who calls the functions with TEXT in their names, and what they call
    #[arg(long, value_name = "TEXT", conflicts_with_all = ["json", "stacks", "tree", "by"])]
    pub peek: Option<String>,
    /// Instead of rows: all calls as a tree; branches of less than 1 % are put together, unless with
    /// -n 0
    #[arg(long, conflicts_with_all = ["json", "stacks", "by"])]
    pub tree: bool,
    #[command(flatten)]
    pub view: ViewOptions,
}

/// Prints the table.
pub fn run(options: &Options) -> Result<(), Failure> {
    let mut capture = Capture::open_part(&options.capture, options.view.domain.map(Part::from))?
        .of_process(options.view.process.as_deref())?
        .or_connections(options.connections)
        .under(&options.view.under);
    let by = options.view.by.by();
    let column = capture.chosen_column(options.view.column)?;
    if options.connections.is_some() && column == Column::Peak {
        return Err(Failure::usage(format!(
            "{} is shown at its peak, which is not put down to connections: leave --connections \
             out, or choose --column in-use",
            capture.name
        )));
    }
    if options.connections.is_none() && has_no_part_of_connections(&capture, column) {
        capture.connections = None;
    }
    if options.tree || options.peek.is_some() {
        return calls(&capture, column, options);
    }
    if let Some(own) = OwnUnit::of(&capture.profile, by).filter(|_| !options.view.json) {
        return own_unit(&capture, &own, options);
    }
    let rows = capture.rows(by, column);
    let top = capture.top(by, column);
    if options.view.json {
        return output::print_json(&TopJson::new(&capture, by, &rows, &top));
    }
    let note = column_note(&[&capture], column, options.view.column);
    let mut text = heading(&capture, &top, note.as_deref());
    text += &table::top(&top, &table_options(&options.view));
    if options.stacks {
        text += &whole_stacks(&capture, &top, &options.view);
    }
    let unknown = unknown_share(&capture.profile);
    if unknown.figure > 0.0 {
        let share = percent_give_or_take(unknown.figure, unknown.margin);
        text += &format!("unknown: {share} of all bytes have no source file\n");
    }
    // Of a part of the profile, objects would be a part of theirs.
    let at_capture = options.view.under.is_empty() && column == Column::InUse;
    if let Some((all, grown)) = capture.objects().filter(|_| at_capture) {
        text += &objects(&all, &grown, capture.connections);
    }
    if let Some(statistics) = &capture.statistics {
        let said = losses(&RecorderRecord::new(statistics, capture.profile.sampling));
        text += &(wrapped(&said, 0, output::medium()) + "\n");
    }
    output::print(&text)
}

/// Whether there is memory, and nothing of it comes with a connection: a runtime's heap may serve
/// many with what it has. It is shown whole then.
fn has_no_part_of_connections(capture: &Capture, column: Column) -> bool {
    let whole = Top::of_process(&capture.rows(By::Category, column));
    let each = capture.top(By::Category, column);
    each.bytes == Some(0.0) && whole.bytes.is_some_and(|bytes| bytes > 0.0)
}

/// Callers and callees, or the tree of all calls.
fn calls(capture: &Capture, column: Column, options: &Options) -> Result<(), Failure> {
    let connections = capture.connections_of(column);
    let of = |profile: &'_ Profile| profile.column(column.bytes());
    let at = match of(&capture.profile) {
        Some(at) => at,
        None => capture.column(None)?,
    };
    let baseline = capture.baseline.as_ref().filter(|_| connections.is_some());
    let baseline = baseline.and_then(|profile| Some(ColumnOf { profile, column: of(profile)? }));
    let stacks = grown_stacks(ColumnOf { profile: &capture.profile, column: at }, baseline);
    let scale = Scale {
        connections: connections.map_or(1, NonZeroU64::get),
        whole: Held::of(&stacks).sum,
        medium: output::medium(),
    };
    let mut text = if let Some(own) = OwnUnit::of(&capture.profile, By::Category) {
        format!("{}: {}\n\n", harmless(&capture.name), harmless(&own.whole()))
    } else {
        let note = column_note(&[capture], column, options.view.column);
        heading(capture, &capture.top(By::Category, column), note.as_deref())
    };
    let rows = if options.view.rows == 0 { usize::MAX } else { options.view.rows };
    if let Some(part) = &options.peek {
        let found = call_graph::peek(&stacks, part);
        if found.is_empty() {
            return Err(Failure::usage(format!(
                "no function on a stack of {} has {part:?} in its name: see --by function",
                capture.name
            )));
        }
        text += &report::call_graph::peeked(&found, rows, &scale);
    } else {
        let depth = if options.view.rows == 0 { Depth::Everything } else { Depth::Usual };
        text += &report::call_graph::tree(&call_graph::tree(&stacks), depth, &scale);
    }
    output::print(&text)
}

/// The heaviest stacks of each row that is shown.
fn whole_stacks(capture: &Capture, top: &Top, view: &ViewOptions) -> String {
    let (by, connections) = (view.by.by(), capture.connections_of(top.column));
    let baseline = capture.baseline.as_ref().filter(|_| connections.is_some());
    let scale = Scale {
        connections: connections.map_or(1, NonZeroU64::get),
        whole: 0,
        medium: output::medium(),
    };
    let rows = if view.rows == 0 { usize::MAX } else { view.rows };
    let mut text = String::new();
    for row in top.rows.iter().take(rows) {
        let stacks = row_stacks(&capture.profile, baseline, by, &row.key, top.column);
        text += &format!("\n{}\n", harmless(&table::name_of(by, &row.key)));
        text += &report::call_graph::stacks(&stacks, top.column, &scale);
    }
    text
}

/// What another profiler has counted, and no memory.
fn own_unit(capture: &Capture, own: &OwnUnit, options: &Options) -> Result<(), Failure> {
    let word = match options {
        Options { connections: Some(_), .. } => Some("--connections"),
        Options { stacks: true, .. } => Some("--stacks"),
        _ => None,
    };
    if let Some(word) = word {
        return Err(Failure::usage(format!(
            "{} has {} and no figures of memory: leave {word} out",
            capture.name, own.kind
        )));
    }
    let mut text = format!(
        "{}: {}; it has no figures of memory\n\n",
        harmless(&capture.name),
        harmless(&own.whole())
    );
    text += &table::own_unit(own, &table_options(&options.view));
    output::print(&text)
}

/// How the tables of the viewing commands look.
pub fn table_options(view: &ViewOptions) -> TableOptions {
    let mut table = TableOptions::by(view.by.by());
    table.rows = if view.rows == 0 { usize::MAX } else { view.rows };
    table.medium = output::medium();
    table
}

/// Live objects, and how many of them came with each connection.
fn objects(all: &Inventory, grown: &Inventory, connections: Option<NonZeroU64>) -> String {
    let live: Vec<String> = Object::ALL
        .iter()
        .map(|object| (object.name(), all.live(*object)))
        .filter(|(_, live)| live.count != 0)
        .map(|(name, live)| format!("{} {name}", exact(live.count)))
        .collect();
    if live.is_empty() {
        return String::new();
    }
    let ratios = grown.ratios(connections);
    let each: Vec<String> = [
        (ratios.contexts_per_connection, "SSL_CTX"),
        (ratios.stores_per_connection, "X509_STORE"),
        (ratios.sessions_per_connection, "SSL_SESSION"),
    ]
    .into_iter()
    .filter_map(|(ratio, name)| Some(format!("{} {name}", one_decimal(ratio?))))
    .collect();
    let mut text = format!("\nlive objects: {}\n", live.join(", "));
    if !each.is_empty() {
        text += &format!("for each connection: {}\n", each.join(", "));
    }
    text
}

/// What a ± means, where there is one.
fn sampled(capture: &Capture) -> String {
    capture.profile.sampling.map_or_else(String::new, |sampling| {
        format!("sampled every {}: estimates, ± half their 95 % interval\n", interval(sampling))
    })
}

fn heading(capture: &Capture, top: &Top, note: Option<&str>) -> String {
    let figure = |figure: Option<f64>, margin: Option<f64>, say: fn(f64) -> String| match figure {
        Some(figure) => give_or_take(figure, margin, say),
        None => "an unknown number of".to_owned(),
    };
    let name = harmless(&capture.name);
    let note = note.map_or_else(String::new, |note| format!("{note}\n"));
    let Figures::PerConnection(connections) = top.figures else {
        return format!(
            "{name}: {} {} in {} blocks\n{note}{}\n",
            figure(top.bytes, top.bytes_margin, human),
            top.column.phrase(),
            figure(top.blocks, top.blocks_margin, rounded),
            sampled(capture),
        );
    };
    let allocated = match top.column {
        Column::Allocated => " ever allocated",
        _ => "",
    };
    let what = match capture.counted {
        Counted::Told => "connections",
        Counted::SslObjects => "SSL objects",
    };
    let all = match (capture.counted, &capture.baseline) {
        (Counted::SslObjects, None) => {
            " at most (no moment without SSL objects was seen, and nothing is taken off)"
        }
        _ => "",
    };
    format!(
        "{name}: {}{allocated} in {} blocks for each of {connections} {what}{all}\n{note}{}\n",
        figure(top.bytes, top.bytes_margin, human),
        figure(top.blocks, top.blocks_margin, one_decimal),
        sampled(capture),
    )
}
