//! What OpenSSL's memory is beside that of the whole process, in sentences.

use analysis::notation::{give_or_take, human, percent, percent_give_or_take, rounded};
use capture::json::interval::margin;
use capture::records::memory::{MemoryGrowthRecord, MemoryRecord};
use capture::records::recording::Recording;

use crate::{account, heap};

/// What else was asked of malloc, where that was recorded; OpenSSL's share of what the recorded
/// processes have to themselves, and by how much that grew for each connection, where it could be
/// read.
pub fn sentences(recording: &Recording) -> Vec<String> {
    let mut heap = heap::sentences(recording);
    heap.append(&mut account::sentences(recording));
    let Some(memory) = &recording.memory else { return heap };
    let number = Number::of(recording.processes.len());
    let counts = &recording.openssl;
    let share = if recording.is_at_peak() {
        // Peaks of several processes need not have come at one time, and have no sum.
        let peak = (number == Number::One).then(|| {
            let ends = counts.interval95.and_then(|off| off.peak_bytes);
            Asked { bytes: counts.peak_bytes, margin: margin(counts.peak_bytes as f64, ends) }
        });
        had(memory, peak, counts.interval95.is_none(), number)
    } else {
        let held = Asked { bytes: counts.inuse_bytes, margin: counts.inuse_bytes_margin() };
        has(memory, held, number)
    };
    // Where the account tells it, it has been told.
    let untold = memory.growth.as_ref().filter(|_| !account::tells_growth(recording));
    let growth = untold.map(|it| growth(it, number));
    // Of what there was before the attach, nobody knows how much is OpenSSL's.
    let share = Some(share).filter(|_| recording.attached.is_none());
    let others = others_are_unknown(recording, memory).then(|| WAY_OUT.to_owned());
    heap.into_iter().chain(growth).chain(share).chain(others).collect()
}

/// Less memory is a program's own start.
const WORTH_A_WORD: u64 = 4_000_000;

const WAY_OUT: &str = "Most of that is not OpenSSL's, or not any more: `record --heap` says whose \
                       it is, and what the allocator keeps of what was freed.";

/// Whether OpenSSL's alone was recorded, and most of what the processes had was not that.
fn others_are_unknown(recording: &Recording, memory: &MemoryRecord) -> bool {
    recording.heap.is_none()
        && recording.attached.is_none()
        && recording.openssl.interval95.is_none()
        && memory.own_bytes() >= WORTH_A_WORD
        && memory.openssl_bytes.saturating_mul(2) < memory.own_bytes()
}

/// How many processes a sentence is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Number {
    One,
    Several,
}

impl Number {
    fn of(processes: usize) -> Number {
        if processes == 1 { Number::One } else { Number::Several }
    }
}

/// What OpenSSL asked for, and half the width of its 95 % interval where that is an estimate.
#[derive(Clone, Copy, Debug)]
struct Asked {
    bytes: u64,
    margin: Option<f64>,
}

impl Asked {
    fn in_words(self) -> String {
        give_or_take(self.bytes as f64, self.margin, human)
    }

    /// What part of `own` it is, as in "3.1 % of the 10 MB".
    fn part_of(self, own: u64) -> String {
        if self.bytes > own {
            return "more than".to_owned();
        }
        let own = own.max(1) as f64;
        let margin = self.margin.map(|margin| margin / own);
        percent_give_or_take(self.bytes as f64 / own, margin) + " of"
    }
}

/// At a capture while the processes ran.
fn has(memory: &MemoryRecord, held: Asked, number: Number) -> String {
    let whose = match number {
        Number::One => "process has of its own",
        Number::Several => "processes have of their own",
    };
    format!(
        "OpenSSL holds {}, {} the {} that the {whose}: resident, without files, and without {} of \
         the recorder's{}.",
        held.in_words(),
        held.part_of(memory.own_bytes()),
        human(memory.own_bytes() as f64),
        human(memory.recorder_bytes as f64),
        shared(memory),
    )
}

/// Of processes that had ended. What was last held is told where it was counted: it has no interval.
fn had(memory: &MemoryRecord, peak: Option<Asked>, is_exact: bool, number: Number) -> String {
    let (most, last) = (memory.most_own_bytes, memory.own_bytes());
    let (whose, were) = match number {
        Number::One => ("process had of its own", "it was"),
        Number::Several => ("processes had of their own", "they were"),
    };
    let begin = match peak {
        Some(peak) => format!(
            "OpenSSL asked for at most {}, {} the {} that the {whose} when that was seen to be most",
            peak.in_words(),
            peak.part_of(most),
            human(most as f64)
        ),
        None => format!("At most {} was seen that the {whose} at one time", human(most as f64)),
    };
    let last = human(last as f64);
    let held = if is_exact {
        format!("OpenSSL held {} of {last}", human(memory.openssl_bytes as f64))
    } else {
        format!("that was {last}")
    };
    format!(
        "{begin}; when {were} last seen {held} (resident, without files, and without {} of the \
         recorder's).",
        human(memory.recorder_bytes as f64)
    )
}

