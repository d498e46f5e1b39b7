//! A diagnosis for the terminal.

use analysis::diagnosis::Diagnosis;
use analysis::diagnosis::case::Negotiated;
use analysis::diagnosis::finding::{Fact, Finding};
use analysis::diagnosis::held_at::HeldAt;
use analysis::notation::{human, one_decimal, percent, rounded};
use anstyle::{AnsiColor, Style};
use capture::records::recording::Recording;
use profile::harmless::harmless;

use crate::account;
use crate::fit::{shorten, told, width};
use crate::medium::Medium;
use crate::memory;
use crate::wrapping;

/// Sites shown as evidence.
const SITES: usize = 5;

/// Holders shown of what lies in no finding.
const HOLDERS: usize = 5;

/// How far text stands in.
const INDENT: usize = 3;

/// What the figures are of.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// The capture's name.
    pub name: &'a str,
    /// Connections open at the capture.
    pub connections: Option<u64>,
    /// To how many connections findings are projected.
    pub projected_to: Option<u64>,
    /// What connections agreed on.
    pub negotiated: Option<&'a Negotiated>,
    /// The recording that is looked at, if it is one.
    pub recording: Option<&'a Recording>,
}

/// The whole diagnosis: a heading, each finding with its evidence and remedies, and the floor.
pub fn diagnosis(diagnosis: &Diagnosis, subject: &Subject<'_>, medium: Medium) -> String {
    let mut text = heading(diagnosis, subject, medium);
    if let Some(answer) = subject.recording.and_then(account::one_connection) {
        text += &wrapping::wrapped(&answer, 0, medium);
        text.push('\n');
    }
    for (number, finding) in (1..).zip(&diagnosis.findings) {
        text += "\n";
        text += &one(number, finding, subject, medium);
    }
    text += "\n";
    for note in &diagnosis.notes {
        text += &wrapped("note", &note.text, medium);
    }
    text += &rest(diagnosis, medium);
    text += &floor(diagnosis, subject, medium);
    text += &others(subject, medium);
    for sentence in subject.recording.map(memory::sentences).unwrap_or_default() {
        text += &wrapping::wrapped(&sentence, 0, medium);
        text.push('\n');
    }
    if diagnosis.unknown_share > 0.0 {
        let share = percent(diagnosis.unknown_share);
        text += &format!("{share} of all bytes are of sites that nothing is known of (unknown)\n");
    }
    text
}

fn heading(diagnosis: &Diagnosis, subject: &Subject<'_>, medium: Medium) -> String {
    let looked_at = human(diagnosis.looked_at as f64);
    let moment = match diagnosis.at {
        HeldAt::Capture => "",
        HeldAt::Peak => " at the peak, given back since",
    };
    let found = match diagnosis.findings.len() {
        0 => "nothing found".to_owned(),
        1 => "1 finding".to_owned(),
        count => format!("{count} findings"),
    };
    let name = harmless(subject.name);
    let whole = beside_openssl(diagnosis);
    let among = format!("{name}: {found} in OpenSSL's {looked_at}{moment}{whole}");
    let line = match (diagnosis.bytes_per_connection, subject.connections) {
        (Some(bytes), Some(1)) => format!("{among}; {} bytes with 1 connection", rounded(bytes)),
        (Some(bytes), Some(connections)) => {
            let bytes = rounded(bytes);
            format!("{among}; {bytes} bytes for each of {connections} connections")
        }
        _ => format!("{among}; no SSL object was live"),
    };
    wrapping::wrapped(&line, 0, medium) + "\n"
}

/// What lies in no finding, and who holds it, where it is more than a fifth.
fn rest(diagnosis: &Diagnosis, medium: Medium) -> String {
    const LEAST_SHARE: f64 = 0.2;
    if diagnosis.rest_share() <= LEAST_SHARE {
        return String::new();
    }
    let holders = || diagnosis.rest.holders.iter().take(HOLDERS);
    let bytes = human(diagnosis.rest.bytes as f64);
    let share = percent(diagnosis.rest_share());
    let mut text = format!("in no finding: {bytes}, {share}; held by\n");
    let widest = holders().map(|holder| width(&rounded(holder.bytes as f64))).max();
    for holder in holders() {
        let bytes = rounded(holder.bytes as f64);
        let pad = " ".repeat(INDENT + widest.unwrap_or_default() - width(&bytes));
        let room = medium.room_for_names().saturating_sub(INDENT + widest.unwrap_or_default() + 2);
        text += &format!("{pad}{bytes}  {}\n", shorten(&harmless(&holder.path), room));
    }
    text
}

