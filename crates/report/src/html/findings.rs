//! What was found, and what to do about it: the words of `tlsheap diagnose`, as a part of the page.

use analysis::diagnosis::Diagnosis;
use analysis::diagnosis::finding::{Finding, Site};
use analysis::diagnosis::held_at::HeldAt;
use analysis::notation::{human, rounded};
use maud::{Markup, html};

use super::page::{Found, Subject, Whole};
use super::sites::breakable;
use crate::findings::{beside_openssl, cost, of_a_connection, say};

/// Sites shown as evidence.
const SITES: usize = 5;

/// Of the only subject of a page: a section of its own, above everything else.
pub(super) fn first(subject: &Subject) -> Markup {
    if matches!(subject.found, Found::Nothing) {
        return html! {};
    }
    html! {
        section #findings aria-labelledby="findings-heading" {
            h2 #findings-heading { "What to do" }
            (told(subject))
        }
    }
}

/// Of one of several subjects: a part of its section.
pub(super) fn within(subject: &Subject, id: &str) -> Markup {
    match &subject.found {
        Found::Diagnosis(diagnosis) if !diagnosis.findings.is_empty() => html! {
            details.found id={ (id) "-findings" } {
                summary { (count(diagnosis)) }
                (told(subject))
            }
        },
        _ => html! {},
    }
}

fn told(subject: &Subject) -> Markup {
    match &subject.found {
        Found::Nothing => html! {},
        Found::Unknown(why) => html! { p.muted { "There is no diagnosis: " (why) "." } },
        Found::Diagnosis(diagnosis) => html! {
            p.summary { (count(diagnosis)) "." }
            @if !diagnosis.findings.is_empty() {
                ol.findings { @for finding in &diagnosis.findings { (one(finding)) } }
            }
            @if !diagnosis.notes.is_empty() {
                ul.notes { @for note in &diagnosis.notes { li { (note.text) } } }
            }
            @if let (Some(floor), Some(all)) =
                (diagnosis.floor_per_connection, diagnosis.bytes_per_connection)
            {
                p { (left(diagnosis, subject.whole.as_ref(), floor, all)) }
            }
        },
    }
}

/// What is left of a connection when all findings are gone: of `all` that OpenSSL has `floor`.
fn left(diagnosis: &Diagnosis, whole: Option<&Whole>, floor: f64, all: f64) -> String {
    match whole {
        Some(whole) => format!(
            "{} of the {} of a connection are left when all of that is gone; {} of it are OpenSSL's.",
            human(diagnosis.left_of(whole.bytes)),
            human(whole.bytes),
            human(floor)
        ),
        None => format!(
            "{} of the {} {} are left when all of that is gone.",
            human(floor),
            human(all),
            of_a_connection(diagnosis)
        ),
    }
}

fn count(diagnosis: &Diagnosis) -> String {
    let moment = match diagnosis.at {
        HeldAt::Capture => "",
        HeldAt::Peak => " at the peak, given back since",
    };
    let found = match diagnosis.findings.len() {
        0 => "Nothing found".to_owned(),
        1 => "1 finding".to_owned(),
        count => format!("{count} findings"),
    };
    let looked_at = human(diagnosis.looked_at as f64);
    format!("{found} in OpenSSL's {looked_at}{moment}{}", beside_openssl(diagnosis))
}

fn one(finding: &Finding) -> Markup {
    let sites: Vec<&Site> = finding.sites.iter().take(SITES).collect();
    html! {
        li {
            h3 { (finding.title) " " code.rule { (finding.rule.id) } }
            p.cost { (cost(finding, None)) }
            dl.remedies {
                @for remedy in &finding.remedies {
                    div { dt { (remedy.ecosystem.name()) } dd { (remedy.text) } }
                }
                div { dt { "price" } dd { (finding.rule.trade_off) } }
                div {
                    dt { "see" }
                    dd { a href=(finding.rule.link) rel="noreferrer" { (finding.rule.link) } }
                }
            }
            @if !finding.facts.is_empty() || !sites.is_empty() {
                details {
                    summary { "What says so" }
                    ul { @for fact in &finding.facts { li { (say(fact)) } } }
                    ul { @for site in sites { (evidence(site)) } }
                }
            }
        }
    }
}

fn evidence(site: &Site) -> Markup {
    let place = match (site.file.as_str(), site.line) {
        ("", _) => "[unknown]".to_owned(),
        (file, 0) => file.to_owned(),
        (file, line) => format!("{file}:{line}"),
    };
    html! {
        li {
            (rounded(site.bytes as f64)) " bytes at " code { (breakable(&place)) }
            @if !site.telling.is_empty() { ", " code { (site.telling.join(" › ")) } }
        }
    }
}
