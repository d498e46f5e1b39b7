//! The report: one HTML page that needs nothing but itself.
//!
//! Markup, style, script and pictures are in one file: it opens without a network, from a mail or
//! an archive of build results, and says everything without its script too. With it, a reader
//! chooses the figures and what is hidden, sorts and filters tables, zooms, turns over and searches
//! flamegraphs, and asks what was there at a moment.

mod account;
mod answer;
mod change;
mod changes;
mod choices;
mod configuration;
mod estimate;
mod figure;
mod findings;
mod flame;
mod flame_frames;
mod measured;
mod over_time;
mod page;
mod parts;
mod sites;
mod sizes;
mod staircase;
mod stays;
mod tried;

use analysis::timeline::Timeline;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use profile::harmless::harmless_document;

pub use choices::{Choices, FiguredStack, Measure, Name, SiteOf};
use page::id;
pub use page::{
    Account, AccountLine, AccountOf, Beside, BlockSizes, Fact, Found, Page, SizeClass, Spread,
    Stays, StaysOf, Step, Subject, Tried, Whole,
};

/// What a page of now says above everything else.
#[derive(Clone, Debug, Default)]
pub struct Live {
    /// When that is.
    pub at: String,
    /// What is said of the moment, in sentences without their full stop.
    pub said: Vec<String>,
    /// Seconds until it reads itself again.
    pub every_seconds: u32,
    /// What was in use since somebody looked first, where that is known.
    pub over_time: Option<Timeline>,
    /// How large live blocks are, where that could be looked at.
    pub sizes: Option<analysis::block_sizes::BlockSizes>,
}

/// The page as a document. The same input gives the same bytes.
pub fn page(page: &Page) -> String {
    document(page, None)
}

/// The same of what is held now: it reads itself again from where it came.
pub fn live_page(page: &Page, live: &Live) -> String {
    document(page, Some(live))
}

fn document(page: &Page, live: Option<&Live>) -> String {
    let several = page.subjects.len() > 1;
    let document = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="generator" content={ "tlsheap " (env!("CARGO_PKG_VERSION")) };
                // The page loads nothing but itself, and could not if it tried.
                meta http-equiv="Content-Security-Policy"
                    content=(if live.is_some() { LIVE_POLICY } else { POLICY });
                title { (answer::title(page)) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                a.skip href="#content" { "Skip to the content" }
                @if let Some(live) = live { (bar(live)) }
                header {
                    (answer::heading(page))
                    (contents(page))
                }
                main #content tabindex="-1" {
                    @if several { (staircase::section(page)) }
                    @if let [only] = page.subjects.as_slice() { (findings::first(only)) }
                    @for at in 0..page.subjects.len() { (configuration::section(page, at)) }
                    (measured::section(page))
                }
                footer {
                    p {
                        "Made by tlsheap. One kilobyte is 1,000 bytes. "
                        @if live.is_none() { "This file is complete: it loads nothing." }
                        @else { "Saved as a file it stays as it is." }
                    }
                }
                script {
                    @for part in SCRIPT { (PreEscaped(part)) }
                    @if live.is_some() { (PreEscaped(LIVE_SCRIPT)) }
                }
            }
        }
    };
    // Names may hold what turns the text around them, or what HTML has no place for.
    harmless_document(document.into_string()) + "\n"
}

const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'";
const STYLE: &str = include_str!("html/page.css");

/// In the order in which they need each other.
const SCRIPT: [&str; 7] = [
    include_str!("html/stacks.js"),
    include_str!("html/frames.js"),
    include_str!("html/flame.js"),
    include_str!("html/table.js"),
    include_str!("html/choices.js"),
    include_str!("html/timeline.js"),
    include_str!("html/begin.js"),
];

/// What a live page may do: as every page, and read itself again.
pub const LIVE_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src \
     'unsafe-inline'; connect-src 'self'";
const LIVE_SCRIPT: &str = include_str!("html/live.js");

/// What is said of the moment, and whether it goes on.
fn bar(live: &Live) -> Markup {
    html! {
        section.live aria-label="Live" data-live=(live.every_seconds) {
            p { b { (live.at) } " " (live.said.join(". ")) "." }
            output { "live" }
            button type="button" { "Pause" }
        }
    }
}

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
