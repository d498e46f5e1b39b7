//! The answer: the sentence that a reader takes away.

use analysis::column::Column;
use analysis::composition::Part;
use analysis::diff::{Change, Margins};
use analysis::notation::{exact, give_or_take, human, one_decimal, percent_give_or_take};
use analysis::top::Figures;
use maud::{Markup, html};

use super::change::by_percent;
use super::estimate::estimate;
use super::figure::minus;
use super::page::{Page, Step, Subject, Whole};

/// The title of the browser's window.
pub(super) fn title(page: &Page) -> String {
    match page.subjects.as_slice() {
        [] => "tlsheap report".to_owned(),
        [only] => match &only.whole {
            Some(it) => format!("{}: {} – tlsheap", only.name, whole(it.bytes, None)),
            None => format!("{}: {} – tlsheap", only.name, bytes(only)),
        },
        [first, .., last] => {
            format!("{} → {}: {} → {} – tlsheap", first.name, last.name, bytes(first), bytes(last))
        }
    }
}

/// The answer in one sentence, and of what it is made in the next.
pub(super) fn heading(page: &Page) -> Markup {
    html! {
        p.kind { "tlsheap report" }
        @match page.subjects.as_slice() {
            [] => h1 { "Nothing was measured." },
            [only] => {
                @match &only.whole {
                    Some(whole) => (of_everything(only, whole)),
                    None => (one(only)),
                }
            }
            [first, .., last] => (several(page, first, last)),
        }
    }
}

/// A connection's cost in all, and OpenSSL's part of it.
fn of_everything(subject: &Subject, all: &Whole) -> Markup {
    html! {
        h1 {
            "One TLS connection of " (subject.name) " costs " b { (whole(all.bytes, None)) }
            " of memory."
        }
        p.of-which { (all.made_of) " " (all.how) }
        @if let (Figures::PerConnection(_), Column::InUse) = (subject.top.figures, subject.top.column) {
            p.of-which {
                "OpenSSL asks for " (bytes(subject)) " for each: " (made_of(&subject.parts))
            }
        }
    }
}

fn one(subject: &Subject) -> Markup {
    html! {
        h1 {
            @match subject.top.figures {
                Figures::PerConnection(_) => {
                    "One TLS connection of " (subject.name) " "
                    @if subject.top.column == Column::Allocated { "allocates " }
                    @else { "costs " }
                    b { (bytes(subject)) } " of OpenSSL memory."
                }
                Figures::Process if gave_everything_back(subject) => {
                    (subject.name) " holds nothing any more; at its peak it held "
                    b { (whole(subject.peak.unwrap_or_default(), None)) } "."
                }
                Figures::Process => {
                    (subject.name)
                    @match subject.top.column {
                        Column::InUse => { " holds " b { (bytes(subject)) } "." }
                        Column::Peak => { " held " b { (bytes(subject)) } " at its peak." }
                        Column::Allocated => { " has allocated " b { (bytes(subject)) } "." }
                    }
                }
            }
        }
        p.of-which {
            (made_of(&subject.parts))
            @match (subject.top.figures, subject.top.blocks) {
                (Figures::PerConnection(n), Some(blocks)) => {
                    " " (estimate(blocks, subject.top.blocks_margin, one_decimal))
                    " blocks, measured with "
                    (exact(n.get() as i64)) " connections."
                }
                (Figures::Process, _) if !subject.moment.is_empty() => {
                    " It is shown " (subject.moment) "."
                }
                (Figures::Process, _) => {
                    " Nothing is known of its connections, so the figures are those of the whole "
                    "process."
                }
                _ => {}
            }
        }
    }
}

/// Whether what is in use says nothing, for there was something once.
fn gave_everything_back(subject: &Subject) -> bool {
    subject.top.column == Column::InUse
        && subject.top.bytes == Some(0.0)
        && subject.peak.is_some_and(|peak| peak > 0.0)
}

