//! What is said of processes that were attached to.

use analysis::notation::{exact, human};
use capture::records::recording::{AttachedRecord, Recording, VisitedRecord};
use report::losses::losses;

use super::{EXACT, in_processes};

/// What was recorded of processes that were attached to, and what that took of them.
pub(super) fn since(recording: &Recording, attached: &AttachedRecord) -> Vec<String> {
    let (program, counts) = (recording.program(), &recording.openssl);
    let visited = &attached.processes;
    let pids: Vec<u32> = visited.iter().map(|it| it.pid).collect();
    let lossless = recording.processes.iter().all(|it| losses(&it.recorder).starts_with(EXACT));
    let earlier = match attached.earlier_blocks {
        0 => String::new(),
        blocks => format!(" ({} blocks of it were freed or moved since)", exact(blocks as i64)),
    };
    let (since, seconds) = match visited.len() {
        1 => ("Since the attach, ", " s"),
        _ => ("Since each was attached to, the last one ", " s before the capture"),
    };
    let last = visited.iter().map(|it| it.after_seconds).fold(0.0, f64::max);
    let captured = recording.captured_after_seconds.unwrap_or(recording.seconds);
    let mut lines = vec![
        format!(
            "tlsheap: {program} ({}) {}; captured {}",
            in_processes(&pids),
            recording.ended,
            recording.captured
        ),
        format!(
            "{since}{:.1}{seconds}: {} allocations, {} in use in {} blocks{}; what was there \
             before is not counted{earlier}.",
            (captured - last).max(0.0),
            exact(counts.alloc_blocks as i64),
            human(counts.inuse_bytes as f64),
            exact(counts.inuse_blocks as i64),
            if lossless { ", exact" } else { "" },
        ),
        stood_still(visited),
    ];
    lines.extend(ssl_objects(visited));
    lines
}

/// The SSL objects that were there before, where they were counted.
fn ssl_objects(visited: &[VisitedRecord]) -> Option<String> {
    let counted = || visited.iter().filter_map(|it| it.earlier);
    // Not asked for.
    counted().next()?;
    let sure: u64 = counted().map(|it| it.ssl_objects).sum();
    let perhaps: u64 = counted().map(|it| it.perhaps_ssl_objects).sum();
    let is_complete = visited.iter().all(|it| it.earlier.is_some_and(|it| it.complete));
    let figure = |count: u64| exact(count as i64);
    let number = match (sure, perhaps, is_complete) {
        (0, 0, true) => "none".to_owned(),
        (_, 0, true) => figure(sure),
        (0, _, true) => format!("at most {}", figure(perhaps)),
        (_, _, true) => format!("{} to {}", figure(sure), figure(sure + perhaps)),
        (_, _, false) => format!("at least {}", figure(sure)),
    };
    let unknown = match perhaps {
        0 => String::new(),
        _ => format!(
            "; of {} that were found it cannot be told whether they are in use or freed",
            figure(perhaps)
        ),
    };
    let left = if is_complete { "" } else { "; not all memory was looked at" };
    Some(format!(
        "SSL objects from before the attach: {number}, by a scan of memory; they are in no other \
         figure{unknown}{left}."
    ))
}

/// How long threads were stopped; of several processes, the longest.
fn stood_still(visited: &[VisitedRecord]) -> String {
    let longest = |seconds: &mut dyn Iterator<Item = f64>| {
        seconds.max_by(f64::total_cmp).map(|seconds| format!("{:.1} ms", seconds * 1e3))
    };
    let begin = longest(&mut visited.iter().map(|it| it.stopped_seconds)).unwrap_or_default();
    let end = longest(&mut visited.iter().filter_map(|it| it.let_go_stopped_seconds));
    match (visited.len(), end) {
        (1, None) => format!("One of its threads stood still for {begin} to be attached to."),
        (1, Some(end)) => format!(
            "One of its threads stood still for {begin} to be attached to, and {end} to be let go."
        ),
        (all, end) => {
            let end = end.map(|end| format!(", and {end} to be let go")).unwrap_or_default();
            format!(
                "One thread of each of the {all} stood still, for at most {begin} to be attached \
                 to{end}."
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use capture::records::recording::EarlierRecord;

    use super::*;

    fn visited(ssl_objects: u64, perhaps_ssl_objects: u64, complete: bool) -> VisitedRecord {
        let earlier = EarlierRecord {
            ssl_objects,
            perhaps_ssl_objects,
            complete,
            scanned_bytes: 1,
            seconds: 0.1,
        };
        VisitedRecord {
            pid: 7,
            after_seconds: 0.0,
            stopped_seconds: 0.1,
            processor_seconds: 0.1,
            let_go_stopped_seconds: None,
            let_go_processor_seconds: None,
            earlier: Some(earlier),
        }
    }

    #[test]
    fn what_is_not_known_of_earlier_objects_is_said() {
        let said = |all: &[VisitedRecord]| ssl_objects(all).expect("they were counted");
        assert!(said(&[visited(57, 0, true), visited(3, 0, true)]).contains("attach: 60, by"));
        assert!(said(&[visited(0, 0, true)]).contains("attach: none, by"));
        let one = said(&[visited(0, 40, true)]);
        assert!(one.contains("at most 40") && one.contains("in use or freed"), "{one}");
        assert!(said(&[visited(5, 40, true)]).contains("attach: 5 to 45, by"));
        let cut = said(&[visited(5, 0, true), visited(5, 1, false)]);
        assert!(cut.contains("at least 10") && cut.contains("not all memory"), "{cut}");
        let mut uncounted = visited(1, 0, true);
        uncounted.earlier = None;
        assert_eq!(ssl_objects(&[uncounted]), None);
        assert!(said(&[uncounted, visited(1, 0, true)]).contains("at least 1"));
    }
}
