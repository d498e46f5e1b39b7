//! What the recorder could not see or keep apart, in words.

use analysis::notation::{exact, give_or_take, human, interval};
use capture::json::interval::margin;
use capture::records::recorder::RecorderRecord;
use ledger::{FRAMES_PER_SITE, Sampling};

/// What the recorder could not see or keep apart, in one line; nothing lost is said too.
pub fn losses(recorder: &RecorderRecord) -> String {
    let some =
        |count: u64, what: &str| (count > 0).then(|| format!("{} {what}", exact(count as i64)));
    let mut lost: Vec<String> = [
        dropped(recorder),
        untracked(recorder),
        some(recorder.foreign_frees, "frees of blocks never seen allocated"),
        some(recorder.stale_blocks, "blocks freed behind OpenSSL's back"),
        some(recorder.nested_calls, "calls from within the hook, not counted"),
        some(recorder.truncated_stacks, &format!("stacks cut at {FRAMES_PER_SITE} frames")),
        some(
            recorder.unsettled_events,
            "events not in the highest total, which may be wrong by their bytes",
        ),
    ]
    .into_iter()
    .flatten()
    .collect();
    if recorder.hook_replaced {
        lost.push("another program part took the hook over: later allocations are missing".into());
    }
    let sites = exact(recorder.sites as i64);
    if let Some(sampling) = recorder.sampled_every_bytes.and_then(Sampling::every) {
        let every = interval(sampling);
        let lost = if lost.is_empty() { "nothing dropped".to_owned() } else { lost.join("; ") };
        return format!(
            "sampled every {every}: estimates, ± half their 95 % interval; {sites} sites by size; \
             {lost}\n"
        );
    }
    if lost.is_empty() {
        format!("recorded exactly: every allocation, {sites} sites, nothing dropped\n")
    } else {
        format!("recorder: {sites} sites; {}\n", lost.join("; "))
    }
}

/// What is in the totals alone. Whoever takes samples meets fewer sites.
fn dropped(recorder: &RecorderRecord) -> Option<String> {
    let RecorderRecord { dropped_blocks: blocks, dropped_bytes: bytes, site_capacity, .. } =
        *recorder;
    (blocks > 0).then(|| {
        format!(
            "{} allocations of {} in dropped sites: in the totals alone, for there is room for {} \
             sites (--sample meets fewer)",
            exact(blocks as i64),
            human(bytes as f64),
            exact(site_capacity as i64)
        )
    })
}

/// What there was no room for. Of a sample the bytes are said, for of the blocks there is no
/// interval.
fn untracked(recorder: &RecorderRecord) -> Option<String> {
    let RecorderRecord { untracked_blocks: blocks, untracked_bytes: bytes, .. } = *recorder;
    let what = match recorder.untracked_bytes_interval95 {
        None => format!("{} blocks", exact(blocks as i64)),
        ends => give_or_take(bytes as f64, margin(bytes as f64, ends), human),
    };
    (blocks > 0).then(|| format!("{what} not tracked, missing from all figures"))
}

#[cfg(test)]
mod tests {
    use ledger::Statistics;

    use super::*;

    #[test]
    fn events_that_the_peak_does_not_know_of_are_said() {
        let exact = losses(&RecorderRecord::new(&Statistics::default(), None));
        assert!(exact.starts_with("recorded exactly"), "{exact}");
        let statistics = Statistics { unsettled_events: 3, ..Statistics::default() };
        let said = losses(&RecorderRecord::new(&statistics, None));
        assert!(said.contains("; 3 events not in the highest total"), "{said}");
    }
}