/// Who has asked for most of what is not OpenSSL's, where that was recorded.
fn others(subject: &Subject<'_>, medium: Medium) -> String {
    let heap = subject.recording.and_then(|recording| recording.heap.as_ref());
    let Some(heap) = heap.filter(|heap| !heap.largest.is_empty()) else { return String::new() };
    let largest = || heap.largest.iter().take(HOLDERS);
    let widest = largest().map(|holder| width(&rounded(holder.bytes))).max().unwrap_or_default();
    let when = subject.recording.filter(|it| it.is_at_peak()).map(Recording::moment_of_peak);
    let when = when.map_or_else(String::new, |when| format!(" {when}"));
    let mut text = format!("beside OpenSSL's, most was asked for{when} by\n");
    for holder in largest() {
        let bytes = rounded(holder.bytes);
        let pad = " ".repeat(INDENT + widest - width(&bytes));
        let blocks = one_decimal(holder.blocks);
        let blocks = blocks.strip_suffix(".0").unwrap_or(&blocks);
        let path = match holder.through.split_last() {
            Some((last, [.., through])) => format!("{last} ← {through}"),
            Some((last, [])) => last.clone(),
            None => holder.function.clone(),
        };
        let line = format!("{pad}{bytes}  {blocks}×  ");
        let room = medium.room_for_names().saturating_sub(width(&line));
        text += &format!("{line}{}\n", shorten(&harmless(&path), room));
    }
    text
}

fn one(number: usize, finding: &Finding, subject: &Subject<'_>, medium: Medium) -> String {
    let title = format!("{number}. {}", finding.title);
    let gap = medium.of_sentences().saturating_sub(width(&title) + width(finding.rule.id)).max(2);
    let mut text = medium.paint(AnsiColor::Yellow.on_default().bold(), &title);
    text += &" ".repeat(gap);
    text += &medium.paint(Style::new().dimmed(), finding.rule.id);
    text.push('\n');
    text += &wrapped("", &cost(finding, subject.projected_to), medium);
    for fact in &finding.facts {
        text += &(wrapping::wrapped(&say(fact), INDENT, medium) + "\n");
    }
    let sites = || finding.sites.iter().take(SITES);
    let widest = sites().map(|site| width(&rounded(site.bytes as f64))).max();
    for site in sites() {
        let bytes = rounded(site.bytes as f64);
        let pad = " ".repeat(INDENT + 2 + widest.unwrap_or_default() - width(&bytes));
        let place = match (site.file.as_str(), site.line) {
            // A holder is a function, whatever its lines: it ends the telling.
            ("", _) if !site.telling.is_empty() => String::new(),
            ("", _) => "  [unknown]".to_owned(),
            (file, 0) => format!("  {}", harmless(file)),
            (file, line) => format!("  {}:{line}", harmless(file)),
        };
        let line = format!("{pad}{bytes}{place}");
        text += &beside(&line, &site.telling, medium);
    }
    for remedy in &finding.remedies {
        text += &wrapped(remedy.ecosystem.name(), remedy.text, medium);
    }
    text += &wrapped("price", finding.rule.trade_off, medium);
    text += &wrapped("see", finding.rule.link, medium);
    text
}

/// A site, and its story beside it where half of a line is left for that, or else below it.
pub(crate) fn beside(line: &str, telling: &[String], medium: Medium) -> String {
    let margin = line.len() - line.trim_start().len();
    let is_room = width(line) + 2 <= medium.room() / 2 || medium.columns.is_none();
    let behind = if is_room { width(line) + 2 } else { margin + 2 };
    let mut text = line.to_owned();
    for (at, story) in told(telling, behind, medium).iter().filter(|it| !it.is_empty()).enumerate()
    {
        let gap =
            if is_room && at == 0 { "  ".to_owned() } else { format!("\n{}", " ".repeat(behind)) };
        text += &gap;
        text += &medium.paint(Style::new().dimmed(), story);
    }
    text + "\n"
}

