//! Views as text: one, or a line for each look.

use std::io::Write;
use std::sync::Arc;
use std::thread::sleep;
use std::time::Duration;

use live::{Follower, LiveRow, View};
use profile::harmless::{harmless, harmless_json};

use super::table::columns;
use live::words;
use report::table::plain;

use super::{Looks, Shown, json};
use crate::failure::Failure;
use crate::output;

/// Prints one view: the second, so that there are rates, unless nothing runs any more.
pub fn once(
    mut follower: Follower,
    first: Arc<View>,
    every: Duration,
    shown: &Shown,
    as_json: bool,
) -> Result<(), Failure> {
    let mut looks = Looks::begin(first);
    if !follower.is_over() {
        sleep(every);
        looks.add(follower.look()?);
    }
    print(&looks, shown, as_json)
}

/// Prints the last look as a whole.
pub fn print(looks: &Looks, shown: &Shown, as_json: bool) -> Result<(), Failure> {
    let rows = rows(looks, shown);
    if as_json {
        return output::print_json(&json::record(&looks.comparison(), &rows, shown));
    }
    output::print(&text(looks, &rows, shown))
}

/// Prints a line for each look until all has ended.
pub fn all(
    mut follower: Follower,
    first: Arc<View>,
    every: Duration,
    shown: &Shown,
    as_json: bool,
) -> Result<(), Failure> {
    let mut looks = Looks::begin(first);
    loop {
        if as_json {
            let rows = rows(&looks, shown);
            let record = json::record(&looks.comparison(), &rows, shown);
            let text = serde_json::to_string(&record).expect("records of ours are valid JSON");
            output::print_with(|out| writeln!(out, "{}", harmless_json(text)))?;
        } else {
            output::print(&line(&looks, shown))?;
        }
        if follower.is_over() {
            return Ok(());
        }
        sleep(every);
        looks.add(follower.look()?);
    }
}

fn rows(looks: &Looks, shown: &Shown) -> Vec<LiveRow> {
    looks.comparison().rows(shown.by, shown.domain_of(&looks.now), shown.order)
}

/// One look in one line.
fn line(looks: &Looks, shown: &Shown) -> String {
    let view = &looks.now;
    let parts = [
        words::clock(view),
        words::connections_in_short(view),
        words::memory(view, &looks.since, shown.domain_of(view), words::FIRST),
        words::rates(view),
    ];
    let parts: Vec<&str> = parts.iter().map(String::as_str).filter(|it| !it.is_empty()).collect();
    parts.join("  ")
}

/// One look as a whole: what is said of it, and its rows.
fn text(looks: &Looks, rows: &[LiveRow], shown: &Shown) -> String {
    let view = &looks.now;
    let mut text = format!(
        "{}: {}, {}\n",
        harmless(&view.name),
        harmless(&words::processes(view)),
        words::clock(view),
    );
    text += &format!("{}\n", words::connections(view));
    let resident = words::resident(view);
    let memory = words::memory(view, &looks.since, shown.domain_of(view), words::FIRST);
    let parts = [memory, words::rates(view), resident.unwrap_or_default()];
    let parts: Vec<&str> = parts.iter().map(String::as_str).filter(|it| !it.is_empty()).collect();
    text += &format!("{}\n", parts[0]);
    if parts.len() > 1 {
        text += &format!("{}\n", parts[1..].join(", "));
    }
    if let Some(missing) = words::missing(view) {
        text += &format!("{}\n", harmless(&missing));
    }
    text.push('\n');
    let shown_rows = &rows[..rows.len().min(shown.rows)];
    let columns = columns(shown_rows, shown.by, shown.order, None);
    let headings: Vec<&str> = columns.iter().map(|column| column.heading).collect();
    let cells = |at: usize| columns.iter().map(|column| column.cells[at].clone()).collect();
    let cells: Vec<Vec<String>> = (0..shown_rows.len()).map(cells).collect();
    text += &plain(&headings, &cells, output::medium());
    if let Some(rest) = rows.get(shown.rows..).filter(|rest| !rest.is_empty()) {
        text += &format!("… and {} more rows\n", rest.len());
    }
    text
}
