//! What `tlsheap run` says at its end.

use std::path::Path;

use analysis::group::By;
use analysis::top::Top;
use report::bytes::{exact, human, one_decimal, rounded};
use report::table::{self, Colour, TableOptions};

use crate::commands::serve::negotiation;
use crate::run_record::{RecorderRecord, RunRecord};

/// Sites shown in the answer.
const SITES: usize = 8;

/// The whole answer: what one connection costs, where, and what to do next.
pub fn of_run(record: &RunRecord, top: &Top, folder: &Path, colour: Colour) -> String {
    let mut text = String::from("\n");
    match (&record.per_connection, record.connections) {
        (Some(cost), Some(connections)) => {
            text += &format!(
                "One connection costs {} bytes of OpenSSL memory in {} blocks.\n",
                rounded(cost.bytes),
                one_decimal(cost.blocks),
            );
            text += &format!(
                "({}: {} with {connections} connections, less {} before them; {} allocations \
                 each)\n\n",
                record.configuration,
                human(record.at_rest.openssl.inuse_bytes as f64),
                human(record.baseline.openssl.inuse_bytes as f64),
                rounded(cost.allocations),
            );
        }
        _ => {
            text += &format!(
                "The run ended early: {}.\nOpenSSL held {} then.\n\n",
                record.ended,
                human(record.at_rest.openssl.inuse_bytes as f64),
            );
        }
    }
    let mut options = TableOptions::by(By::Site);
    options.rows = SITES;
    options.colour = colour;
    text += &table::top(top, &options);
    text += &facts(record);
    text += &losses(&record.recorder);
    text += &next_steps(record, folder);
    text
}

fn facts(record: &RunRecord) -> String {
    let mut text = String::from("\n");
    for negotiated in &record.negotiated {
        text += &format!("{} ({})\n", negotiation(negotiated), record.versions.openssl);
    }
    let objects: Vec<String> = record
        .at_rest
        .objects
        .iter()
        .map(|(name, count)| format!("{} {name}", exact(*count)))
        .collect();
    if !objects.is_empty() {
        text += &format!("live at rest: {}\n", objects.join(", "));
    }
    if let (Some(before), Some(rest)) = (record.baseline.rss_bytes, record.at_rest.rss_bytes) {
        text += &format!(
            "resident memory of the server: {} before, {} at rest; {} of it is the recorder's, \
             at most\n",
            human(before as f64),
            human(rest as f64),
            human((record.recorder.ledger_bytes + record.recorder.private_bytes) as f64),
        );
    }
    if let Some(closed) = &record.closed {
        text += &format!(
            "after all connections closed: OpenSSL {} in use (before: {})\n",
            human(closed.openssl.inuse_bytes as f64),
            human(record.baseline.openssl.inuse_bytes as f64),
        );
    }
    text
}

/// What the recorder could not see or keep apart, in one line; nothing lost is said too.
pub fn losses(recorder: &RecorderRecord) -> String {
    let mut lost = Vec::new();
    let mut add = |count: u64, what: &str| {
        if count > 0 {
            lost.push(format!("{} {what}", exact(count as i64)));
        }
    };
    add(
        recorder.dropped_blocks,
        "allocations in dropped sites (counted in the totals; --sites makes room)",
    );
    add(recorder.untracked_blocks, "blocks not tracked, missing from all figures");
    add(recorder.foreign_frees, "frees of blocks never seen allocated");
    add(recorder.stale_blocks, "blocks freed behind OpenSSL's back");
    add(recorder.nested_calls, "calls from within the hook, not counted");
    add(recorder.truncated_stacks, "stacks cut at 128 frames");
    if recorder.hook_replaced {
        lost.push("another program part took the hook over: later allocations are missing".into());
    }
    let sites = exact(recorder.sites as i64);
    if lost.is_empty() {
        format!("recorded exactly: every allocation, {sites} sites, nothing dropped\n")
    } else {
        format!("recorder: {sites} sites; {}\n", lost.join("; "))
    }
}

fn next_steps(record: &RunRecord, folder: &Path) -> String {
    let folder = folder.display();
    let other = match record.configuration.as_str() {
        "no-compression" => "release-buffers",
        _ => "no-compression",
    };
    format!(
        "\nin {folder}: flame.svg (open it in a browser), heap.pb.gz (pprof), run.json, \
         timeline.csv\nnext:\n  tlsheap top {folder} --by category\n  tlsheap run --config {other}\n  \
         tlsheap diff {folder} PATH-OF-THAT-RUN --flame diff.svg\n"
    )
}
