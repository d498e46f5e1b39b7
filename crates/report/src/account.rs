//! What the resident memory of recorded processes is, in sentences.

use analysis::notation::{human, percent, rounded};
use capture::records::account::{
    AccountGrowthRecord, AccountRecord, ResidentHolderRecord, TouchedRecord,
};
use capture::records::recording::Recording;

/// What one more connection costs the processes in all, and who holds it: the answer. `None` where
/// only OpenSSL's memory was recorded, or too few connections came to tell.
pub fn one_connection(recording: &Recording) -> Option<String> {
    told_growth(recording).map(headline)
}

/// The growth that a connection's cost is told from.
pub(crate) fn told_growth(recording: &Recording) -> Option<&AccountGrowthRecord> {
    recording.account.as_ref()?.told_growth()
}

/// Whether the account tells by how much memory grew for each connection, or that this tells nothing.
pub(crate) fn tells_growth(recording: &Recording) -> bool {
    let growth = recording.account.as_ref().and_then(|account| account.growth.as_ref());
    told_growth(recording).is_some() || growth.is_some_and(AccountGrowthRecord::much_went_away)
}

/// What resident memory is, and what one more connection made of it where
/// [`one_connection`] does not say; empty where only OpenSSL's memory was recorded, or the program
/// had ended before anybody could look.
pub fn sentences(recording: &Recording) -> Vec<String> {
    if recording.attached.is_some() {
        // Most of it may be from before.
        return Vec::new();
    }
    match (&recording.account, &recording.heap) {
        (Some(account), _) => {
            let growth = account.growth.as_ref().filter(|_| told_growth(recording).is_none());
            let whole = at_capture(account, recording.is_at_peak());
            // What grew is what the sentence before is about.
            [whole].into_iter().chain(growth.map(grown)).collect()
        }
        (None, Some(heap)) if heap.is_sampled() => vec![SAMPLED.to_owned()],
        (None, Some(heap)) if heap.late_processes > 0 => vec![LATE.to_owned()],
        (None, Some(_)) if recording.captured_after_seconds.is_some() => {
            vec![BARRED.to_owned()]
        }
        _ => Vec::new(),
    }
}

const LATE: &str = "What of it is resident is not told: a process was counted from the moment on at \
                    which it had an OpenSSL, as is usual of those that the program starts; \
                    --heap counts from their start.";

const SAMPLED: &str = "What of it is resident is not told, and mappings are not counted: that takes every \
                       block, without --sample.";

const BARRED: &str = "What of it is resident could not be looked at: that takes the right to look \
                      into each of the processes, which root has.";

/// A line is named when it has so much of the whole.
const WORTH_NAMING: f64 = 0.005;

/// The same of the answer, which is short.
const WORTH_A_WORD: f64 = 0.02;

/// Functions named in the answer.
const HOLDERS: usize = 3;

fn headline(growth: &AccountGrowthRecord) -> String {
    format!(
        "One connection costs {} of memory: {} {}",
        human(growth.total),
        made_of(growth),
        how_told(growth)
    )
}

/// What a connection's memory is made of, the largest parts first.
pub(crate) fn made_of(growth: &AccountGrowthRecord) -> String {
    let lines = parts_of_one(growth).into_iter().map(|part| (part.name, part.bytes));
    format!("{}.", named(lines, growth.total, WORTH_A_WORD, human))
}

/// From what that is known, in brackets.
pub(crate) fn how_told(growth: &AccountGrowthRecord) -> String {
    let explained = growth.explained.map(|part| format!(", {} of it told", percent(part)));
    format!(
        "(By so much resident memory grew from {} to {} SSL objects{}.)",
        growth.from_connections,
        growth.to_connections,
        explained.unwrap_or_default()
    )
}

/// A part of resident memory.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Part {
    /// What it is, or who asked for it.
    pub name: String,
    /// Bytes; below 0 where it shrank.
    pub bytes: f64,
}

/// What one more connection made of resident memory: the sum is all of it.
pub(crate) fn parts_of_one(growth: &AccountGrowthRecord) -> Vec<Part> {
    let resident = Resident {
        openssl: growth.blocks.get("openssl").copied().unwrap_or_default(),
        asked: growth.blocks.values().sum::<f64>() + growth.mappings,
        total: growth.total,
    };
    parts(&resident, &growth.holders, kept(growth))
}

/// What was resident at the capture: the sum is all of it.
pub(crate) fn parts_at_capture(account: &AccountRecord) -> Vec<Part> {
    let bytes = |touched: &TouchedRecord| touched.resident_bytes as f64;
    let resident = Resident {
        openssl: account.blocks.get("openssl").map(bytes).unwrap_or_default(),
        asked: account.blocks.values().chain([&account.mappings]).map(bytes).sum(),
        total: account.total_bytes as f64,
    };
    parts(&resident, &account.holders, kept_at_capture(account))
}

/// Resident bytes.
struct Resident {
    /// OpenSSL's blocks.
    openssl: f64,
    /// All blocks and mappings.
    asked: f64,
    /// All that there is.
    total: f64,
}

