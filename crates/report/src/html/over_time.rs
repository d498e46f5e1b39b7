//! Memory over time: the picture and its figures.

use maud::{Markup, PreEscaped, html};

use super::Subject;
use crate::bytes::{exact, human};
use crate::timeline::{Timeline, timeline};

/// The time line; nothing for a subject without one.
pub(super) fn section(subject: &Subject) -> Markup {
    let Some(series) = &subject.timeline else { return html! {} };
    let title = format!("{}: memory over time", subject.name);
    html! {
        h3 { "Over time" }
        @match timeline(series, &title) {
            Ok(svg) => figure.timeline {
                figcaption { (describe(series)) }
                div.scroll tabindex="0" role="region" aria-label=(title) { (PreEscaped(svg)) }
                details {
                    summary { "The figures of this picture" }
                    (table(subject, series))
                }
            },
            Err(why) => p { "There is no picture: " (why) "." },
        }
    }
}

/// The picture in a sentence.
fn describe(series: &Timeline) -> String {
    let most = |values: &[u64]| values.iter().copied().max().unwrap_or_default();
    format!(
        "Up to {} connections and {} of resident memory in {:.1} seconds.",
        exact(most(&series.connections) as i64),
        human(most(&series.rss) as f64),
        series.seconds.last().copied().unwrap_or_default(),
    )
}

fn table(subject: &Subject, series: &Timeline) -> Markup {
    html! {
        div.scroll.tall tabindex="0" role="region"
            aria-label={ "Figures over time of " (subject.name) } {
            table {
                thead {
                    tr {
                        th.n scope="col" { "seconds" }
                        th.n scope="col" { "connections" }
                        th.n scope="col" { "resident" }
                        @for one in &series.series { th.n scope="col" { (one.group) } }
                    }
                }
                tbody {
                    @for (at, seconds) in series.seconds.iter().enumerate() {
                        tr {
                            td.n { (format!("{seconds:.2}")) }
                            td.n { (exact(series.connections[at] as i64)) }
                            td.n { (exact(series.rss[at] as i64)) }
                            @for one in &series.series { td.n { (exact(one.bytes[at] as i64)) } }
                        }
                    }
                }
            }
        }
    }
}
