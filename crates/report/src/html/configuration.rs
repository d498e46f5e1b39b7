//! One subject: its figures, its pictures, its sites.

use analysis::column::Column;
use analysis::notation::{exact, human, one_decimal, rounded};
use analysis::top::Figures;
use maud::{Markup, html};

use super::estimate::estimate;
use super::page::{Page, Subject, id};
use super::parts::{self, bar, in_words, legend};
use super::staircase::unit;
use super::{account, changes, choices, findings, flame, over_time, sites, sizes, stays, tried};

/// Everything about one subject.
pub(super) fn section(page: &Page, at: usize) -> Markup {
    let subject = &page.subjects[at];
    let id = id(at);
    let most: f64 = subject.parts.iter().map(|part| part.bytes.max(0.0)).sum();
    let label = format!("What it is made of: {}", in_words(&subject.parts));
    html! {
        section.subject id=(id) aria-labelledby={ (id) "-heading" } {
            h2 id={ (id) "-heading" } { (subject.name) }
            @if !subject.summary.is_empty() { p.summary { (subject.summary) } }
            @if page.subjects.len() > 1 { (findings::within(subject, &id)) }
            (key_figures(subject))
            @if !subject.parts.is_empty() {
                (bar(&subject.parts, most, &label))
                (legend(&subject.parts, parts::Figures::Shown))
            }
            (tried::section(subject))
            @if let Some(choices) = &subject.choices { (choices::controls(choices, &id)) }
            h3 { "Flamegraph" }
            @match flame::picture(subject, &format!("{id}-flame")) {
                Some(picture) => (picture),
                None => p { "There is no picture: nothing is " (subject.top.column.phrase()) "." },
            }
            (changes::section(page, at, &id))
            h3 { "Sites: " (unit(subject)) }
            (sites::table(subject, &id))
            (account::section(subject))
            (sizes::section(subject))
            (stays::section(subject))
            (over_time::section(subject))
        }
    }
}

/// The few figures to remember.
fn key_figures(subject: &Subject) -> Markup {
    let estimated = |figure: Option<f64>, margin: Option<f64>, say: fn(f64) -> String| {
        figure.map(|figure| estimate(figure, margin, say))
    };
    let measured = |figure: Option<f64>, say: fn(f64) -> String| estimated(figure, None, say);
    let Subject { top, beside, .. } = subject;
    let [bytes, blocks] = match subject.whole {
        Some(_) => ["OpenSSL's bytes per connection", "OpenSSL's blocks per connection"],
        None => ["bytes per connection", "blocks per connection"],
    };
    let mut figures = match top.figures {
        Figures::PerConnection(connections) => vec![
            (bytes, estimated(top.bytes, top.bytes_margin, rounded)),
            (blocks, estimated(top.blocks, top.blocks_margin, one_decimal)),
            ("connections", Some(html! { (exact(connections.get() as i64)) })),
        ],
        Figures::Process => {
            let [bytes, blocks] = match top.column {
                Column::InUse => ["bytes in use", "blocks in use"],
                Column::Peak => ["bytes at the peak", "blocks at the peak"],
                Column::Allocated => ["bytes ever allocated", "blocks ever allocated"],
            };
            vec![
                (bytes, estimated(top.bytes, top.bytes_margin, rounded)),
                (blocks, estimated(top.blocks, top.blocks_margin, rounded)),
            ]
        }
    };
    figures.extend([
        (
            "allocations per connection",
            estimated(beside.allocations, beside.allocations_margin, one_decimal),
        ),
        ("resident per connection", measured(beside.rss.map(|rss| rss.median), human)),
        ("handshakes/s", measured(beside.handshakes_per_second.map(|rate| rate.median), rounded)),
    ]);
    html! {
        dl.key {
            @for (name, figure) in figures {
                @if let Some(figure) = figure { div { dt { (name) } dd { (figure) } } }
            }
        }
    }
}
