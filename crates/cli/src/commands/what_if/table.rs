//! The figures for the terminal.

use std::collections::BTreeSet;

use analysis::notation::{human, rounded, signed};
use capture::records::what_if::{Cost, WhatIf};
use report::medium::Medium;
use report::table::plain;
use report::wrapping::wrapped;

const HEADINGS: [&str; 8] =
    ["", "bytes/conn", "saved", "%", "predicted", "allocs", "handshakes/s", "change"];

/// Of the whole program, where its resident memory is known.
const OF_ALL: [&str; 4] = ["", "resident", "saved", "predicted"];

/// The table, what was not applied and why, and what the columns mean.
pub fn terminal(outcome: &WhatIf, medium: Medium) -> String {
    let before = &outcome.as_it_is;
    let mut rows = vec![row("as it is", before, before, None, None)];
    for tried in &outcome.fixes {
        if let Some(cost) = &tried.cost {
            let (saved, predicted) =
                (tried.saved_bytes_per_connection, tried.predicted_bytes_per_connection);
            rows.push(row(&tried.name, before, cost, saved, predicted));
        }
    }
    let mut text = format!("{}\n\n", outcome.subject);
    text += &plain(&HEADINGS, &rows, medium);
    let mut means = "bytes, allocs: OpenSSL's, exact, per connection; predicted: by `tlsheap \
                     diagnose` from the run as it is; handshakes/s: without the recorder, median"
        .to_owned();
    means += if before.handshakes_per_second.is_some() { "." } else { "; not measured." };
    text += &format!("\n{}\n", wrapped(&means, 0, medium));
    text += &of_all(outcome, medium);
    for place in places(outcome) {
        text += &format!("reached: {place}\n");
    }
    let remarks = outcome
        .fixes
        .iter()
        .flat_map(|tried| tried.remarks.iter().map(|remark| listed(&tried.name, remark, medium)));
    text += &under("to be said", remarks);
    let not_applied = outcome.fixes.iter().filter_map(|tried| {
        tried.not_applied.as_ref().map(|reason| listed(&tried.name, reason, medium))
    });
    text += &under("not applied", not_applied);
    text
}

/// The table of resident memory; nothing of the reference server.
fn of_all(outcome: &WhatIf, medium: Medium) -> String {
    let Some(before) = outcome.as_it_is.resident_bytes else { return String::new() };
    let size = |bytes: f64| human(bytes);
    let as_it_is = ["as it is".to_owned(), size(before as f64), say(None, size), say(None, size)];
    let mut rows = vec![as_it_is.to_vec()];
    for tried in &outcome.fixes {
        if let Some(bytes) = tried.cost.as_ref().and_then(|cost| cost.resident_bytes) {
            let saved = say(tried.saved_resident_bytes, size);
            let predicted = say(tried.predicted_resident_bytes, size);
            rows.push(vec![tried.name.clone(), size(bytes as f64), saved, predicted]);
        }
    }
    let means = "resident: all that the program has of its own and that is in no file, with every \
                 connection open; one run each, and runs differ.";
    format!("\n{}\n{}\n", plain(&OF_ALL, &rows, medium), wrapped(means, 0, medium))
}

/// Lines under a heading; nothing when there are none.
fn under(heading: &str, lines: impl Iterator<Item = String>) -> String {
    let lines: String = lines.collect();
    if lines.is_empty() { lines } else { format!("\n{heading}:\n{lines}") }
}

/// A fix, and what there is to say of it beside its name.
fn listed(name: &str, text: &str, medium: Medium) -> String {
    const INDENT: usize = 29;
    let text = wrapped(text, INDENT, medium);
    format!("  {name:<27}{}\n", text.trim_start())
}

/// The OpenSSLs of a program that fixes reached, each once.
fn places(outcome: &WhatIf) -> BTreeSet<String> {
    let places = outcome.fixes.iter().flat_map(|tried| &tried.reached);
    places.map(|place| format!("{}, by {}", place.object, place.way)).collect()
}

fn row(
    name: &str,
    before: &Cost,
    cost: &Cost,
    saved: Option<f64>,
    predicted: Option<f64>,
) -> Vec<String> {
    let share = saved.zip(before.bytes_per_connection.filter(|bytes| *bytes != 0.0));
    let faster = saved.and(cost.handshakes_per_second).zip(before.handshakes_per_second);
    vec![
        name.to_owned(),
        say(cost.bytes_per_connection, rounded),
        say(saved, rounded),
        say(share.map(|(saved, bytes)| saved / bytes * 100.0), |share| format!("{share:.1}")),
        say(predicted, rounded),
        match saved.and(cost.allocs_per_handshake).zip(before.allocs_per_handshake) {
            Some((now, then)) => format!("{} ({})", rounded(now), signed(now - then)),
            None => say(cost.allocs_per_handshake, rounded),
        },
        match (cost.handshakes_per_second, cost.handshakes_per_second_spread) {
            (Some(rate), Some((least, most))) => {
                format!("{} ({}–{})", rounded(rate), rounded(least), rounded(most))
            }
            (rate, _) => say(rate, rounded),
        },
        say(
            faster
                .filter(|(_, before)| *before > 0.0)
                .map(|(now, then)| (now / then - 1.0) * 100.0),
            |percent| format!("{percent:+.0} %"),
        ),
    ]
}

fn say(figure: Option<f64>, format: impl Fn(f64) -> String) -> String {
    figure.map_or_else(|| "-".to_owned(), format)
}
