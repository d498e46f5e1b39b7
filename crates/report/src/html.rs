//! The report: one HTML page that needs nothing but itself.
//!
//! Markup, style, script and pictures are in one file: it opens without a network, from a mail or
//! an archive of build results, and says everything without its script too. The script sorts and
//! filters tables, and zooms and searches flamegraphs.

mod account;
mod answer;
mod change;
mod changes;
mod configuration;
mod estimate;
mod figure;
mod flame;
mod flame_frames;
mod measured;
mod over_time;
mod page;
mod parts;
mod sites;
mod staircase;

use maud::{DOCTYPE, Markup, PreEscaped, html};
use profile::harmless::harmless_document;

use page::id;
pub use page::{Account, AccountLine, Beside, Fact, Page, Spread, Step, Subject};

/// The page as a document. The same input gives the same bytes.
pub fn page(page: &Page) -> String {
    let several = page.subjects.len() > 1;
    let document = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="generator" content={ "tlsheap " (env!("CARGO_PKG_VERSION")) };
                // The page loads nothing, and could not if it tried.
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                title { (answer::title(page)) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                a.skip href="#content" { "Skip to the content" }
                header {
                    (answer::heading(page))
                    (contents(page))
                }
                main #content tabindex="-1" {
                    @if several { (staircase::section(page)) }
                    @for at in 0..page.subjects.len() { (configuration::section(page, at)) }
                    (measured::section(page))
                }
                footer {
                    p { "Made by tlsheap. One kilobyte is 1,000 bytes. This file is complete: it "
                        "loads nothing." }
                }
                script { (PreEscaped(FLAME_SCRIPT)) (PreEscaped(TABLE_SCRIPT)) }
            }
        }
    };
    // Names may hold what turns the text around them, or what HTML has no place for.
    harmless_document(document.into_string()) + "\n"
}

const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'";
const STYLE: &str = include_str!("html/page.css");
const FLAME_SCRIPT: &str = include_str!("html/flame.js");
const TABLE_SCRIPT: &str = include_str!("html/table.js");

fn contents(page: &Page) -> Markup {
    html! {
        nav aria-label="Contents" {
            ul {
                @if page.subjects.len() > 1 { li { a href="#staircase" { "Step by step" } } }
                @for (at, subject) in page.subjects.iter().enumerate() {
                    li { a href={ "#" (id(at)) } { (subject.name) } }
                }
                li { a href="#measured" { "How it was measured" } }
            }
        }
    }
}

#[cfg(test)]
mod tests;