fn parts(
    resident: &Resident,
    holders: &[ResidentHolderRecord],
    kept: impl Iterator<Item = (String, f64)>,
) -> Vec<Part> {
    let is_large = |it: &&ResidentHolderRecord| it.bytes / resident.total >= 0.05;
    let large = holders.iter().filter(is_large).take(HOLDERS);
    let large: Vec<(String, f64)> = large.map(|it| (holder(it), it.bytes)).collect();
    let unnamed =
        resident.asked - resident.openssl - large.iter().map(|(_, bytes)| bytes).sum::<f64>();
    let name = if large.is_empty() { "other blocks and mappings" } else { "others" };
    let asked = [("OpenSSL".to_owned(), resident.openssl), (name.to_owned(), unnamed)];
    large.into_iter().chain(asked).chain(kept).map(|(name, bytes)| Part { name, bytes }).collect()
}

/// The function that asks, and through which others.
fn holder(holder: &ResidentHolderRecord) -> String {
    match holder.through.split_last() {
        Some((last, through)) if !through.is_empty() => {
            format!("{last} (through {})", through.join(" › "))
        }
        Some((last, _)) => last.clone(),
        None => holder.function.clone(),
    }
}

/// What grew that is neither a block nor a mapping.
fn kept(growth: &AccountGrowthRecord) -> impl Iterator<Item = (String, f64)> {
    [
        ("what the allocator adds to blocks", growth.headers),
        ("free memory", growth.free),
        ("stacks", growth.stacks),
        ("written pages of files", growth.written_files),
        ("pages shared since a fork", growth.shared),
        ("unknown", growth.other),
    ]
    .into_iter()
    .map(|(name, bytes)| (name.to_owned(), bytes))
}

/// The same of what there was at the capture.
fn kept_at_capture(account: &AccountRecord) -> impl Iterator<Item = (String, f64)> {
    [
        ("what the allocator adds to blocks", account.headers_bytes),
        ("free memory that the allocator keeps", account.free_bytes),
        ("stacks", account.stacks_bytes),
        ("written pages of files", account.written_files_bytes),
        ("pages shared since a fork", account.shared_bytes),
        ("unknown", account.other_bytes),
    ]
    .into_iter()
    .map(|(name, bytes)| (name.to_owned(), bytes as f64))
}

/// The lines of an account.
fn lines_of(account: &AccountRecord) -> impl Iterator<Item = (String, f64)> {
    let blocks = account.blocks.iter().map(|(domain, blocks)| {
        (format!("{} blocks", whose(domain)), blocks.resident_bytes as f64)
    });
    let mappings = [("mappings".to_owned(), account.mappings.resident_bytes as f64)];
    blocks.chain(mappings).chain(kept_at_capture(account))
}

/// At the capture, or when somebody looked last before the program ended.
fn at_capture(account: &AccountRecord, has_ended: bool) -> String {
    let total = account.total_bytes as f64;
    let named = named(lines_of(account), total, WORTH_NAMING, human);
    let untouched = match account.untouched_bytes() {
        0 => String::new(),
        bytes => format!("; {} more were asked for and are not in memory", human(bytes as f64)),
    };
    if has_ended {
        return format!(
            "When they were last looked into before the end, {} were resident and in no file: \
             {named}{untouched}.",
            human(total)
        );
    }
    format!("Resident and in no file are {}: {named}{untouched}.", human(total))
}

/// What was resident when the connections of the capture were closed, and what it was; `None` where
/// nobody could look.
pub fn after_close(recording: &Recording) -> Option<String> {
    let open = recording.account.as_ref().filter(|_| !recording.is_at_peak())?;
    let closed = recording.closed.as_ref()?.account.as_ref()?;
    let [all, left] = [open, closed].map(|it| it.total_bytes as f64);
    let named = named(lines_of(closed), left, WORTH_NAMING, human);
    Some(format!(
        "Of the {} that were resident and in no file with the connections, {} were when they were \
         closed: {named}.",
        human(all),
        human(left)
    ))
}

fn grown(growth: &AccountGrowthRecord) -> String {
    let blocks =
        growth.blocks.iter().map(|(domain, bytes)| (format!("{} blocks", whose(domain)), *bytes));
    let mappings = [("mappings".to_owned(), growth.mappings)];
    let lines = blocks.chain(mappings).chain(kept(growth));
    let named = named(lines, growth.total, WORTH_NAMING, rounded);
    let explained = growth.explained.map(|part| format!(": {} of it is told", percent(part)));
    let went = if growth.much_went_away() { WENT_AWAY } else { "" };
    format!(
        "From {} to {} SSL objects that grew by {} bytes for each{}: {named}.{went}",
        growth.from_connections,
        growth.to_connections,
        rounded(growth.total),
        explained.unwrap_or_default()
    )
}

const WENT_AWAY: &str = " What went away meanwhile is no connection's, as when a collector gives \
                         pages back: what one costs is not told from this, but by more connections.";

