//! `tlsheap top`: what holds memory, heaviest first.

use std::num::NonZeroU64;
use std::path::PathBuf;

use analysis::category::unknown_share;
use analysis::column::Column;
use analysis::inventory::Inventory;
use analysis::notation::{
    exact, give_or_take, human, interval, one_decimal, percent_give_or_take, rounded,
};
use analysis::objects::Object;
use analysis::top::{Figures, Top};
use capture::json::top::TopJson;
use capture::records::recorder::RecorderRecord;
use capture::{Capture, Counted, Part};
use clap::Args;
use profile::harmless::harmless;
use report::column_note::column_note;
use report::losses::losses;
use report::table::{self, TableOptions};
use report::wrapping::wrapped;

use crate::failure::Failure;
use crate::output;
use crate::view::ViewOptions;

#[derive(Debug, Args)]
pub struct Options {
    /// A run folder, a pprof profile, a jemalloc heap dump, folded stacks, or a ledger
    #[arg(value_name = "CAPTURE")]
    pub capture: PathBuf,
    /// Connections open at the capture, where it does not say so itself
    #[arg(long, value_name = "N")]
    pub connections: Option<NonZeroU64>,
    #[command(flatten)]
    pub view: ViewOptions,
}

/// Prints the table.
pub fn run(options: &Options) -> Result<(), Failure> {
    let capture = Capture::open_part(&options.capture, options.view.domain.map(Part::from))?
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
    let rows = capture.rows(by, column);
    let top = capture.top(by, column);
    if options.view.json {
        return output::print_json(&TopJson::new(&capture, by, &rows, &top));
    }
    let note = column_note(&[&capture], column, options.view.column);
    let mut text = heading(&capture, &top, note.as_deref());
    text += &table::top(&top, &table_options(&options.view));
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
