//! The table of sites: sorted by its headings, filtered by a text.

use analysis::notation::{exact, rounded};
use analysis::top::TopRow;
use maud::{Markup, html};

use super::estimate::{self, estimate};
use super::figure::known;
use super::page::Subject;
use super::parts::{share, swatch};
use super::staircase::{blocks, unit};

/// Rows that are there without the script; a profile may have tens of thousands.
const MOST_ROWS: usize = 500;

/// Every site that holds anything.
pub(super) fn table(subject: &Subject, id: &str) -> Markup {
    let holds = |row: &&TopRow| row.bytes != Some(0.0) || row.blocks.is_some_and(|b| b != 0.0);
    let mut rows: Vec<&TopRow> = subject.top.rows.iter().filter(holds).collect();
    let widest = rows.iter().filter_map(|row| row.share).fold(0.0, f64::max);
    let left_out = subject.top.rows.len() - rows.len();
    // Those beyond are among what the script draws from.
    let smaller = rows.split_off(rows.len().min(MOST_ROWS));
    html! {
        div.sites data-table=(id) {
            div.tools {
                label {
                    span { "Filter" }
                    input type="search" placeholder="category, file or function"
                        autocomplete="off" spellcheck="false" aria-controls={ (id) "-sites" };
                }
                output.matched aria-live="polite" {
                    (exact(rows.len() as i64)) " sites"
                }
            }
            div.scroll.tall tabindex="0" role="region" aria-label={ "Sites of " (subject.name) } {
                table id={ (id) "-sites" } {
                    caption.hidden { "Sites of " (subject.name) " with their " (unit(subject)) }
                    thead {
                        tr {
                            (heading("bytes", Kind::Number, Sorted::Descending))
                            (heading("share", Kind::Number, Sorted::Not))
                            (heading("blocks", Kind::Number, Sorted::Not))
                            (heading("category", Kind::Text, Sorted::Not))
                            (heading("site", Kind::Text, Sorted::Not))
                            (heading("function", Kind::Text, Sorted::Not))
                            (heading("reached through", Kind::Text, Sorted::Not))
                        }
                    }
                    tbody { @for row in &rows { (site(row, widest, blocks(subject))) } }
                }
            }
            @if !smaller.is_empty() {
                p.muted.smaller {
                    (exact(smaller.len() as i64)) " smaller sites have "
                    (rounded(smaller.iter().filter_map(|row| row.bytes).sum())) " bytes together."
                }
            }
            div.tools hidden { button.more-rows type="button" { "Show more" } }
            @if left_out > 0 {
                p.muted {
                    @if subject.top.bytes_margin.is_none() {
                        (exact(left_out as i64)) " more sites hold no more than before the first "
                        "connection."
                    } @else {
                        "Of " (exact(left_out as i64)) " more sites no more was counted than "
                        "before the first connection."
                    }
                }
            }
            p.only-print { "The forty largest sites are printed; the file shows all of them." }
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Number,
    Text,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Sorted {
    Descending,
    Not,
}

fn heading(name: &str, kind: Kind, sorted: Sorted) -> Markup {
    let class = (kind == Kind::Number).then_some("n");
    let order = match sorted {
        Sorted::Descending => "descending",
        Sorted::Not => "none",
    };
    html! {
        th class=[class] scope="col" aria-sort=(order) { button type="button" { (name) } }
    }
}

fn site(row: &TopRow, widest: f64, blocks: fn(f64) -> String) -> Markup {
    let key = &row.key;
    let place = match (key.file.as_str(), key.line) {
        ("", _) => "[unknown]".to_owned(),
        (file, 0) => file.to_owned(),
        (file, line) => format!("{file}:{line}"),
    };
    let group = key.category.split('.').next().unwrap_or_default();
    html! {
        tr {
            td.n data-v=[row.bytes] {
                (known(row.bytes.map(|bytes| estimate(bytes, row.bytes_margin, rounded))))
            }
            td.n data-v=[row.share] {
                (known(row.share.map(|share| estimate::share(share, row.share_margin))))
                @if let Some(part) = row.share.filter(|part| *part > 0.0 && widest > 0.0) {
                    svg.share aria-hidden="true" {
                        rect width=(share(part / widest * 100.0)) height="100%" {}
                    }
                }
            }
            td.n data-v=[row.blocks] {
                (known(row.blocks.map(|figure| estimate(figure, row.blocks_margin, blocks))))
            }
            td.category { (swatch(group)) " " (key.category) }
            td.place { code { (breakable(&place)) } }
            td.place { code { (key.function) } }
            td.story { code { (row.telling.join(" › ")) } }
        }
    }
}

/// A path that may go on in the next line after each folder.
pub(super) fn breakable(path: &str) -> Markup {
    html! {
        @for (at, part) in path.split('/').enumerate() {
            @if at > 0 { "/" wbr; }
            (part)
        }
    }
}
