//! What is still there when all connections are closed, by site.

use analysis::diff::{Change, DiffRow};
use analysis::notation::{exact, human, one_decimal, rounded};
use maud::{Markup, html};

use super::page::{Stays, StaysOf, Subject};
use super::parts::swatch;
use super::sites::breakable;

/// Rows of the table.
const ROWS: usize = 15;

/// The table, or that nothing stays; nothing for a subject of which that is not known.
pub(super) fn section(subject: &Subject) -> Markup {
    let Some(Stays { of, rows }) = &subject.stays else { return html! {} };
    let (of_whom, more) = match of {
        StaysOf::Openssl => (" of OpenSSL's", " of OpenSSL's more"),
        StaysOf::Everything => ("", " more"),
    };
    let bytes: f64 = rows.iter().map(bytes).sum();
    html! {
        h3 { "What stays after the last connection was closed" }
        @if rows.is_empty() {
            p { "Nothing: no site" (of_whom) " held more than before the first connection." }
        } @else {
            div.scroll tabindex="0" role="region"
                aria-label={ "What stays of " (subject.name) " after close" } {
                table {
                    caption {
                        span {
                            (human(bytes)) (more) " than before the first connection, in all, by "
                            "site: what is paid once, what connections leave behind, and what is "
                            "kept for the next ones."
                            @if rows.len() > ROWS {
                                " " (exact((rows.len() - ROWS) as i64)) " smaller ones follow."
                            }
                        }
                    }
                    thead {
                        tr {
                            th.n scope="col" { "bytes" }
                            th.n scope="col" { "blocks" }
                            th scope="col" { "category" }
                            th scope="col" { "site" }
                            th scope="col" { "reached through" }
                        }
                    }
                    tbody { @for row in rows.iter().take(ROWS) { (site(row)) } }
                }
            }
        }
    }
}

fn bytes(row: &DiffRow) -> f64 {
    row.bytes.map_or(0.0, Change::delta)
}

fn site(row: &DiffRow) -> Markup {
    let group = row.key.category.split('.').next().unwrap_or_default();
    let blocks = row.blocks.map_or(0.0, Change::delta);
    let blocks = one_decimal(blocks);
    html! {
        tr {
            td.n { (rounded(bytes(row))) }
            td.n { (blocks.strip_suffix(".0").unwrap_or(&blocks)) }
            td.category { (swatch(group)) " " (row.key.category) }
            td.place { code { (breakable(&format!("{}:{}", row.key.file, row.key.line))) } }
            td.story { code { (row.telling().join(" › ")) } }
        }
    }
}
