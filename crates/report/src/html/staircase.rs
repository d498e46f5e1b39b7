//! The staircase: every subject as a bar, and the figures beside it.

use analysis::column::Column;
use analysis::composition::Part;
use analysis::notation::{exact, human, one_decimal, rounded, signed};
use analysis::top::Figures;
use maud::{Markup, html};

use super::change::{by, by_percent, coloured, within_error};
use super::estimate::estimate;
use super::figure::{known, per, unknown};
use super::page::{Page, Spread, Step, Subject, id};
use super::parts::{self, bar, in_words, legend};

/// Bars, the table, and live objects.
pub(super) fn section(page: &Page) -> Markup {
    let most = page.subjects.iter().filter_map(|s| s.top.bytes).fold(0.0, f64::max);
    let connections = page.subjects.iter().all(|s| s.top.figures != Figures::Process);
    let heading = if connections { "Bytes per connection, step by step" } else { "Step by step" };
    html! {
        section #staircase aria-labelledby="staircase-heading" {
            h2 #staircase-heading { (heading) }
            ol.stairs {
                @for (at, subject) in page.subjects.iter().enumerate() {
                    li { (stair(subject, at, most)) }
                }
            }
            (legend(&groups(page), parts::Figures::Hidden))
            (table(page, connections))
            (objects(page))
        }
    }
}

fn stair(subject: &Subject, at: usize, most: f64) -> Markup {
    let total = subject.top.bytes.unwrap_or_default();
    let label = format!("{}: {}", subject.name, in_words(&subject.parts));
    html! {
        div.stair-words {
            a href={ "#" (id(at)) } { (subject.name) }
            span.stair-figure {
                b { (estimate(total, subject.top.bytes_margin, human)) }
                @if let Some(step) = &subject.step { " " (climb(step)) }
            }
        }
        (bar(&subject.parts, most, &label))
    }
}

/// How much more or less a step has than the one before.
fn climb(step: &Step) -> Markup {
    let Step { bytes, bytes_margins: margins, .. } = step;
    let what = html! {
        (by(bytes.delta(), margins.change, human))
        @if let Some(relative) = bytes.relative_within(*margins) { " (" (by_percent(relative)) ")" }
    };
    html! { (coloured(*bytes, *margins, &what)) (within_error(*bytes, *margins)) }
}

/// One empty part for each group that any subject has.
fn groups(page: &Page) -> Vec<Part> {
    let mut groups: Vec<Part> = Vec::new();
    for known in analysis::category::groups() {
        let has = |subject: &Subject| subject.parts.iter().any(|part| part.group == known.name);
        if page.subjects.iter().any(has) {
            let group = known.name.to_owned();
            groups.push(Part { group, ..Part::default() });
        }
    }
    groups
}

/// The figures; columns that nobody has are left out.
fn table(page: &Page, connections: bool) -> Markup {
    let any = |of: fn(&Subject) -> bool| page.subjects.iter().any(of);
    let allocations = any(|subject| subject.beside.allocations.is_some());
    let rss = any(|subject| subject.beside.rss.is_some());
    let rate = any(|subject| subject.beside.handshakes_per_second.is_some());
    html! {
        div.scroll tabindex="0" role="region" aria-label="Figures of each configuration" {
            table {
                caption {
                    span {
                        "Bytes and blocks "
                        @if connections { "per connection" } @else { (column(page).phrase()) }
                        @if rss || rate {
                            "; resident memory and handshakes are medians of a server without the "
                            "recorder, with the least and the most in brackets"
                        }
                        "."
                    }
                }
                thead {
                    tr {
                        th scope="col" { "configuration" }
                        th.n scope="col" { "bytes" }
                        th.n scope="col" { "change" }
                        th.n scope="col" { "in percent" }
                        th.n scope="col" { "blocks" }
                        @if allocations { th.n scope="col" { "allocations" } }
                        @if rss { th.n scope="col" { "resident bytes" } }
                        @if rate { th.n scope="col" { "handshakes/s" } }
                    }
                }
                tbody {
                    @for (at, subject) in page.subjects.iter().enumerate() {
                        tr {
                            th scope="row" { a href={ "#" (id(at)) } { (subject.name) } }
                            td.n { (known(subject.top.bytes.map(|bytes| {
                                estimate(bytes, subject.top.bytes_margin, rounded)
                            }))) }
                            (step_cells(subject))
                            td.n { (known(subject.top.blocks.map(|figure| {
                                estimate(figure, subject.top.blocks_margin, blocks(subject))
                            }))) }
                            @if allocations {
                                td.n { (known(subject.beside.allocations.map(|figure| {
                                    let margin = subject.beside.allocations_margin;
                                    estimate(figure, margin, one_decimal)
                                }))) }
                            }
                            @if rss { td.n { (spread(subject.beside.rss)) } }
                            @if rate {
                                td.n { (spread(subject.beside.handshakes_per_second)) }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Which figures the subjects of a page have: all the same.
fn column(page: &Page) -> Column {
    page.subjects.first().map_or_else(Column::default, |subject| subject.top.column)
}

/// How blocks are written: of a whole process there are no parts of them.
pub(super) fn blocks(subject: &Subject) -> fn(f64) -> String {
    match subject.top.figures {
        Figures::PerConnection(_) => one_decimal,
        Figures::Process => rounded,
    }
}

fn step_cells(subject: &Subject) -> Markup {
    html! {
        @match &subject.step {
            Some(step) => {
                @let Step { bytes, bytes_margins: margins, .. } = step;
                td.n {
                    (coloured(*bytes, *margins, &by(bytes.delta(), margins.change, signed)))
                    (within_error(*bytes, *margins))
                }
                td.n {
                    @match bytes.relative_within(*margins) {
                        Some(relative) => (coloured(*bytes, *margins, &by_percent(relative))),
                        None => (unknown("what was before may have been nothing")),
                    }
                }
            }
            None => { td {} td {} }
        }
    }
}

fn spread(figure: Option<Spread>) -> Markup {
    html! {
        @match figure {
            None => (unknown("not measured")),
            Some(Spread { median, range }) => {
                (rounded(median))
                @if let Some((least, most)) = range {
                    " " span.muted { "(" (rounded(least)) "–" (rounded(most)) ")" }
                }
            }
        }
    }
}

/// Live objects at the capture: what every connection has of its own is seen at once.
fn objects(page: &Page) -> Markup {
    let mut names: Vec<&str> = Vec::new();
    for name in analysis::objects::Object::ALL.map(analysis::objects::Object::name) {
        let live = |s: &Subject| s.objects.get(name).is_some_and(|count| *count != 0);
        if page.subjects.iter().any(live) {
            names.push(name);
        }
    }
    html! {
        @if !names.is_empty() {
            div.scroll tabindex="0" role="region" aria-label="Live objects" {
                table {
                    caption { span { "OpenSSL's objects that were live at the capture." } }
                    thead {
                        tr {
                            th scope="col" { "configuration" }
                            th.n scope="col" { "connections" }
                            @for name in &names { th.n scope="col" { code { (name) } } }
                        }
                    }
                    tbody {
                        @for subject in &page.subjects {
                            tr {
                                th scope="row" { (subject.name) }
                                td.n {
                                    @match subject.top.figures {
                                        Figures::PerConnection(n) => (exact(n.get() as i64)),
                                        Figures::Process => (unknown("not measured")),
                                    }
                                }
                                @for name in &names {
                                    td.n { (known(subject.objects.get(*name).copied().map(exact))) }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// The words over a figure, e.g. `bytes per connection`.
pub(super) fn unit(subject: &Subject) -> String {
    format!("bytes {}", per(&subject.top))
}