/// What it costs, and what it would cost with other numbers of connections.
pub(crate) fn cost(finding: &Finding, projected_to: Option<u64>) -> String {
    let total = human(finding.bytes_total as f64);
    let Some(bytes) = finding.bytes_per_connection else {
        return format!("{total} in all");
    };
    let mut text = format!("{} bytes for each connection, {total} in all", rounded(bytes));
    if let Some(connections) = projected_to
        && let Some(projected) = finding.projected(connections)
    {
        text += &format!("; {} with {} connections", human(projected), rounded(connections as f64));
    }
    text
}

pub(crate) fn say(fact: &Fact) -> String {
    let value = fact.value;
    let value = match fact.what.as_ref() {
        what if what.starts_with("share") || what.starts_with("confidence") => percent(value),
        _ if value.fract() != 0.0 && value.abs() < 1_000.0 => one_decimal(value),
        _ => rounded(value),
    };
    format!("{value} {}", fact.what)
}

/// What was looked at beside OpenSSL's memory.
pub(crate) fn beside_openssl(diagnosis: &Diagnosis) -> String {
    match diagnosis.resident {
        Some(bytes) => format!(" and in {} of resident memory", human(bytes as f64)),
        None => String::new(),
    }
}

/// What is left when everything that was found is gone.
fn floor(diagnosis: &Diagnosis, subject: &Subject<'_>, medium: Medium) -> String {
    let (Some(floor), Some(all)) = (diagnosis.floor_per_connection, diagnosis.bytes_per_connection)
    else {
        return String::new();
    };
    let agreed = subject.negotiated.map(|agreed| match agreed.group.as_str() {
        "" | "none" => agreed.protocol.clone(),
        group => format!("{} with {group}", agreed.protocol),
    });
    let with = match (agreed, diagnosis.findings.is_empty()) {
        (Some(agreed), true) => format!("needed by {agreed}"),
        (Some(agreed), false) => format!("left when all of that is gone ({agreed})"),
        (None, true) => "needed, as far as is known here".to_owned(),
        (None, false) => "left when all of that is gone".to_owned(),
    };
    let line = match subject.recording.and_then(account::told_growth) {
        Some(growth) => format!(
            "floor: {} of the {} of a connection are {with}; {} of it are OpenSSL's",
            human(diagnosis.left_of(growth.total)),
            human(growth.total),
            human(floor)
        ),
        None => format!(
            "floor: {} of the {} {} are {with}",
            human(floor),
            human(all),
            of_a_connection(diagnosis)
        ),
    };
    // The names of groups are long.
    let line =
        if width(&line) > medium.of_sentences() { line.replacen(" (", "\n  (", 1) } else { line };
    format!("{line}\n")
}

/// Whose part of a connection that is: where more is known, others have a part too.
pub(crate) fn of_a_connection(diagnosis: &Diagnosis) -> &'static str {
    match diagnosis.resident {
        Some(_) => "that OpenSSL has of a connection",
        None => "of a connection",
    }
}

/// A name in a column of its own, and text beside it, wrapped.
fn wrapped(name: &str, text: &str, medium: Medium) -> String {
    /// The widest name, and a gap.
    const NAMES: usize = 16;
    let begin = if name.is_empty() { INDENT } else { INDENT + NAMES };
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split_whitespace() {
        if !line.is_empty() && begin + width(&line) + 1 + width(word) > medium.of_sentences() {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line += word;
    }
    lines.push(line);
    let indent = " ".repeat(INDENT);
    let first = if name.is_empty() { indent.clone() } else { format!("{indent}{name:<NAMES$}") };
    let rest = format!("\n{}", " ".repeat(begin));
    format!("{first}{}\n", lines.join(&rest))
}
