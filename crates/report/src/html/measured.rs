//! How it was measured: machine, versions, commands, what the recorder says of itself.

use analysis::category::RUST_DOMAIN;
use analysis::top::Figures;
use maud::{Markup, html};

use super::page::{Fact, Page, Subject};

/// What is the same for all, then what differs, a column for each subject.
pub(super) fn section(page: &Page) -> Markup {
    html! {
        section #measured aria-labelledby="measured-heading" {
            h2 #measured-heading { "How it was measured" }
            @if !page.measured.is_empty() {
                dl.facts {
                    @for fact in &page.measured {
                        div { dt { (fact.name) } dd { (fact.value) } }
                    }
                }
            }
            (table(page))
            ul.notes {
                @if page.subjects.iter().any(|subject| subject.top.bytes_margin.is_some()) {
                    li {
                        "Figures with a ± are " b { "estimates" } ": a part of OpenSSL's blocks "
                        "was counted, each with a probability that grows with its size, and what "
                        "was counted stands for the rest. The figure behind the ± is half the "
                        "width of the interval that holds the truth 95 times in 100. Figures "
                        "without one, in resident memory, are from the same estimates. "
                        "A change that is smaller than its interval is within error: chance may "
                        "have made it. Of what may be nothing no percentage is said."
                    }
                }
                @if page.subjects.iter().any(|subject| subject.top.bytes_margin.is_none()) { li {
                    "OpenSSL's bytes and blocks, as tlsheap counts them, are " b { "exact" }
                    ": every allocation, reallocation and free was counted at its line and call "
                    "stack. A block's size is what was requested; what the allocator adds is not "
                    "in it."
                } }
                @if page.subjects.iter().any(|s| s.top.figures != Figures::Process) { li {
                    "Per connection means: with every connection open and echoed, less what the "
                    "process held before the first, divided by the number of connections."
                } }
                @if page.subjects.iter().any(has_rust) { li {
                    "Memory of Rust, where it is shown, is " b { "sampled" } " by jemalloc and "
                    "scaled up: an estimate, in the pictures only, in no figure of OpenSSL's."
                } }
                @if page.subjects.iter().any(is_compared) { li {
                    "Resident memory and handshakes per second of a comparison come from a server "
                    "of its own without the recorder."
                } }
            }
        }
    }
}

fn has_rust(subject: &Subject) -> bool {
    let series = subject.timeline.iter().flat_map(|timeline| &timeline.series);
    subject.other_stacks.iter().any(|stack| stack.group == RUST_DOMAIN)
        || series.into_iter().any(|series| series.group == RUST_DOMAIN)
}

fn is_compared(subject: &Subject) -> bool {
    subject.beside.rss.is_some() || subject.beside.handshakes_per_second.is_some()
}

fn table(page: &Page) -> Markup {
    let mut names: Vec<&str> = Vec::new();
    for fact in page.subjects.iter().flat_map(|subject| &subject.measured) {
        if !names.contains(&fact.name.as_str()) {
            names.push(&fact.name);
        }
    }
    html! {
        @if !names.is_empty() {
            div.scroll tabindex="0" role="region" aria-label="Each capture" {
                table.captures {
                    thead {
                        tr {
                            td {}
                            @for subject in &page.subjects { th scope="col" { (subject.name) } }
                        }
                    }
                    tbody {
                        @for name in names {
                            tr {
                                th scope="row" { (name) }
                                @for subject in &page.subjects {
                                    td { (value(&subject.measured, name)) }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

fn value<'a>(facts: &'a [Fact], name: &str) -> &'a str {
    facts.iter().find(|fact| fact.name == name).map_or("–", |fact| &fact.value)
}
