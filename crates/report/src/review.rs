//! A budget's review: for the terminal, for GitHub, as Markdown.

pub use analysis::budget::Reviewed;
use analysis::budget::{Cause, Figure, Most, Review, Verdict};
use analysis::column::Column;
use analysis::diagnosis::finding::Finding;
use analysis::notation::{one_decimal, rounded, signed};
use anstyle::AnsiColor;
use profile::harmless::{harmless, harmless_lines};

use crate::findings::beside;
use crate::medium::Medium;
use crate::table;

/// The table of limits, each breach with what broke it, and one sentence at the end.
pub fn terminal(review: &Review, reviewed: &Reviewed<'_>, medium: Medium) -> String {
    let headings = ["", "limit", "measured", "most", "figure"];
    let rows: Vec<Vec<String>> = review
        .verdicts
        .iter()
        .map(|verdict| {
            vec![
                if verdict.is_breach() { "over" } else { "ok" }.to_owned(),
                verdict.limit.scope.name(),
                figure(verdict.value, verdict.limit.figure),
                most(verdict),
                verdict.limit.figure.unit().to_owned(),
            ]
        })
        .collect();
    let mut text = String::new();
    if !rows.is_empty() {
        text += &table::plain(&headings, &rows, medium);
    }
    let red = AnsiColor::Red.on_default().bold();
    for verdict in review.verdicts.iter().filter(|verdict| verdict.is_breach()) {
        text += &format!("\n{}\n", medium.paint(red, &sentence(verdict)));
        for cause in &verdict.causes {
            text += &of_cause(cause, verdict, medium);
        }
    }
    for finding in &review.unwanted {
        text += &format!("\n{}\n", medium.paint(red, &of_finding(finding)));
        text += &evidence(finding, medium);
    }
    for finding in &review.explanations {
        text += &format!("\nit may be this: {}\n", of_finding(finding));
        text += &evidence(finding, medium);
    }
    text += &format!("\n{}\n", outcome(review, reviewed));
    text
}

/// Workflow commands of GitHub: an error for each breach, a notice when there is none.
pub fn annotations(review: &Review, reviewed: &Reviewed<'_>) -> String {
    let mut text = String::new();
    for (title, message) in breaches(review) {
        text += &format!("::error title={}::{}\n", escaped_property(&title), escaped(&message));
    }
    if review.passes() {
        text += &format!("::notice title=tlsheap::{}\n", escaped(&outcome(review, reviewed)));
    }
    text
}

/// The table of limits and each breach as Markdown, for a step's summary.
pub fn markdown(review: &Review, reviewed: &Reviewed<'_>) -> String {
    let mut text = format!("### {}\n\n", cell(&outcome(review, reviewed)));
    if !review.verdicts.is_empty() {
        text += "| | limit | measured | most | figure |\n| --- | --- | --: | --: | --- |\n";
    }
    for verdict in &review.verdicts {
        text += &format!(
            "| {} | {} | {} | {} | {} |\n",
            if verdict.is_breach() { "over" } else { "ok" },
            cell(&verdict.limit.scope.name()),
            figure(verdict.value, verdict.limit.figure),
            cell(&most(verdict)),
            verdict.limit.figure.unit(),
        );
    }
    for (title, message) in breaches(review) {
        // Nor can a name end the block that it stands in.
        let message = message.replace("```", "\'\'\'");
        text += &format!("\n**{}**\n\n```text\n{message}\n```\n", cell(&title));
    }
    harmless_lines(&text).into_owned()
}

/// Each breach in a few words, and with all that is known of it.
pub fn breaches(review: &Review) -> Vec<(String, String)> {
    let mut all = Vec::new();
    for verdict in review.verdicts.iter().filter(|verdict| verdict.is_breach()) {
        let causes = verdict.causes.iter().map(|cause| {
            let line = of_cause(cause, verdict, Medium::PLAIN);
            line.strip_prefix("  ").unwrap_or(&line).trim_end().to_owned()
        });
        let explanations =
            review.explanations.iter().map(|it| format!("it may be this: {}", of_finding(it)));
        let lines: Vec<String> =
            [sentence(verdict)].into_iter().chain(causes).chain(explanations).collect();
        let title = format!("{} is over its budget", verdict.limit.scope.name());
        all.push((title, lines.join("\n")));
    }
    for finding in &review.unwanted {
        let message = format!("{}\n{}", of_finding(finding), evidence(finding, Medium::PLAIN));
        all.push((format!("{} is not allowed", finding.rule.id), message.trim_end().to_owned()));
    }
    all
}

