//! Memory over time: the picture and its figures.

use analysis::category::RUST_DOMAIN;
use analysis::notation::{exact, give_or_take, human, rounded};
use analysis::over_time::Series;
use analysis::timeline::Timeline;
use maud::{Markup, PreEscaped, html};

use super::page::Subject;
use crate::timeline::{PLOT, timeline};

/// The time line; nothing for a subject without one.
pub(super) fn section(subject: &Subject) -> Markup {
    let Some(series) = &subject.timeline else { return html! {} };
    let title = format!("{}: memory over time", subject.name);
    html! {
        h3 { "Over time" }
        @match timeline(series, &title) {
            Ok(svg) => figure.timeline data-timeline data-plot=(PLOT.map(|at| at.to_string()).join(" ")) {
                figcaption { (describe(series)) }
                div.scroll tabindex="0" role="region" aria-label=(title) { (PreEscaped(svg)) }
                (span(series))
                details {
                    summary { "The figures of this picture" }
                    (table(subject, series))
                }
            },
            Err(why) => p { "There is no picture: " (why) "." },
        }
    }
}

/// Two moments to choose; the script shows it, and says what was then and in between.
fn span(series: &Timeline) -> Markup {
    let last = series.seconds.len().saturating_sub(1);
    html! {
        div.tools.span hidden {
            label {
                span { "From" }
                input type="range" name="from" min="0" max=(last) value="0" step="1";
            }
            label {
                span { "To" }
                input type="range" name="to" min="0" max=(last) value=(last) step="1";
            }
        }
        output.span aria-live="polite" {}
    }
}

/// The picture in a sentence, and in another what of it is estimated.
fn describe(series: &Timeline) -> String {
    let most = |values: &[u64]| values.iter().copied().max().unwrap_or_default();
    let connections = series.connections.as_ref();
    let connections = connections
        .map(|open| format!("{} connections and ", exact(most(open) as i64)))
        .unwrap_or_default();
    let seconds = series.seconds.last().copied().unwrap_or_default();
    let mut text = if let Some(most) = series.rss.iter().flatten().max() {
        let most = human(*most as f64);
        format!("Up to {connections}{most} of resident memory in {seconds:.1} seconds.")
    } else {
        let length = seconds - series.seconds.first().copied().unwrap_or_default();
        let sum = |at: usize| series.series.iter().map(|one| one.bytes[at]).sum::<u64>();
        let most = (0..series.seconds.len()).map(sum).max().unwrap_or_default();
        format!("Up to {connections}{} in use in {length:.1} seconds.", human(most as f64))
    };
    if series.openssl_margins.is_some() {
        let rust = series.series.iter().any(|one| one.group == RUST_DOMAIN);
        text += if rust { " OpenSSL's and Rust's bytes" } else { " OpenSSL's bytes" };
        text += " are estimates: the band around the top of OpenSSL's areas holds their true sum \
                 95 times in 100.";
    }
    text
}

fn table(subject: &Subject, series: &Timeline) -> Markup {
    let together = series.estimated_openssl();
    let resident = |rss: Option<u64>| rss.map(|rss| exact(rss as i64)).unwrap_or_default();
    let estimate = |bytes: u64, margin: Option<u64>| {
        give_or_take(bytes as f64, margin.map(|margin| margin as f64), rounded)
    };
    let of_group =
        |one: &Series, at: usize| estimate(one.bytes[at], one.margins.as_ref().map(|all| all[at]));
    html! {
        div.scroll.tall tabindex="0" role="region"
            aria-label={ "Figures over time of " (subject.name) } {
            table {
                thead {
                    tr {
                        th.n scope="col" { "seconds" }
                        @if series.connections.is_some() { th.n scope="col" { "connections" } }
                        th.n scope="col" { "resident" }
                        @if together.is_some() { th.n scope="col" { "OpenSSL" } }
                        @for one in &series.series { th.n scope="col" { (one.group) } }
                    }
                }
                tbody {
                    @for (at, seconds) in series.seconds.iter().enumerate() {
                        tr {
                            td.n { (format!("{seconds:.2}")) }
                            @if let Some(open) = &series.connections {
                                td.n { (exact(open[at] as i64)) }
                            }
                            td.n { (resident(series.rss[at])) }
                            @if let Some(all) = &together {
                                td.n { (estimate(all.bytes[at], Some(all.margins[at]))) }
                            }
                            @for one in &series.series { td.n { (of_group(one, at)) } }
                        }
                    }
                }
            }
        }
    }
}
