//! What the resident memory of recorded processes is, in sentences.

use analysis::notation::{human, percent, rounded};
use capture::records::account::{AccountGrowthRecord, AccountRecord};
use capture::records::recording::Recording;

/// What resident memory is, and what one more connection made of it; empty where only OpenSSL's
/// memory was recorded, or the program had ended before anybody could look.
pub fn sentences(recording: &Recording) -> Vec<String> {
    if recording.attached.is_some() {
        // Most of it may be from before.
        return Vec::new();
    }
    match (&recording.account, &recording.heap) {
        (Some(account), _) => {
            // What grew is what the sentence before is about.
            let growth = account.growth.as_ref().map(growth);
            [at_capture(account)].into_iter().chain(growth).collect()
        }
        (None, Some(_)) if recording.captured_after_seconds.is_some() => {
            vec![BARRED.to_owned()]
        }
        _ => Vec::new(),
    }
}

const BARRED: &str = "What of it is resident could not be looked at: that takes the right to look \
                      into each of the processes, which root has.";

/// A line is named when it has so much of the whole.
const WORTH_NAMING: f64 = 0.005;

fn at_capture(account: &AccountRecord) -> String {
    let blocks = account.blocks.iter().map(|(domain, blocks)| {
        (format!("{} blocks", whose(domain)), blocks.resident_bytes as f64)
    });
    let lines = [
        ("mappings".to_owned(), account.mappings.resident_bytes as f64),
        ("what the allocator adds to blocks".to_owned(), account.headers_bytes as f64),
        ("free memory that the allocator keeps".to_owned(), account.free_bytes as f64),
        ("stacks".to_owned(), account.stacks_bytes as f64),
        ("written pages of files".to_owned(), account.written_files_bytes as f64),
        ("pages shared since a fork".to_owned(), account.shared_bytes as f64),
        ("unknown".to_owned(), account.other_bytes as f64),
    ];
    let total = account.total_bytes as f64;
    let named = named(blocks.chain(lines), total, |bytes| human(bytes.max(0.0)));
    let untouched = match account.untouched_bytes() {
        0 => String::new(),
        bytes => format!("; {} more were asked for and are not in memory", human(bytes as f64)),
    };
    format!("Resident and in no file are {}: {named}{untouched}.", human(total))
}

fn growth(growth: &AccountGrowthRecord) -> String {
    let blocks =
        growth.blocks.iter().map(|(domain, bytes)| (format!("{} blocks", whose(domain)), *bytes));
    let lines = [
        ("mappings".to_owned(), growth.mappings),
        ("what the allocator adds to blocks".to_owned(), growth.headers),
        ("free memory".to_owned(), growth.free),
        ("stacks".to_owned(), growth.stacks),
        ("written pages of files".to_owned(), growth.written_files),
        ("pages shared since a fork".to_owned(), growth.shared),
        ("unknown".to_owned(), growth.other),
    ];
    let named = named(blocks.chain(lines), growth.total, rounded);
    let explained = growth.explained.map(|part| format!(": {} of it is told", percent(part)));
    format!(
        "From {} to {} SSL objects that grew by {} bytes for each{}: {named}.",
        growth.from_connections,
        growth.to_connections,
        rounded(growth.total),
        explained.unwrap_or_default()
    )
}

/// The lines that are worth it, the largest first, and the sum of the others.
fn named(
    lines: impl Iterator<Item = (String, f64)>,
    total: f64,
    in_words: impl Fn(f64) -> String,
) -> String {
    let is_named = |bytes: f64| bytes.abs() >= WORTH_NAMING * total.abs() && bytes.abs() >= 1.0;
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
        domain => domain,
    }
}

#[cfg(test)]
mod tests {
    use capture::records::account::TouchedRecord;

    use super::*;

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
            explained: Some(0.99948),
        }
    }

    #[test]
    fn what_shrank_is_said_so_and_what_is_small_is_one_sum() {
        assert_eq!(
            growth(&growth_record()),
            "From 60 to 120 SSL objects that grew by 263,600 bytes for each: 99.9 % of it is told: \
             264,000 other blocks, less 27,487 free memory, 17,800 OpenSSL's blocks, 8,738 \
             mappings, 549 in smaller parts."
        );
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
            stacks_bytes: 0,
            written_files_bytes: 490_000,
            shared_bytes: 0,
            other_bytes: 0,
            total_bytes: 10_000_000,
            growth: None,
        };
        assert_eq!(
            at_capture(&account),
            "Resident and in no file are 10.0 MB: 4.0 MB OpenSSL's blocks, 4.0 MB free memory \
             that the allocator keeps, 1.5 MB mappings, 490.0 KB written pages of files, 10.0 KB \
             in smaller parts; 1.5 MB more were asked for and are not in memory."
        );
    }
}