/// The lines that are worth it, the largest first, and the sum of the others.
fn named(
    lines: impl Iterator<Item = (String, f64)>,
    total: f64,
    least: f64,
    in_words: impl Fn(f64) -> String,
) -> String {
    let is_named = |bytes: f64| bytes.abs() >= least * total.abs() && bytes.abs() >= 1.0;
    let (mut large, small): (Vec<_>, Vec<_>) = lines.partition(|(_, bytes)| is_named(*bytes));
    large.sort_by(|(_, one), (_, other)| other.abs().total_cmp(&one.abs()));
    let sign = |bytes: f64| if bytes < 0.0 { "less " } else { "" };
    let mut words: Vec<String> = large
        .iter()
        .map(|(name, bytes)| format!("{}{} {name}", sign(*bytes), in_words(bytes.abs())))
        .collect();
    let rest: f64 = small.iter().map(|(_, bytes)| bytes).sum();
    if rest.abs() >= 1.0 {
        words.push(format!("{}{} in smaller parts", sign(rest), in_words(rest.abs())));
    }
    if words.is_empty() { "nothing".to_owned() } else { words.join(", ") }
}

/// Whose the blocks of a domain are.
fn whose(domain: &str) -> &str {
    match domain {
        "openssl" => "OpenSSL's",
        "heap" => "other",
        "python" => "Python's",
        domain => domain,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holder_record(through: &[&str], bytes: f64) -> ResidentHolderRecord {
        ResidentHolderRecord {
            function: "PyByteArray_Resize".to_owned(),
            through: through.iter().map(|it| (*it).to_owned()).collect(),
            bytes,
        }
    }

    #[test]
    fn the_answer_names_who_holds_it_and_its_parts_add_up() {
        assert_eq!(
            headline(&growth_record()),
            "One connection costs 263.6 KB of memory: 262.1 KB PyByteArray_Resize (through \
             task_step_impl), less 27.5 KB free memory, 17.8 KB OpenSSL, 10.6 KB others, 549 B in \
             smaller parts. (By so much resident memory grew from 60 to 120 SSL objects, 99.9 % of \
             it told.)"
        );
    }

    fn growth_record() -> AccountGrowthRecord {
        AccountGrowthRecord {
            from_connections: 60,
            to_connections: 120,
            blocks: [("heap".to_owned(), 264_000.0), ("openssl".to_owned(), 17_800.0)].into(),
            requested: 282_000.0,
            mappings: 8_738.0,
            headers: 412.0,
            free: -27_487.0,
            stacks: 0.0,
            written_files: 0.0,
            shared: 0.0,
            other: 137.0,
            total: 263_600.0,
            holders: vec![
                holder_record(&["task_step_impl", "PyByteArray_Resize"], 262_145.0),
                holder_record(&[], 96.0),
            ],
            explained: Some(0.99948),
        }
    }

    #[test]
    fn what_shrank_is_said_so_and_what_is_small_is_one_sum() {
        assert_eq!(
            grown(&growth_record()),
            "From 60 to 120 SSL objects that grew by 263,600 bytes for each: 99.9 % of it is told: \
             264,000 other blocks, less 27,487 free memory, 17,800 OpenSSL's blocks, 8,738 \
             mappings, 549 in smaller parts."
        );
    }

    #[test]
    fn where_a_collector_gave_much_back_nothing_is_told_of_a_connection() {
        let mappings = -17_408.0;
        let (heap, openssl) = (13_140.0, 14_144.0);
        let blocks = [("heap".to_owned(), heap), ("openssl".to_owned(), openssl)].into();
        let (free, total) = (5_000.0, heap + openssl + mappings + 5_000.0);
        let growth = AccountGrowthRecord { blocks, mappings, free, total, ..growth_record() };
        assert!(growth.much_went_away() && grown(&growth).ends_with(WENT_AWAY));
        // Free memory that new blocks fill is none of that, and a little always goes.
        let (mappings, free) = (-1_000.0, -8_000.0);
        let growth = AccountGrowthRecord { mappings, free, total: 18_284.0, ..growth };
        assert!(!growth.much_went_away() && !grown(&growth).contains(WENT_AWAY));
    }

    #[test]
    fn what_is_not_in_memory_is_told_beside_what_is() {
        let touched =
            |requested_bytes, resident_bytes| TouchedRecord { requested_bytes, resident_bytes };
        let account = AccountRecord {
            blocks: [("openssl".to_owned(), touched(5_000_000, 4_000_000))].into(),
            mappings: touched(2_000_000, 1_500_000),
            headers_bytes: 10_000,
            free_bytes: 4_000_000,
            free_pages_bytes: 3_900_000,
            stacks_bytes: 0,
            written_files_bytes: 490_000,
            shared_bytes: 0,
            other_bytes: 0,
            total_bytes: 10_000_000,
            sizes: Vec::new(),
            holders: Vec::new(),
            growth: None,
        };
        assert_eq!(
            at_capture(&account, false),
            "Resident and in no file are 10.0 MB: 4.0 MB OpenSSL's blocks, 4.0 MB free memory \
             that the allocator keeps, 1.5 MB mappings, 490.0 KB written pages of files, 10.0 KB \
             in smaller parts; 1.5 MB more were asked for and are not in memory."
        );
    }
}