/// Memory that is shared with others, where it is more than a tenth.
fn shared(memory: &MemoryRecord) -> String {
    if memory.shared_bytes.saturating_mul(10) < memory.own_bytes() || memory.shared_bytes == 0 {
        return String::new();
    }
    format!("; {} of it are shared memory", human(memory.shared_bytes as f64))
}

fn growth(growth: &MemoryGrowthRecord, number: Number) -> String {
    let MemoryGrowthRecord { from_connections, to_connections, bytes_each, openssl_bytes_each } =
        *growth;
    let (each, openssl) = (rounded(bytes_each.max(0.0)), rounded(openssl_bytes_each.max(0.0)));
    // Not that it lies in what grew: that is not looked at.
    let beside = if openssl_bytes_each > bytes_each {
        ": what is not touched yet, or lies where memory was free before, takes no new page"
            .to_owned()
    } else if openssl_bytes_each > 0.0 {
        format!(", as much as {} of that", percent(openssl_bytes_each / bytes_each))
    } else {
        String::new()
    };
    let whose = match number {
        Number::One => "the process's",
        Number::Several => "the processes'",
    };
    format!(
        "From {from_connections} to {to_connections} SSL objects {whose} own memory grew by {each} \
         bytes for each. OpenSSL asked for {openssl} bytes for each{beside}."
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(bytes_each: f64, openssl_bytes_each: f64) -> String {
        let (from_connections, to_connections) = (25, 50);
        let record =
            MemoryGrowthRecord { from_connections, to_connections, bytes_each, openssl_bytes_each };
        growth(&record, Number::One)
    }

    #[test]
    fn growth_is_told_beside_what_openssl_asked_for() {
        assert_eq!(
            said(289_251.4, 16_572.0),
            "From 25 to 50 SSL objects the process's own memory grew by 289,251 bytes for each. \
             OpenSSL asked for 16,572 bytes for each, as much as 5.7 % of that."
        );
        assert_eq!(
            said(22_331.0, 46_884.0),
            "From 25 to 50 SSL objects the process's own memory grew by 22,331 bytes for each. \
             OpenSSL asked for 46,884 bytes for each: what is not touched yet, or lies where \
             memory was free before, takes no new page."
        );
        assert!(said(-5.0, 100.0).contains("grew by 0 bytes"));
        assert!(said(0.0, 0.0).ends_with("OpenSSL asked for 0 bytes for each."));
    }

    fn memory() -> MemoryRecord {
        MemoryRecord {
            anonymous_bytes: 9_000_000,
            shared_bytes: 1_000_000,
            files_bytes: 5,
            recorder_bytes: 2_000_000,
            openssl_bytes: 0,
            most_own_bytes: 20_000_000,
            growth: None,
        }
    }

    #[test]
    fn a_share_of_a_sample_has_its_interval() {
        let exact = Asked { bytes: 1_000_000, margin: None };
        let estimate = Asked { margin: Some(200_000.0), ..exact };
        assert_eq!(
            has(&memory(), estimate, Number::One),
            "OpenSSL holds 1.0 MB ± 200.0 KB, 10.0 ± 2.0 % of the 10.0 MB that the process has of \
             its own: resident, without files, and without 2.0 MB of the recorder's; 1.0 MB of it \
             are shared memory."
        );
        let said = has(&memory(), exact, Number::Several);
        assert!(said.starts_with("OpenSSL holds 1.0 MB, 10.0 % of the 10.0 MB that the processes"));
        let ended = had(&memory(), Some(estimate), false, Number::One);
        assert!(ended.contains("at most 1.0 MB ± 200.0 KB, 5.0 ± 1.0 % of the 20.0 MB"), "{ended}");
        assert!(ended.contains("when it was last seen that was 10.0 MB"), "{ended}");
    }

    #[test]
    fn peaks_of_several_processes_are_not_added_up() {
        let peak = Asked { bytes: 30_000_000, margin: None };
        let one = had(&memory(), Some(peak), true, Number::One);
        assert!(
            one.starts_with("OpenSSL asked for at most 30.0 MB, more than the 20.0 MB"),
            "{one}"
        );
        assert!(one.contains("when it was last seen OpenSSL held 0 B of 10.0 MB"), "{one}");
        let several = had(&memory(), None, true, Number::Several);
        assert!(
            several.starts_with("At most 20.0 MB was seen that the processes had"),
            "{several}"
        );
    }
}
