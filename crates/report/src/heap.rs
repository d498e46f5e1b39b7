//! What is not OpenSSL's of all that recorded processes asked malloc for, in sentences.

use analysis::notation::{exact, human, one_decimal, rounded};
use capture::records::heap::{HeapRecord, HolderRecord};
use capture::records::recording::{Recording, StepsRecord};

/// Holders that are named.
const HOLDERS: usize = 3;

/// What one connection costs of it, who holds that, and what there is altogether; empty where
/// OpenSSL's memory alone was recorded.
pub fn sentences(recording: &Recording) -> Vec<String> {
    let Some(heap) = &recording.heap else { return Vec::new() };
    let told = heap.steps.as_ref().zip(recording.told_steps());
    let each = match (told, recording.told_steps()) {
        (Some((steps, openssl)), _) => one_connection(steps, openssl),
        (None, Some(_)) => not_in_steps(heap.grown_bytes_each),
        (None, None) if recording.captured_after_seconds.is_some() => {
            "What one connection costs of malloc's memory beside OpenSSL's is not known: the \
             number of connections was too seldom seen to change."
                .to_owned()
        }
        (None, None) => String::new(),
    };
    let holders = holders(&heap.holders);
    [each, holders, altogether(heap, recording)].into_iter().filter(|it| !it.is_empty()).collect()
}

fn one_connection(heap: &StepsRecord, openssl: &StepsRecord) -> String {
    let (bytes, own) = (rounded(openssl.bytes), heap.bytes);
    let blocks = one_decimal(heap.blocks);
    if heap.certain && openssl.certain {
        return format!(
            "Of all that it asks malloc for, one connection costs {} bytes: {bytes} are OpenSSL's, \
             and {} in {blocks} blocks the program's and its libraries'.",
            rounded(openssl.bytes + own),
            rounded(own),
        );
    }
    let [low, high] = heap.bytes_interval;
    format!(
        "Of all that it asks malloc for, one connection costs about {} bytes: {bytes} are \
         OpenSSL's, and between {} and {}, most likely {}, the program's and its libraries'.",
        rounded(openssl.bytes + own),
        rounded(low.max(0.0)),
        rounded(high),
        rounded(own),
    )
}

/// No block of it is a connection's own.
fn not_in_steps(grown: Option<f64>) -> String {
    let begin = "Beside OpenSSL's, no block of malloc's came and went with each connection";
    match grown {
        Some(bytes) if bytes >= 1.0 => format!(
            "{begin}; it grew by {} bytes for each since before the first: pools that grow in \
             steps, or what was paid once.",
            rounded(bytes)
        ),
        _ => format!("{begin}."),
    }
}

fn holders(holders: &[HolderRecord]) -> String {
    if holders.is_empty() {
        return String::new();
    }
    let each: Vec<String> = holders.iter().take(HOLDERS).map(holder).collect();
    format!("Those are asked for by {}.", each.join("; "))
}

fn holder(holder: &HolderRecord) -> String {
    let HolderRecord { function, through, bytes, blocks } = holder;
    let who = if through.is_empty() { function.clone() } else { through.join(" › ") };
    let plural = if *blocks == 1.0 { "" } else { "s" };
    format!("{who}: {} in {} block{plural}", rounded(*bytes), one_decimal(*blocks))
}

fn altogether(heap: &HeapRecord, recording: &Recording) -> String {
    let counts = &heap.counts;
    let (bytes, blocks, when) = if recording.is_at_peak() {
        (counts.peak_bytes, counts.peak_blocks, "at the highest total")
    } else {
        (counts.inuse_bytes, counts.inuse_blocks, "at the capture")
    };
    let earlier = match heap.earlier_blocks {
        0 => String::new(),
        blocks => format!(
            "; {} blocks of before the recording were freed or moved, and are in no figure",
            exact(i64::try_from(blocks).unwrap_or(i64::MAX))
        ),
    };
    format!(
        "Beside OpenSSL's, {} in {} blocks of malloc's were in use {when}, every one counted{earlier}.",
        human(bytes as f64),
        exact(i64::try_from(blocks).unwrap_or(i64::MAX)),
    )
}
