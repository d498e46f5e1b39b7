//! What `tlsheap run` says at its end.

use std::path::Path;

use analysis::group::By;
use analysis::notation::{exact, give_or_take, human, one_decimal, rounded};
use analysis::rss_account::Group;
use analysis::top::Top;
use capture::records::counts::CountsRecord;
use capture::records::recorder::RecorderMemory;
use capture::records::resident::{AccountRecord, PartRecord};
use capture::records::run::{NegotiatedRecord, RunRecord};
use profile::harmless::harmless;
use report::losses::losses;
use report::medium::Medium;
use report::table::{self, TableOptions};
use report::wrapping::wrapped;

/// Sites shown in the answer.
const SITES: usize = 8;

/// Columns that a margin takes behind its figure: ` ± 999.9 MB`.
const MARGIN: usize = 11;

/// How many connections a run makes that was not told.
const USUAL_CONNECTIONS: u64 = 200;

/// Parts named of the memory that stays.
const REASONS: usize = 3;

/// The whole answer: what one connection costs, where, and what to do next.
pub fn of_run(record: &RunRecord, top: &Top, folder: &Path, medium: Medium) -> String {
    let mut text = String::from("\n");
    match (&record.per_connection, record.connections) {
        (Some(cost), Some(connections)) => {
            text += &format!(
                "One connection costs {} bytes of OpenSSL memory in {} blocks.\n",
                give_or_take(cost.bytes, top.bytes_margin, rounded),
                give_or_take(cost.blocks, top.blocks_margin, one_decimal),
            );
            let made_of = format!(
                "({}: {} with {connections} connections, less {} before them; {} allocations \
                 each)",
                record.configuration,
                in_use(&record.at_rest.openssl),
                in_use(&record.baseline.openssl),
                give_or_take(cost.allocations, cost.allocations_margin(), rounded),
            );
            text += &wrapped(&made_of, 0, medium);
            text += "\n\n";
        }
        _ => {
            text += &format!(
                "The run ended early: {}.\nOpenSSL held {} then.\n\n",
                record.ended,
                in_use(&record.at_rest.openssl),
            );
        }
    }
    let mut options = TableOptions::by(By::Site);
    options.rows = SITES;
    options.medium = medium;
    text += &table::top(top, &options);
    text += &facts(record, medium);
    text += &(wrapped(&losses(&record.recorder), 0, medium) + "\n");
    if let Some(memory) = &record.recorder_memory {
        text += &recorder_memory(memory, record.recorder.sampled_every_bytes.is_some(), medium);
    }
    text += &next_steps(record, folder, medium);
    text
}

/// What the recorder itself takes. Of a sample, the figures per block are left out where there may
/// be no blocks.
fn recorder_memory(memory: &RecorderMemory, sampled: bool, medium: Medium) -> String {
    let [live, added] = memory.margins();
    let each = |bytes: f64, margin: Option<f64>, of: &str| {
        let say = if sampled { one_decimal } else { rounded };
        let known = margin.is_some() || !sampled;
        known.then(|| format!(", {} B {of}", give_or_take(bytes, margin, say)))
    };
    let said = format!(
        "the recorder's own memory: {}{}{}",
        human(memory.resident_bytes as f64),
        each(memory.bytes_per_live_block, live, "per live block").unwrap_or_default(),
        each(memory.bytes_per_added_block, added, "for each that the connections added")
            .unwrap_or_default(),
    );
    wrapped(&said, 0, medium) + "\n"
}

/// Bytes in use, and how far off they may be.
fn in_use(counts: &CountsRecord) -> String {
    give_or_take(counts.inuse_bytes as f64, counts.inuse_bytes_margin(), human)
}

fn facts(record: &RunRecord, medium: Medium) -> String {
    let mut text = String::from("\n");
    for negotiated in &record.negotiated {
        text += &format!("{} ({})\n", negotiation(negotiated), record.versions.openssl);
    }
    let objects: Vec<String> = record
        .at_rest
        .objects
        .iter()
        .filter(|(_, count)| **count != 0)
        .map(|(name, count)| format!("{} {name}", exact(*count)))
        .collect();
    if !objects.is_empty() {
        text += &format!("live at rest: {}\n", objects.join(", "));
    }
    text += &resident(record, medium);
    text
}

