//! One step: what changed against the subject before.

use analysis::diff::{Change, DiffRow, Side};
use analysis::group::Key;
use analysis::notation::{exact, one_decimal, rounded, signed};
use maud::{Markup, html};

use super::change::{by, coloured, within_error};
use super::estimate::estimate;
use super::figure::known;
use super::flame;
use super::page::Page;
use super::parts::swatch;
use super::sites::breakable;
use super::staircase::unit;

/// Rows of the table.
const ROWS: usize = 15;

/// The differential flamegraph and the largest changes; nothing for a subject without a step.
pub(super) fn section(page: &Page, at: usize, id: &str) -> Markup {
    let subject = &page.subjects[at];
    let before = at.checked_sub(1).and_then(|before| page.subjects.get(before));
    let (Some(step), Some(before)) = (&subject.step, before) else { return html! {} };
    let changed: Vec<&DiffRow> = step.rows.iter().filter(|row| delta(row.bytes) != 0.0).collect();
    html! {
        h3 { "What changed from " (before.name) }
        @if changed.is_empty() {
            p { "Nothing: every site holds what it held before." }
        } @else {
            @match flame::difference(before, subject, &format!("{id}-change")) {
                Some(picture) => (picture),
                None => p { "There is no picture: neither side holds anything." },
            }
            div.scroll tabindex="0" role="region"
                aria-label={ "Largest changes from " (before.name) " to " (subject.name) } {
                table {
                    caption {
                        span {
                            "The largest changes by site, in " (unit(subject))
                            @if changed.len() > ROWS {
                                "; " (exact((changed.len() - ROWS) as i64)) " smaller ones follow"
                            }
                            "."
                        }
                    }
                    thead {
                        tr {
                            th.n scope="col" { "change" }
                            th.n scope="col" { "before" }
                            th.n scope="col" { "after" }
                            th.n scope="col" { "blocks" }
                            th scope="col" { "category" }
                            th scope="col" { "site" }
                            th scope="col" { "reached through" }
                        }
                    }
                    tbody { @for row in changed.iter().take(ROWS) { (site(row)) } }
                }
            }
        }
    }
}

fn delta(change: Option<Change>) -> f64 {
    change.map_or(0.0, Change::delta)
}

fn place(key: &Key) -> String {
    format!("{}:{}", key.file, key.line)
}

fn site(row: &DiffRow) -> Markup {
    let (bytes, margins) = (row.bytes.unwrap_or_default(), row.bytes_margins);
    let blocks = row.blocks.map(Change::delta);
    let blocks = blocks.map(|blocks| by(blocks, row.blocks_margins.change, one_decimal));
    let side = |of: fn(Change) -> f64, margin| {
        known(row.bytes.map(|change| estimate(of(change), margin, rounded)))
    };
    let group = row.key.category.split('.').next().unwrap_or_default();
    html! {
        tr {
            td.n {
                (coloured(bytes, margins, &by(bytes.delta(), margins.change, signed)))
                (within_error(bytes, margins))
            }
            td.n {
                @if row.side == Side::OnlyAfter && margins.before.is_none() { span.muted { "new" } }
                @else { (side(|change| change.before, margins.before)) }
            }
            td.n {
                @if row.side == Side::OnlyBefore && margins.after.is_none() {
                    span.muted { "gone" }
                }
                @else { (side(|change| change.after, margins.after)) }
            }
            td.n { (known(blocks)) }
            td.category { (swatch(group)) " " (row.key.category) }
            td.place {
                code { (breakable(&place(&row.key))) }
                @if let Some(was) = &row.was {
                    span.muted { ", was " code { (breakable(&place(was))) } }
                }
            }
            td.story { code { (row.telling().join(" › ")) } }
        }
    }
}