fn several(page: &Page, first: &Subject, last: &Subject) -> Markup {
    let (old, new) = (&first.top, &last.top);
    let margins = Margins { before: old.bytes_margin, after: new.bytes_margin, change: None };
    let change = new
        .bytes
        .zip(old.bytes)
        .and_then(|(after, before)| Change { before, after }.relative_within(margins));
    let biggest = page
        .subjects
        .iter()
        .zip(page.subjects.iter().skip(1))
        .filter_map(|(before, after)| Some((before, after, after.step.as_ref()?)))
        .filter(|(.., step)| step.bytes.is_significant(step.bytes_margins))
        .min_by(|a, b| a.2.bytes.delta().total_cmp(&b.2.bytes.delta()))
        .filter(|(.., step)| step.bytes.delta() < 0.0 && page.subjects.len() > 2);
    let process = matches!(first.top.figures, Figures::Process);
    html! {
        h1 {
            "From " (first.name) " to " (last.name) ", "
            @if process { "the process" } @else { "one TLS connection" }
            " goes from " b { (bytes(first)) } " to " b { (bytes(last)) }
            @if first.top.column != Column::InUse { " " (first.top.column.phrase()) }
            @if !process { " of OpenSSL memory" }
            @if let Some(change) = change { " (" (by_percent(change)) ")" }
            "."
        }
        p.of-which {
            "At first: " (made_of(&first.parts))
            @if let Some((before, after, Step { bytes, bytes_margins, .. })) = biggest {
                " The largest step is from " (before.name) " to " (after.name) ": "
                (minus(&whole(bytes.delta(), bytes_margins.change))) "."
            }
            " At last: " (made_of(&last.parts))
            @if !first.moment.is_empty() { " They are shown " (first.moment) "." }
        }
    }
}

/// The total of a subject.
fn bytes(subject: &Subject) -> String {
    let say = |bytes| whole(bytes, subject.top.bytes_margin);
    subject.top.bytes.map_or_else(|| "an unknown amount".to_owned(), say)
}

/// Bytes with their unit and margin in one line.
fn whole(bytes: f64, margin: Option<f64>) -> String {
    unbroken(&give_or_take(bytes, margin, human))
}

fn unbroken(figure: &str) -> String {
    figure.replace(' ', "\u{a0}")
}

/// Parts that are named one by one; smaller ones are left to the tables.
const NAMED: usize = 3;

/// `45.4 % compression (583.8 KB), …` – the largest parts.
fn made_of(parts: &[Part]) -> String {
    let mut parts: Vec<&Part> = parts.iter().filter(|part| part.bytes > 0.0).collect();
    parts.sort_by(|a, b| b.bytes.total_cmp(&a.bytes));
    let said: Vec<String> = parts
        .iter()
        .take(NAMED)
        .map(|part| {
            let share = part.share.map_or_else(String::new, |share| {
                unbroken(&percent_give_or_take(share, part.share_margin)) + " "
            });
            let bytes = whole(part.bytes, part.bytes_margin);
            format!("{share}{} ({bytes})", words(&part.group))
        })
        .collect();
    match said.as_slice() {
        [] => "nothing.".to_owned(),
        [all] => format!("{all}."),
        [begin @ .., end] => format!("{} and {end}.", begin.join(", ")),
    }
}

/// A group in words for readers who do not know OpenSSL.
fn words(group: &str) -> &str {
    match group {
        "tls" => "TLS buffers and state",
        "dtls" => "DTLS buffers and state",
        "compression" => "compression",
        "x509" => "certificates and trust stores",
        "pkey" => "keys",
        "evp" => "cipher and digest contexts",
        "provider" => "providers",
        "rand" => "random numbers",
        "bio" => "input and output",
        "err" => "error queues",
        "program" => "the program's own",
        "heap" => "what else asks malloc",
        "mapping" => "what else is mapped",
        "rust" => "Rust",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(group: &str, bytes: f64, share: f64) -> Part {
        Part { group: group.to_owned(), bytes, share: Some(share), ..Part::default() }
    }

    #[test]
    fn the_largest_parts_are_named_largest_first() {
        let parts = [
            part("tls", 100.0, 0.1),
            part("compression", 500.0, 0.5),
            part("x509", 380.0, 0.38),
            part("evp", 20.0, 0.02),
        ];
        assert_eq!(
            made_of(&parts),
            "50.0\u{a0}% compression (500\u{a0}B), 38.0\u{a0}% certificates and trust stores \
             (380\u{a0}B) and 10.0\u{a0}% TLS buffers and state (100\u{a0}B)."
        );
        assert_eq!(made_of(&parts[1..2]), "50.0\u{a0}% compression (500\u{a0}B).");
        assert_eq!(made_of(&[]), "nothing.");
    }
}
