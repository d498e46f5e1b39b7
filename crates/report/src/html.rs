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
mod flame;
mod flame_tree;
mod measured;
mod over_time;
mod parts;
mod sites;
mod staircase;

use std::collections::BTreeMap;

use analysis::composition::Part;
use analysis::diff::{Change, DiffRow, Margins};
use analysis::stacks::Stack;
use analysis::top::{Figures, Top};
use maud::{DOCTYPE, Markup, PreEscaped, Render, html};
use profile::Sampling;

use crate::timeline::Timeline;

/// Everything that the page shows.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// What was measured, in the order in which it is told.
    pub subjects: Vec<Subject>,
    /// What holds for all subjects: machine, versions, command.
    pub measured: Vec<Fact>,
}

/// One capture, usually of one configuration.
#[derive(Clone, Debug)]
pub struct Subject {
    /// What to call it.
    pub name: String,
    /// What it is, in one line; empty when nothing is known.
    pub summary: String,
    /// Bytes and blocks by site.
    pub top: Top,
    /// How its blocks were sampled; `None` where each was counted.
    pub sampling: Option<Sampling>,
    /// The same bytes by group, see [`analysis::composition`].
    pub parts: Vec<Part>,
    /// The same bytes by stack.
    pub stacks: Vec<Stack>,
    /// What others than OpenSSL hold: sampled, and in the flamegraph only.
    pub other_stacks: Vec<Stack>,
    /// Figures that no profile has.
    pub beside: Beside,
    /// Live objects by OpenSSL's name of their type.
    pub objects: BTreeMap<String, i64>,
    /// What changed against the subject before.
    pub step: Option<Step>,
    /// What resident memory is made of, moment after moment.
    pub accounts: Vec<Account>,
    /// Memory over time.
    pub timeline: Option<Timeline>,
    /// How this capture was made and what the recorder says of itself.
    pub measured: Vec<Fact>,
}

/// Figures of a connection that come from elsewhere than its profile.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Beside {
    /// Allocations until the capture.
    pub allocations: Option<f64>,
    /// Half the width of the 95 % interval of `allocations`; `None` where that is exact.
    pub allocations_margin: Option<f64>,
    /// Resident bytes, measured without the recorder.
    pub rss: Option<Spread>,
    /// Full handshakes in a second, measured without the recorder.
    pub handshakes_per_second: Option<Spread>,
}

/// The middle of several measurements, and how far they lie apart.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// The median.
    pub median: f64,
    /// The least and the most, where there was more than one.
    pub range: Option<(f64, f64)>,
}

/// What changed against the subject before, figures in the meaning of both [`Top::figures`].
#[derive(Clone, Debug)]
pub struct Step {
    /// All bytes.
    pub bytes: Change,
    /// How far off they may be.
    pub bytes_margins: Margins,
    /// The changes by site, largest first.
    pub rows: Vec<DiffRow>,
}

/// What resident memory is made of, as a sum that comes out.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Account {
    /// When, in a few words that follow "were resident".
    pub moment: String,
    /// Resident bytes: the sum of the lines.
    pub resident: i64,
    /// What explains them, in the order in which it is told.
    pub lines: Vec<AccountLine>,
}

/// One part of resident memory.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AccountLine {
    /// What it is.
    pub name: String,
    /// How many bytes; negative for what was asked for and never touched.
    pub bytes: i64,
    /// Half the width of the 95 % interval of `bytes`; `None` where they are exact.
    pub margin: Option<f64>,
    /// What it belongs to; may be empty.
    pub of: String,
}

/// A name and what is to be said under it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fact {
    /// The name.
    pub name: String,
    /// What it is.
    pub value: String,
}

impl Fact {
    /// A fact.
    pub fn new(name: impl Into<String>, value: impl Into<String>) -> Fact {
        Fact { name: name.into(), value: value.into() }
    }
}

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
    document.into_string() + "\n"
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

/// The anchor of a subject. Names may repeat and hold anything, so they are not used.
fn id(subject: usize) -> String {
    format!("subject-{}", subject + 1)
}

/// What the figures of a subject are figures of.
fn per(figures: Figures) -> &'static str {
    match figures {
        Figures::PerConnection(_) => "per connection",
        Figures::InUse => "in use",
    }
}

/// A figure, or a dash that says that it is not known.
fn known(figure: Option<impl Render>) -> Markup {
    html! {
        @match figure {
            Some(figure) => (figure),
            None => (unknown("not measured")),
        }
    }
}

/// A dash in place of a figure, and why there is none.
fn unknown(why: &str) -> Markup {
    html! { span.unknown title=(why) { "–" } }
}

#[cfg(test)]
mod tests;