/// One sentence about the whole, without its full stop.
pub fn outcome(review: &Review, reviewed: &Reviewed<'_>) -> String {
    let [capture, budget] = [reviewed.capture, reviewed.budget].map(harmless);
    let capture = match reviewed.column {
        Column::InUse => capture.into_owned(),
        column => format!("{capture}, {},", column.phrase()),
    };
    let limits = review.verdicts.len();
    let over = review.verdicts.iter().filter(|verdict| verdict.is_breach()).count();
    if review.passes() {
        return format!("{capture} keeps to {budget}: {limits} limits, none is exceeded");
    }
    let mut reasons = Vec::new();
    if over > 0 {
        let are = if over == 1 { "is" } else { "are" };
        reasons.push(format!("{over} of {limits} limits {are} exceeded"));
    }
    match review.unwanted.len() {
        0 => {}
        1 => reasons.push("1 finding is not allowed".to_owned()),
        count => reasons.push(format!("{count} findings are not allowed")),
    }
    format!("{capture} breaks {budget}: {}", reasons.join(", and "))
}

/// `total: 66,272 bytes a connection, 10,706 more than the 55,566 of the budget`.
fn sentence(verdict: &Verdict) -> String {
    let kind = verdict.limit.figure;
    let over = figure(verdict.value - verdict.most, kind);
    let mut text = format!(
        "{}: {} {}, {over} more than the {} of the budget",
        verdict.limit.scope.name(),
        figure(verdict.value, kind),
        kind.unit(),
        figure(verdict.most, kind),
    );
    if let Some(baseline) = verdict.baseline {
        text += &format!("; {} in the baseline", figure(baseline, kind));
    }
    text
}

fn most(verdict: &Verdict) -> String {
    let kind = verdict.limit.figure;
    match verdict.limit.most {
        Most::Absolute(most) => figure(most, kind),
        Most::BaselinePercent(percent) => {
            format!("{} (baseline + {} %)", figure(verdict.most, kind), trimmed(percent))
        }
        Most::BaselineMore(more) => {
            format!("{} (baseline + {})", figure(verdict.most, kind), trimmed(more))
        }
    }
}

/// A line, or two, for what a limit was broken by.
fn of_cause(cause: &Cause, verdict: &Verdict, medium: Medium) -> String {
    let amount = match verdict.baseline {
        Some(_) => signed_figure(cause.amount, verdict.limit.figure),
        None => figure(cause.amount, verdict.limit.figure),
    };
    let place = match (cause.key.file.as_str(), cause.key.line) {
        // What others than OpenSSL ask for is known by who asks.
        ("", _) if !cause.key.function.is_empty() => harmless(&cause.key.function).into_owned(),
        ("", _) => "[unknown]".to_owned(),
        (file, 0) => harmless(file).into_owned(),
        (file, line) => format!("{}:{line}", harmless(file)),
    };
    beside(&format!("  {amount:>12}  {place}"), &cause.telling, medium)
}

fn of_finding(finding: &Finding) -> String {
    let id = finding.rule.id;
    match finding.bytes_per_connection {
        Some(bytes) => format!("{} ({id}): {} bytes a connection", finding.title, rounded(bytes)),
        None => {
            format!(
                "{} ({id}): {} bytes in all",
                finding.title,
                rounded(finding.bytes_total as f64)
            )
        }
    }
}

/// Facts and sites of a finding, a line each.
fn evidence(finding: &Finding, medium: Medium) -> String {
    let mut text = String::new();
    for fact in &finding.facts {
        text += &format!("  {:>12}  {}\n", trimmed(fact.value), fact.what);
    }
    for site in finding.sites.iter().take(3) {
        let place = format!("{}:{}", harmless(&site.file), site.line);
        let line = format!("  {:>12}  {place}", rounded(site.bytes as f64));
        text += &beside(&line, &site.telling, medium);
    }
    text
}

/// Objects and blocks have fractions that matter; bytes have not.
fn figure(value: f64, kind: Figure) -> String {
    match kind {
        Figure::BytesPerConnection | Figure::Bytes | Figure::Blocks => rounded(value),
        Figure::AllocationsPerHandshake | Figure::BlocksPerConnection => one_decimal(value),
        Figure::ObjectsPerConnection => trimmed(value),
    }
}

fn signed_figure(value: f64, kind: Figure) -> String {
    match kind {
        Figure::BytesPerConnection | Figure::Bytes | Figure::Blocks => signed(value),
        _ => format!("+{}", figure(value, kind)),
    }
}

/// At most two decimals, and none that say nothing.
fn trimmed(value: f64) -> String {
    if value.abs() >= 1_000.0 {
        return rounded(value);
    }
    format!("{value:.2}").trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// GitHub ends a message at the end of its line.
fn escaped(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn escaped_property(text: &str) -> String {
    escaped(text).replace(':', "%3A").replace(',', "%2C")
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_stays_on_its_line() {
        assert_eq!(escaped("5 % more\nof it"), "5 %25 more%0Aof it");
        assert_eq!(escaped_property("a: b, c"), "a%3A b%2C c");
    }

    #[test]
    fn figures_keep_the_decimals_that_say_something() {
        assert_eq!([0.1, 1.0, 12.345, 1_234.5].map(trimmed), ["0.1", "1", "12.35", "1,235"]);
    }
}