/// Resident memory by parts, before the connections, with them, and after them.
fn resident(record: &RunRecord, medium: Medium) -> String {
    let moments = [&record.rss.baseline, &record.rss.at_rest, &record.rss.closed];
    if moments.iter().all(|account| account.is_none()) {
        return String::new();
    }
    // Margins have a column of their own, so that figures stand below each other.
    let margins = if record.recorder.sampled_every_bytes.is_some() { MARGIN } else { 0 };
    let line = |label: &str, cells: [(String, String); 3]| {
        let [(before, _), (rest, _), (closed, _)] = &cells;
        let [before_margin, rest_margin, closed_margin] =
            cells.each_ref().map(|(_, margin)| format!("{margin:<margins$}"));
        let line = format!(
            "{label:<30}{before:>10}{before_margin}{rest:>12}{rest_margin}{closed:>12}\
             {closed_margin}"
        );
        line.trim_end().to_owned() + "\n"
    };
    let row = |label: &str, figure: &dyn Fn(&AccountRecord) -> (i64, Option<f64>)| {
        let cell = |account: &Option<AccountRecord>| {
            let Some(account) = account else { return ("-".to_owned(), String::new()) };
            let (bytes, margin) = figure(account);
            let margin = margin.map(|margin| format!(" ± {}", human(margin)));
            (human(bytes as f64), margin.unwrap_or_default())
        };
        line(&format!("  {label}"), moments.map(cell))
    };
    let heading = |name: &str| (name.to_owned(), String::new());
    let mut text = String::from("\n");
    text += &line("resident memory of the server", ["before", "at rest", "closed"].map(heading));
    for group in Group::ALL {
        let name = group.name();
        text +=
            &row(group.label(), &|account| (account.of_group(name), account.margin_of_group(name)));
    }
    text += &row("not explained", &|account| (account.not_explained_bytes, None));
    text += &row("all", &|account| (account.rss_bytes as i64, None));
    if let Some(closed) = &record.rss.closed {
        text += &what_stays(closed, medium);
    }
    text += "\n";
    text
}

/// Why memory stays resident when nobody is connected any more: the largest parts.
fn what_stays(closed: &AccountRecord, medium: Medium) -> String {
    let in_use = [Group::OpenSsl, Group::Rust].map(Group::name);
    let held: i64 = in_use.iter().map(|group| closed.of_group(group)).sum();
    let rest = || closed.parts.iter().filter(|part| !in_use.contains(&part.group.as_str()));
    // With the rest it adds up to an exact figure: the one is off by as much as the other.
    let held_margin = PartRecord::margin_of(rest());
    let mut sizes: Vec<i64> = rest().map(|part| part.bytes).collect();
    sizes.sort_unstable_by_key(|bytes| std::cmp::Reverse(*bytes));
    let least = sizes.get(REASONS - 1).copied().unwrap_or_default();
    let largest: Vec<String> = rest()
        .filter(|part| part.bytes >= least)
        .map(|part| {
            format!("{} {}", give_or_take(part.bytes as f64, part.margin(), human), part.label)
        })
        .collect();
    let lines = [
        format!(
            "after the last connection {} stay; OpenSSL and Rust hold {} of it, most of the rest \
             is:",
            human(closed.rss_bytes as f64),
            give_or_take(held as f64, held_margin, human),
        ),
        largest.join(", "),
    ];
    lines.map(|line| wrapped(&line, 0, medium) + "\n").concat()
}

fn next_steps(record: &RunRecord, folder: &Path, medium: Medium) -> String {
    let folder = folder.display().to_string();
    let folder = harmless(&folder);
    let other = match record.configuration.as_str() {
        "no-compression" => "release-buffers",
        _ => "no-compression",
    };
    let connections = match record.connections {
        Some(connections) if connections.get() != USUAL_CONNECTIONS => format!(" -n {connections}"),
        _ => String::new(),
    };
    let files = format!(
        "in {folder}: flame.svg (open it in a browser), heap.pb.gz (pprof), run.json, \
         timeline.svg, timeline.csv"
    );
    let files = wrapped(&files, 0, medium);
    format!(
        "\n{files}\nnext:\n  tlsheap diagnose {folder}\n  \
         tlsheap top {folder} --by category\n  \
         tlsheap run --config {other}{connections} --out {folder}-{other}\n  \
         tlsheap diff {folder} {folder}-{other} --flame diff.svg\n"
    )
}

/// `negotiated TLSv1.2, ECDHE-…, X25519, compression zlib`.
pub fn negotiation(negotiated: &NegotiatedRecord) -> String {
    let NegotiatedRecord { protocol, cipher, group, compression, .. } = negotiated;
    // OpenSSL's name of it has the word in it.
    let compression = compression.strip_suffix(" compression").unwrap_or(compression);
    format!("negotiated {protocol}, {cipher}, {group}, compression {compression}")
}
